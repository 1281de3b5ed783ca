"""What a user may do: role-based access control, as Kubernetes evaluates it.

`system:masters` may do everything; everybody else what roles bound to the user, one of its groups
or its service account allow. A decision is kept until any role or binding changes, so that a change
holds at once. ClusterRoles that are aggregated carry their rules already (see `aggregation`).
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.embedded.apiserver import status
from labkit.embedded.apiserver.store import Entry, Store
from labkit.embedded.apiserver.users import User

logger = logging.getLogger(__name__)

_ROLES = "rbac.authorization.k8s.io/roles"
_CLUSTER_ROLES = "rbac.authorization.k8s.io/clusterroles"
_BINDINGS = "rbac.authorization.k8s.io/rolebindings"
_CLUSTER_BINDINGS = "rbac.authorization.k8s.io/clusterrolebindings"
_STORAGES = (_ROLES, _CLUSTER_ROLES, _BINDINGS, _CLUSTER_BINDINGS)
MASTERS = "system:masters"
_KEPT = 10_000
"""Decisions that are kept."""

Rule = dict[str, Any]


@dataclass(frozen=True)
class Attributes:
    """What a request is about to do. With `path` it is no resource request."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        """`pods` or `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def refusal(user: User, attributes: Attributes) -> str:
    """The sentence of the 403."""
    if attributes.path:
        return f'User "{user.name}" cannot {attributes.verb} path "{attributes.path}"'
    where = (
        f'in the namespace "{attributes.namespace}"'
        if attributes.namespace
        else "at the cluster scope"
    )
    return (
        f'User "{user.name}" cannot {attributes.verb} resource "{attributes.full_resource}"'
        f' in API group "{attributes.group}" {where}'
    )


def audit(text: str) -> None:
    """One line in the log for a request that was refused for lack of rights."""
    logger.info("audit: forbidden: %s", " ".join(text.split()))


def require(authorizer: "Authorizer", user: User, attributes: Attributes) -> None:
    """403, and an audit line, unless the user may do that."""
    if authorizer.authorize(user, attributes)[0]:
        return
    text = refusal(user, attributes)
    audit(text)
    if attributes.path:
        raise status.forbidden_path(text)
    raise status.forbidden(attributes.resource, attributes.name, text, attributes.group)


def _listed(values: Sequence[str] | None, wanted: str) -> bool:
    return values is not None and ("*" in values or wanted in values)


def _resource_listed(values: Sequence[str] | None, attributes: Attributes) -> bool:
    if not values:
        return False
    if "*" in values or attributes.full_resource in values:
        return True
    return bool(attributes.subresource) and f"*/{attributes.subresource}" in values


def _path_listed(values: Sequence[str] | None, path: str) -> bool:
    return any(
        value in ("*", path) or (value.endswith("*") and path.startswith(value[:-1]))
        for value in values or ()
    )


def rule_allows(rule: Rule, attributes: Attributes) -> bool:
    """Whether one rule of a role covers the request."""
    if not _listed(rule.get("verbs"), attributes.verb):
        return False
    if attributes.path:
        return _path_listed(rule.get("nonResourceURLs"), attributes.path)
    names = rule.get("resourceNames")
    return (
        _listed(rule.get("apiGroups"), attributes.group)
        and _resource_listed(rule.get("resources"), attributes)
        and (not names or attributes.name in names)
    )


def _matched_subject(binding: Entry, user: User) -> str | None:
    """`User "alice"`: the subject of the binding that is this user."""
    for subject in binding.obj.get("subjects") or ():
        kind, name = subject.get("kind"), subject.get("name")
        if kind == "User" and name == user.name:
            return f'User "{name}"'
        if kind == "Group" and name in user.groups:
            return f'Group "{name}"'
        if kind == "ServiceAccount":
            namespace = subject.get("namespace") or binding.namespace
            if user.name == f"system:serviceaccount:{namespace}:{name}":
                return f'ServiceAccount "{name}/{namespace}"'
    return None


class Authorizer:
    """Decides requests by the roles and bindings in the store."""

    def __init__(self, store: Store, *, enforce: bool = True) -> None:
        self._store = store
        self._enforce = enforce
        self._known: dict[tuple[str, tuple[str, ...], Attributes], tuple[bool, str]] = {}
        self._versions: tuple[int, ...] = ()

    def authorize(self, user: User, attributes: Attributes) -> tuple[bool, str]:
        """Whether the user may, and why (empty for system:masters and for a refusal)."""
        if MASTERS in user.groups:
            return True, ""
        if not self._enforce and "system:authenticated" in user.groups:
            return True, ""
        versions = tuple(map(self._store.changed, _STORAGES))
        if versions != self._versions or len(self._known) > _KEPT:
            self._known.clear()
            self._versions = versions
        key = user.name, user.groups, attributes
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._decide(user, attributes)
        return known

    def _decide(self, user: User, attributes: Attributes) -> tuple[bool, str]:
        for rule, reason in self.rules(user, attributes.namespace):
            if rule_allows(rule, attributes):
                return True, reason
        return False, ""

    def rules(self, user: User, namespace: str) -> Iterator[tuple[Rule, str]]:
        """Every rule that holds for the user there, with the sentence that says why."""
        bindings = [
            ("ClusterRoleBinding", entry) for entry in self._store.entries(_CLUSTER_BINDINGS)
        ]
        if namespace:
            found = self._store.entries(_BINDINGS, namespace)
            bindings += [("RoleBinding", entry) for entry in found]
        for kind, binding in bindings:
            subject = _matched_subject(binding, user)
            if subject is None:
                continue
            reference = binding.obj["roleRef"]
            role = self.role(reference, binding.namespace)
            if role is None:
                continue
            label = binding.name if kind[0] == "C" else f"{binding.name}/{binding.namespace}"
            reason = (
                f'RBAC: allowed by {kind} "{label}" of {reference["kind"]}'
                f' "{reference["name"]}" to {subject}'
            )
            for rule in role.obj.get("rules") or ():
                yield rule, reason

    def role(self, reference: dict[str, Any], namespace: str) -> Entry | None:
        """The role that a binding refers to, or None."""
        if reference.get("kind") == "ClusterRole":
            return self._store.get(_CLUSTER_ROLES, "", reference["name"])
        return self._store.get(_ROLES, namespace, reference["name"])
