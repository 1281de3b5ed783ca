"""Linkerd's inbound policies: who may talk to a port of a pod.

Pure: dicts of the Kubernetes API in, frozen values out. A Server that selects a pod's port takes
the place of the default inbound policy; its AuthorizationPolicies and ServerAuthorizations let
clients in by their mesh identity. Deliberately absent: policies of single routes, rate limits, and
networks: all clients have loopback addresses here, so a network narrower than everything lets
nobody in. Servers of Linkerd's own extensions are left out: their clients are components of the
daemon and have no identity.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.embedded.mesh import names
from labkit.embedded.mesh.mirror_link import selects

Object = Mapping[str, Any]

GROUP = "policy.linkerd.io"
KINDS = {
    "servers": "v1beta3",
    "serverauthorizations": "v1beta1",
    "authorizationpolicies": "v1alpha1",
    "meshtlsauthentications": "v1alpha1",
    "networkauthentications": "v1alpha1",
}
"""Plural of each kind that is read, and the version in which it is."""

ANYBODY = "*"
_EXTENSION = "linkerd.io/extension"
_EVERYWHERE = frozenset({"0.0.0.0/0", "::/0"})


@dataclass(frozen=True)
class PortPolicy:
    """Who may talk to a port.

    Attributes:
        identities: mesh identities; `*` is any, `*.x` any that ends so.
        unauthenticated: whether clients without a certificate may.
        server: name of the Server, empty for the default policy.
        mode: the default inbound policy or the Server's access policy, for messages.
        authorization: (kind, name) of what lets clients in, when it is one thing only.
    """

    identities: frozenset[str]
    unauthenticated: bool
    mode: str
    server: str = ""
    authorization: tuple[str, str] = ("", "")

    @property
    def open_to_mesh(self) -> bool:
        """Whether any client with a certificate may."""
        return self.unauthenticated or ANYBODY in self.identities


def by_mode(mode: str, server: str = "") -> PortPolicy:
    """What a default inbound policy or an access policy lets in; an unknown one: nobody."""
    unauthenticated = mode in ("all-unauthenticated", "cluster-unauthenticated", "audit")
    authenticated = mode in ("all-authenticated", "cluster-authenticated")
    identities = frozenset({ANYBODY}) if unauthenticated or authenticated else frozenset[str]()
    return PortPolicy(identities, unauthenticated, mode, server)


class PolicyReader:
    """Reads the policies of one cluster.

    Args:
        objects: by plural, as in `KINDS`.
        namespaces: of the cluster; extensions' own are marked by a label.
    """

    def __init__(
        self, objects: Mapping[str, Iterable[Object]], namespaces: Iterable[Object]
    ) -> None:
        extensions = {
            item["metadata"]["name"]
            for item in namespaces
            if _EXTENSION in (item["metadata"].get("labels") or {})
        }
        self._objects = {
            plural: sorted(
                (
                    i
                    for i in objects.get(plural, ())
                    if i["metadata"]["namespace"] not in extensions
                ),
                key=lambda i: (i["metadata"].get("creationTimestamp") or "", i["metadata"]["name"]),
            )
            for plural in KINDS
        }

    def of_pod(self, pod: Object) -> dict[int, PortPolicy]:
        """The policies of a pod's ports that a Server selects; the oldest Server wins."""
        found: dict[int, PortPolicy] = {}
        labels = pod["metadata"].get("labels") or {}
        for server in self._objects["servers"]:
            spec = server.get("spec") or {}
            selector = spec.get("podSelector")
            if server["metadata"]["namespace"] != pod["metadata"]["namespace"] or selector is None:
                continue
            if selector and not selects(selector, labels):
                continue
            for port in _ports(pod, spec.get("port")):
                found.setdefault(port, self._policy(server))
        return found

    def _policy(self, server: Object) -> PortPolicy:
        name = server["metadata"]["name"]
        base = by_mode((server.get("spec") or {}).get("accessPolicy") or "deny", name)
        identities, unauthenticated = set(base.identities), base.unauthenticated
        granted: list[tuple[str, str]] = []
        for kind, item in self._authorizations(server):
            clients = (
                self._clients_of(item) if kind == "authorizationpolicy" else _clients_of_old(item)
            )
            if clients is None:
                unauthenticated = True
            else:
                identities |= clients
            granted.append((kind, item["metadata"]["name"]))
        authorization = granted[0] if len(granted) == 1 else ("", "")
        return PortPolicy(frozenset(identities), unauthenticated, base.mode, name, authorization)

    def _authorizations(self, server: Object) -> Iterable[tuple[str, Object]]:
        name, namespace = server["metadata"]["name"], server["metadata"]["namespace"]
        for item in self._objects["authorizationpolicies"]:
            target = (item.get("spec") or {}).get("targetRef") or {}
            if item["metadata"]["namespace"] != namespace:
                continue
            whole = target.get("kind") == "Namespace" and target.get("name") == namespace
            if whole or (target.get("kind") == "Server" and target.get("name") == name):
                yield "authorizationpolicy", item
        for item in self._objects["serverauthorizations"]:
            wanted = (item.get("spec") or {}).get("server") or {}
            if item["metadata"]["namespace"] != namespace:
                continue
            labels = server["metadata"].get("labels") or {}
            if wanted.get("name") == name or selects(wanted.get("selector") or {}, labels):
                yield "serverauthorization", item

    def _clients_of(self, item: Object) -> set[str] | None:
        """Identities that fulfil all that an AuthorizationPolicy requires; None: anybody."""
        namespace = item["metadata"]["namespace"]
        result: set[str] | None = None
        for wanted in (item.get("spec") or {}).get("requiredAuthenticationRefs") or ():
            found = self._clients_by(wanted, wanted.get("namespace") or namespace)
            if found is not None:
                result = found if result is None else _both(result, found)
        return result

    def _clients_by(self, wanted: Object, namespace: str) -> set[str] | None:
        kind, name = wanted.get("kind"), str(wanted.get("name"))
        if kind == "ServiceAccount":
            return {names.identity_of(name, namespace)}
        plural = f"{str(kind).lower()}s"
        for item in self._objects.get(plural, ()):
            if (item["metadata"]["namespace"], item["metadata"]["name"]) == (namespace, name):
                spec = item.get("spec") or {}
                if kind == "NetworkAuthentication":
                    return None if _is_everywhere(spec.get("networks")) else set()
                return _identities(spec, namespace)
        return set()  # what is not there lets nobody in


def _identities(spec: Object, namespace: str) -> set[str]:
    """Of a MeshTLSAuthentication: by name, and by reference to accounts or namespaces."""
    found = {str(name) for name in spec.get("identities") or ()}
    for reference in spec.get("identityRefs") or ():
        name = str(reference.get("name"))
        if reference.get("kind") == "ServiceAccount":
            found.add(names.identity_of(name, reference.get("namespace") or namespace))
        elif reference.get("kind") == "Namespace":
            found.add(names.identity_of("*", name))
    return found


def _clients_of_old(item: Object) -> set[str] | None:
    """Identities that a ServerAuthorization lets in; None: anybody."""
    client = (item.get("spec") or {}).get("client") or {}
    networks = client.get("networks")
    if networks is not None and not _is_everywhere(networks):
        return set()
    if client.get("unauthenticated"):
        return None
    tls = client.get("meshTLS") or {}
    found = {str(name) for name in tls.get("identities") or ()}
    for account in tls.get("serviceAccounts") or ():
        namespace = account.get("namespace") or item["metadata"]["namespace"]
        found.add(names.identity_of(str(account.get("name")), namespace))
    return found | ({ANYBODY} if tls.get("unauthenticatedTLS") else set())


def _is_everywhere(networks: Iterable[Any] | None) -> bool:
    cidrs = {n.get("cidr") if isinstance(n, Mapping) else n for n in networks or ()}
    return bool(cidrs & _EVERYWHERE)


def _both(one: set[str], other: set[str]) -> set[str]:
    """Identities that two sets of patterns have in common."""
    fits = {name for name in one if any(matches(pattern, name) for pattern in other)}
    return fits | {name for name in other if any(matches(pattern, name) for pattern in one)}


def matches(pattern: str, name: str) -> bool:
    """Whether an identity, or a narrower pattern, is meant by a pattern."""
    if pattern == ANYBODY:
        return True
    return name.endswith(pattern[1:]) if pattern.startswith("*") else name == pattern


def _ports(pod: Object, wanted: Any) -> list[int]:
    """Numbers of the ports of a pod that a Server means, by name or number."""
    spec = pod.get("spec") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    declared = [port for container in containers for port in container.get("ports") or ()]
    if isinstance(wanted, int) or str(wanted).isdigit():
        return [int(wanted)]
    return [port["containerPort"] for port in declared if port.get("name") == wanted]
