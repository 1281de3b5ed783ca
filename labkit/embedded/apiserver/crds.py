"""CustomResourceDefinitions: from the stored definition to served resources.

A definition is served as soon as it is stored: its names are accepted when no other definition
of the group has them. Values of custom resources are checked by `rules` against the schema.
"""

import asyncio
from typing import Any

from labkit.embedded.apiserver.backend import Backend, now
from labkit.embedded.apiserver.resources import Resource, Subresource, subresources_of
from labkit.embedded.apiserver.store import Entry, Object

STORAGE = "apiextensions.k8s.io/customresourcedefinitions"
_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
INSTANCES_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_NAMES = ("plural", "singular", "kind", "listKind", "shortNames", "categories")


def serve(backend: Backend, entry: Entry) -> None:
    """Serve what a definition declares, and say so in its status."""
    crd = entry.obj
    if "deletionTimestamp" in crd["metadata"]:
        asyncio.get_running_loop().call_soon(_terminate, backend, entry.name)
        return
    registry = backend.registry
    backend.documents.clear()
    registry.remove_custom(crd["spec"]["group"], crd["spec"]["names"]["plural"])
    problem = _clash(backend, entry)
    if not problem:
        for version in crd["spec"]["versions"]:
            if version.get("served"):
                registry.add(resource_of(crd, version))
        backend.schemas.add_crd(crd)
    wanted = _status(crd, problem)
    if crd.get("status") != wanted:
        metadata = dict(crd["metadata"])
        backend.store.put(STORAGE, {**crd, "metadata": metadata, "status": wanted})


def _terminate(backend: Backend, name: str) -> None:
    """Delete all instances of a definition that is being deleted; then let it go."""
    entry = backend.store.get(STORAGE, "", name)
    if entry is None or "deletionTimestamp" not in entry.obj["metadata"]:
        return
    crd = entry.obj
    storage = f"{crd['spec']['group']}/{crd['spec']['names']['plural']}"
    for instance in backend.store.entries(storage):
        metadata = instance.obj["metadata"]
        if not metadata.get("finalizers"):
            backend.store.remove(storage, instance.namespace, instance.name)
        elif "deletionTimestamp" not in metadata:
            mark = {"deletionTimestamp": now(), "deletionGracePeriodSeconds": 0}
            backend.store.put(storage, {**instance.obj, "metadata": {**metadata, **mark}})
    if backend.store.entries(storage):
        return
    finalizers = [f for f in crd["metadata"].get("finalizers") or () if f != INSTANCES_FINALIZER]
    last = {**crd, "metadata": {**crd["metadata"], "finalizers": finalizers}}
    if finalizers:
        if finalizers != crd["metadata"].get("finalizers"):
            backend.store.put(STORAGE, last)
        return
    del last["metadata"]["finalizers"]
    backend.store.remove(STORAGE, "", name, last)
    withdraw(backend, entry)


def instance_removed(backend: Backend, crd: Object) -> None:
    """An instance has gone: perhaps its definition waited for that."""
    if "deletionTimestamp" in crd["metadata"]:
        _terminate(backend, crd["metadata"]["name"])


def withdraw(backend: Backend, entry: Entry) -> None:
    """Stop serving a definition that is gone."""
    crd = entry.obj
    backend.documents.clear()
    backend.registry.remove_custom(crd["spec"]["group"], crd["spec"]["names"]["plural"])
    backend.schemas.remove_crd(crd)


def load(backend: Backend) -> None:
    """Serve every stored definition (after a restart)."""
    for entry in backend.store.entries(STORAGE):
        crd = entry.obj
        if "deletionTimestamp" in crd["metadata"]:
            for version in crd["spec"]["versions"]:
                backend.registry.add(resource_of(crd, version))
            backend.schemas.add_crd(crd)
        else:
            serve(backend, entry)


def _clash(backend: Backend, entry: Entry) -> str:
    """The message of the conflict with another definition of the group, or nothing."""
    spec = entry.obj["spec"]
    names = spec["names"]
    mine = {names["plural"], names.get("singular"), *(names.get("shortNames") or ())}
    for other in backend.registry.all():
        if other.crd is None or other.group != spec["group"]:
            continue
        taken = mine & {other.plural, other.singular, *other.short_names}
        if taken:
            return f'"{min(str(name) for name in taken)}" is already in use'
    return ""


def resource_of(crd: Object, version: Object) -> Resource:
    """The resource that one version of a definition declares."""
    spec = crd["spec"]
    names = spec["names"]
    stored = next(v["name"] for v in spec["versions"] if v.get("storage"))
    declared = version.get("subresources") or {}
    subresources: dict[str, Subresource] = subresources_of(
        [name for name in ("scale", "status") if name in declared], names["kind"]
    )
    return Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        storage=f"{spec['group']}/{names['plural']}",
        storage_version=f"{spec['group']}/{stored}",
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        verbs=_VERBS,
        subresources=subresources,
        has_generation=True,
        crd=crd,
    )


def _condition(crd: Object, kind: str, *, value: bool, reason: str, message: str) -> dict[str, Any]:
    state = "True" if value else "False"
    for old in (crd.get("status") or {}).get("conditions") or ():
        if old["type"] == kind and old["status"] == state:
            return dict(old)
    return {
        "type": kind,
        "status": state,
        "lastTransitionTime": now(),
        "reason": reason,
        "message": message,
    }


def _status(crd: Object, problem: str) -> Object:
    spec = crd["spec"]
    names = {key: spec["names"][key] for key in _NAMES if spec["names"].get(key)}
    names.setdefault("listKind", f"{names['kind']}List")
    names.setdefault("singular", names["kind"].lower())
    ok = not problem
    stored = [v["name"] for v in spec["versions"] if v.get("storage")]
    before = (crd.get("status") or {}).get("storedVersions") or []
    return {
        "conditions": [
            _condition(
                crd,
                "NamesAccepted",
                value=ok,
                reason="NoConflicts" if ok else "NameConflict",
                message="no conflicts found" if ok else problem,
            ),
            _condition(
                crd,
                "Established",
                value=ok,
                reason="InitialNamesAccepted" if ok else "NotAccepted",
                message=(
                    "the initial names have been accepted" if ok else "not all names are accepted"
                ),
            ),
        ],
        "acceptedNames": names if ok else {"plural": "", "kind": ""},
        "storedVersions": before + [name for name in stored if name not in before],
    }
