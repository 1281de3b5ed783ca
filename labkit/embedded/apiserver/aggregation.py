"""Aggregated ClusterRoles (admin, edit, view): their rules are those of the roles they select."""

from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.rules import selectors
from labkit.embedded.apiserver.store import Entry, Object

STORAGE = "rbac.authorization.k8s.io/clusterroles"


def update(backend: Backend) -> None:
    """Bring the rules of every aggregated role up to date."""
    roles = backend.store.entries(STORAGE)
    for _ in range(3):  # admin selects edit, edit selects view
        changed = False
        for entry in roles:
            if "aggregationRule" in entry.obj:
                changed |= _refresh(backend, entry, roles)
        if not changed:
            return
        roles = backend.store.entries(STORAGE)


def _refresh(backend: Backend, entry: Entry, roles: list[Entry]) -> bool:
    wanted: list[Object] = []
    for term in entry.obj["aggregationRule"].get("clusterRoleSelectors") or ():
        chosen = selectors.selector_from(term)
        for role in roles:
            if role.name == entry.name:
                continue
            if selectors.matches_labels(chosen, role.obj["metadata"].get("labels")):
                wanted += [r for r in role.obj.get("rules") or () if r not in wanted]
    if wanted == (entry.obj.get("rules") or []):
        return False
    metadata = dict(entry.obj["metadata"])
    backend.store.put(STORAGE, {**entry.obj, "metadata": metadata, "rules": wanted})
    return True
