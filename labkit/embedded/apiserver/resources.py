"""Which resources are served: the built-in ones from a table, custom ones added at run time.

Everything else in the server asks here by group, version and plural; nothing branches on a kind
just to know whether it is namespaced or which verbs it has.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from labkit.embedded.apiserver.resource_table import (
    DEPRECATED,
    POD_SUBRESOURCES,
    SUBRESOURCES,
    TABLE,
    VERBS,
)

_STORAGE = {"events.k8s.io/events": "events"}
"""core/v1 and events.k8s.io/v1 events are two views of one store."""


@dataclass(frozen=True)
class Subresource:
    """`pods/log` and its like; `group` and `version` are empty when they are the parent's."""

    name: str
    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""


@dataclass(frozen=True)
class Resource:
    """One resource in one version.

    Attributes:
        storage: the name under which its objects are stored; the same for all versions.
        storage_version: apiVersion of the stored objects.
        has_generation: whether metadata.generation counts changes outside metadata and status.
        returns_deleted: whether a delete answers with the object.
        crd: the CustomResourceDefinition it comes from, or None.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    storage: str
    storage_version: str
    singular: str
    list_kind: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    subresources: dict[str, Subresource] = field(default_factory=dict)
    has_generation: bool = False
    returns_deleted: bool = False
    crd: dict[str, Any] | None = None

    @property
    def api_version(self) -> str:
        """`v1` or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`pods` or `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def go_type(self) -> str:
        """The server's own type of the kind, as it appears in messages: `core.Pod`."""
        if self.crd is not None:
            return "unstructured.Unstructured"
        package = "core" if self.storage == "events" else self.group.partition(".")[0]
        return f"{package or 'core'}.{self.kind}"

    @functools.cached_property
    def deprecation(self) -> tuple[str, ...]:
        """What clients of a deprecated kind, or version of a custom resource, are told."""
        if self.crd is None:
            text = DEPRECATED.get(f"{self.api_version} {self.kind}")
            return (text,) if text else ()
        versions = self.crd["spec"]["versions"]
        mine: dict[str, Any] = next((v for v in versions if v["name"] == self.version), {})
        if not mine.get("deprecated"):
            return ()
        if mine.get("deprecationWarning"):
            return (str(mine["deprecationWarning"]),)
        better = sorted(
            (
                v["name"]
                for v in versions
                if v.get("served") and not v.get("deprecated")
                if version_rank(v["name"]) < version_rank(self.version)
            ),
            key=version_rank,
        )
        text = f"{self.api_version} {self.kind} is deprecated"
        return (f"{text}; use {self.group}/{better[0]} {self.kind}" if better else text,)


def _names(text: str) -> tuple[str, ...]:
    return () if text == "-" else tuple(text.split(","))


def _subresource(name: str, kind: str) -> Subresource:
    api_version, sub_kind, verbs = SUBRESOURCES[name]
    group, _, version = api_version.rpartition("/")
    return Subresource(name, sub_kind.format(kind) or kind, verbs, group, version)


def subresources_of(names: Iterable[str], kind: str) -> dict[str, Subresource]:
    """The named subresources of a kind."""
    return {name: _subresource(name, kind) for name in names}


def _built_in(line: str) -> Resource:
    api_version, plural, kind, scope, short, categories, verbs, subs, flags = line.split()
    group, _, version = api_version.rpartition("/")
    known = {"*": VERBS, "d": tuple(verb for verb in VERBS if verb != "deletecollection")}
    storage = f"{group}/{plural}" if group else plural
    return Resource(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        namespaced=scope == "N",
        storage=_STORAGE.get(storage, storage),
        storage_version="v1"
        if storage in _STORAGE
        else api_version.replace("scaling/v1", "scaling/v2"),
        singular=kind.lower(),
        list_kind=f"{kind}List",
        short_names=_names(short),
        categories=_names(categories),
        verbs=known.get(verbs) or tuple(verbs.split(",")),
        subresources=subresources_of(_names(subs.replace("POD", POD_SUBRESOURCES)), kind),
        has_generation="g" in flags,
        returns_deleted="r" in flags,
    )


class Registry:
    """The resources served right now, in the order of discovery."""

    def __init__(self) -> None:
        self._resources: dict[tuple[str, str, str], Resource] = {}
        for line in TABLE.strip().splitlines():
            self.add(_built_in(line))

    def add(self, resource: Resource) -> None:
        """Serve a resource (again)."""
        self._resources[resource.group, resource.version, resource.plural] = resource

    def remove_custom(self, group: str, plural: str) -> None:
        """Stop serving all versions of a custom resource."""
        for key, resource in list(self._resources.items()):
            if resource.crd is not None and (resource.group, resource.plural) == (group, plural):
                del self._resources[key]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource of a path, or None."""
        return self._resources.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource of an object, or None."""
        for resource in self._resources.values():
            if resource.kind == kind and resource.api_version == api_version:
                return resource
        return None

    def has_version(self, group: str, version: str) -> bool:
        """Whether anything is served below this group version."""
        return any(key[:2] == (group, version) for key in self._resources)

    def has_group(self, group: str) -> bool:
        """Whether anything is served below this group."""
        return any(key[0] == group for key in self._resources)

    def is_built_in(self, group: str) -> bool:
        """Whether this group is part of Kubernetes (and not of a CustomResourceDefinition)."""
        return any(r.group == group and r.crd is None for r in self._resources.values())

    def in_version(self, group: str, version: str) -> list[Resource]:
        """Resources of one group version, by plural."""
        found = [r for r in self._resources.values() if (r.group, r.version) == (group, version)]
        return sorted(found, key=lambda resource: resource.plural)

    def groups(self) -> dict[str, list[str]]:
        """Versions of every group, the preferred one first; the core group is ""."""
        found: dict[str, list[str]] = {}
        for group, version, _ in self._resources:
            versions = found.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        return {group: sorted(versions, key=version_rank) for group, versions in found.items()}

    def all(self) -> list[Resource]:
        """Every resource in every version."""
        return list(self._resources.values())


def version_rank(version: str) -> tuple[int, int, int, str]:
    """Sort key: v2, v1, v1beta2, v1beta1, v1alpha1, then anything else by name."""
    digits = version.removeprefix("v")
    for stage, word in enumerate(("", "beta", "alpha")):
        major, found, minor = digits.partition(word) if word else (digits, "", "0")
        if major.isdigit() and (minor.isdigit()) and bool(found) == bool(word):
            return (stage, -int(major), -int(minor), version)
    return (3, 0, 0, version)
