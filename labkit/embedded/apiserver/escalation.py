"""Nobody may give away rights that he does not have: the checks behind `escalate` and `bind`.

Whoever writes a role must hold every right in it, or the verb `escalate` on it; whoever binds a
role must hold every right in that, or the verb `bind` on it.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace

from labkit.embedded.apiserver import status
from labkit.embedded.apiserver.authorization import Attributes, Rule, audit, rule_allows
from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.requests import Call
from labkit.embedded.apiserver.store import Object

GROUP = "rbac.authorization.k8s.io"
_EVERYTHING: list[Rule] = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
]


def check(backend: Backend, call: Call, obj: Object, old: Object | None) -> None:
    """403 when a role or binding would give its writer, or anybody, more than the writer has."""
    if call.group != GROUP:
        return
    if call.plural in ("roles", "clusterroles"):
        fields: tuple[str, ...] = ("rules", "aggregationRule")
        wanted = Attributes("escalate", GROUP, call.plural, namespace=call.namespace)
        wanted = replace(wanted, name=call.name)
    else:
        fields = ("roleRef", "subjects")
        kind = "clusterroles" if obj["roleRef"]["kind"] == "ClusterRole" else "roles"
        wanted = Attributes("bind", GROUP, kind, namespace=call.namespace)
        wanted = replace(wanted, name=str(obj["roleRef"]["name"]))
    if old is not None and all((obj.get(f) or None) == (old.get(f) or None) for f in fields):
        return
    if backend.authorizer.authorize(call.user, wanted)[0]:
        return
    missing = list(_missing(backend, call, _granted(backend, call, obj)))
    if missing:
        groups = " ".join(f'"{group}"' for group in call.user.groups)
        text = (
            f'user "{call.user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions'
            " not currently held:\n" + "\n".join(map(_shown, missing))
        )
        audit(text)
        raise status.forbidden(call.plural, call.name, text, GROUP)


def _granted(backend: Backend, call: Call, obj: Object) -> list[Rule]:
    """The rules that a role holds or a binding gives; 404 when the bound role does not exist."""
    if "roleRef" not in obj:
        return _EVERYTHING if obj.get("aggregationRule") else list(obj.get("rules") or ())
    role = backend.authorizer.role(obj["roleRef"], call.namespace)
    if role is None:
        kind = "clusterroles" if obj["roleRef"]["kind"] == "ClusterRole" else "roles"
        raise status.not_found(kind, str(obj["roleRef"]["name"]), GROUP)
    return list(role.obj.get("rules") or ())


def _missing(backend: Backend, call: Call, granted: list[Rule]) -> Iterator[Rule]:
    own = [rule for rule, _ in backend.authorizer.rules(call.user, call.namespace)]
    for rule in granted:
        single = _single_rights(rule)
        if not all(any(rule_allows(mine, right) for mine in own) for right in single):
            yield rule


def _single_rights(rule: Rule) -> Iterator[Attributes]:
    verbs = rule.get("verbs") or ()
    for verb, path in itertools.product(verbs, rule.get("nonResourceURLs") or ()):
        yield Attributes(verb, path=path)
    groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
    names = rule.get("resourceNames") or ("",)
    for verb, group, resource, name in itertools.product(verbs, groups, resources, names):
        plural, _, subresource = resource.partition("/")
        yield Attributes(verb, group, plural, subresource, name=name)


def _shown(rule: Rule) -> str:
    names = {
        "apiGroups": "APIGroups",
        "nonResourceURLs": "NonResourceURLs",
        "resourceNames": "ResourceNames",
        "resources": "Resources",
        "verbs": "Verbs",
    }
    parts = [
        f"{shown}:[{' '.join(f'{chr(34)}{item}{chr(34)}' for item in rule[name])}]"
        for name, shown in names.items()
        if rule.get(name)
    ]
    return "{" + ", ".join(parts) + "}"
