"""What can be reached in a cluster, and how: values only, read by `topology_reader`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from labkit.embedded.mesh import names
from labkit.embedded.mesh.policies import PortPolicy, by_mode
from labkit.embedded.mesh.splits import Rule


@dataclass(frozen=True)
class Pod:
    """A pod with a virtual address.

    Attributes:
        sockets: port to the real HOST:PORT where a connection to the pod lands.
        app_sockets: port to the real HOST:PORT where the application listens.
        egress: HOST:PORT of the HTTP proxy the pod's programs use.
        host_ip: address of its node.
        http2_ports: ports whose application speaks HTTP/2 in plain text.
        policy: default inbound policy.
        policies: of ports that a Server selects.
    """

    namespace: str
    name: str
    uid: str
    ip: str
    host_ip: str
    service_account: str
    meshed: bool
    gateway: bool
    sockets: Mapping[int, str]
    app_sockets: Mapping[int, str]
    egress: str
    labels: Mapping[str, str]
    http2_ports: frozenset[int]
    opaque_ports: frozenset[int]
    policy: str
    policies: Mapping[int, PortPolicy] = field(default_factory=dict)

    def policy_of(self, port: int) -> PortPolicy:
        """Who may talk to a port."""
        return self.policies.get(port) or by_mode(self.policy)

    @property
    def key(self) -> str:
        """`namespace/name`: the pod's node id in xDS."""
        return f"{self.namespace}/{self.name}"

    @property
    def identity(self) -> str:
        """The mesh identity of its service account."""
        return names.identity_of(self.service_account, self.namespace)


@dataclass(frozen=True)
class Endpoint:
    """Where a connection may land.

    Attributes:
        address: virtual `ip:port`.
        socket: real `127.0.0.1:port`.
        identity: the mesh identity it must show; None: plaintext.
        labels: Linkerd's `dst_*` labels of the endpoint.
    """

    address: str
    socket: str
    identity: str | None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """Something that has names: a port of a service, a port of a pod, or a public address.

    Attributes:
        key: unique and fit for Envoy's counters, e.g. `emojivoto/web-svc/80`.
        domains: authorities by which everybody means it.
        local_domains: authorities by which only its own namespace means it.
        authority: Linkerd's metric label.
        rewrite: the authority to send instead of the client's; None: leave it.
        labels: Linkerd's `dst_*` labels of the service, and its port for route metrics.
        opaque: bytes are passed on unread.
        pod: it is a port of a pod, meant by address.
        rules: how HTTPRoutes share out what meshed clients send to it; empty: to its endpoints.
    """

    key: str
    namespace: str
    domains: tuple[str, ...]
    local_domains: tuple[str, ...]
    authority: str
    endpoints: tuple[Endpoint, ...]
    rewrite: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    mirrored: bool = False
    opaque: bool = False
    pod: bool = False
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Topology:
    """Everything that can be reached, and the pods that can ask."""

    pods: tuple[Pod, ...]
    targets: tuple[Target, ...]
