"""How users name resources: `deploy/web`, `deploy web`, `deploy`.

Deliberately absent: labels and lists of several kinds.
"""

from collections.abc import Mapping, Sequence

from labkit.errors import InputError

_KINDS: Mapping[str, tuple[str, ...]] = {
    "authority": ("authorities", "au"),
    "cronjob": ("cronjobs", "cj"),
    "daemonset": ("daemonsets", "ds"),
    "deployment": ("deployments", "deploy"),
    "job": ("jobs",),
    "namespace": ("namespaces", "ns"),
    "pod": ("pods", "po"),
    "replicaset": ("replicasets", "rs"),
    "replicationcontroller": ("replicationcontrollers", "rc"),
    "service": ("services", "svc"),
    "statefulset": ("statefulsets", "sts"),
}
_NAMES = {word: kind for kind, words in _KINDS.items() for word in (kind, *words)}


def kind_of(word: str) -> str:
    """The canonical kind, as `deployment`.

    Raises:
        InputError: there is no such kind.
    """
    kind = _NAMES.get(word.lower())
    if kind is None:
        raise InputError(f"cannot find Kubernetes canonical name from friendly name [{word}]")
    return kind


def resources(words: Sequence[str]) -> list[tuple[str, str]]:
    """What the words name, as (kind, name); the name is empty for all of a kind.

    Raises:
        InputError: an unknown kind, or no kind at all.
    """
    if not words:
        raise InputError("no resource arguments provided")
    found: list[tuple[str, str]] = []
    for word in words:
        kind, slash, name = word.partition("/")
        if slash:
            found.append((kind_of(kind), name))
        elif found and "/" not in words[0]:
            # `deploy web voting`: names of the kind that came first.
            found.append((kind_of(words[0]), word))
        else:
            found.append((kind_of(word), ""))
    named = [item for item in found if item[1]]
    return named or found


def one(words: Sequence[str]) -> tuple[str, str]:
    """The single resource the words name.

    Raises:
        InputError: several, or an unknown kind.
    """
    found = resources(words)
    if len(found) != 1:
        raise InputError("only one resource can be given")
    return found[0]


def text(resource: tuple[str, str]) -> str:
    """`kind/name`, or `kind`."""
    return "/".join(part for part in resource if part)
