"""A finished request in Linkerd's terms: direction, labels, classification.

One line of the access log becomes one request, or two at a gateway, where the same line tells of
the request that came in and of the one that went out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from labkit.embedded.mesh import names
from labkit.embedded.mesh.access_log import Entry

Labels = tuple[tuple[str, str], ...]

_GRPC_FAILURES = frozenset({"2", "4", "7", "13", "14", "15"})
"""Unknown, DeadlineExceeded, PermissionDenied, Internal, Unavailable, DataLoss."""

_NO_IDENTITY = (("tls", "no_identity"), ("no_tls_reason", "not_provided_by_service_discovery"))


@dataclass(frozen=True)
class Request:
    """One direction of a request at one proxy.

    Attributes:
        outbound: it left the pod (else it came in).
        source: virtual `ip:port` of the client.
        destination: virtual `ip:port` of the server, empty when none was found.
        peer: identity of the other side, empty without TLS.
        labels: Linkerd's metric labels without status.
    """

    entry: Entry
    outbound: bool
    source: str
    destination: str
    peer: str
    labels: Labels

    @property
    def status(self) -> str:
        """HTTP status as text; empty when the client left before there was one."""
        code = self.entry.text("status")
        return "" if code == "0" else code

    @property
    def grpc_status(self) -> str:
        """GRPC status as a number in text; empty when it is not gRPC or was not sent."""
        return self.entry.text("grpc") if self.entry.is_grpc else ""

    @property
    def success(self) -> bool:
        """Linkerd's default classification: 5xx and some gRPC codes are failures."""
        if not self.status or self.status.startswith("5"):
            return False
        return self.grpc_status not in _GRPC_FAILURES

    @property
    def denied(self) -> bool:
        """Whether a policy of the inbound proxy refused it."""
        details = self.entry.text("details")
        refused = details.startswith("rbac_access_denied") or details == "direct_response"
        return not self.outbound and self.status == "403" and refused

    @property
    def error(self) -> str:
        """Linkerd's `error` label: why there is no response from a server."""
        flags = self.entry.text("flags")
        if not self.status or flags in ("DC", "DR"):
            return "unexpected"
        return {"UF": "i/o", "UC": "i/o", "UR": "i/o", "UH": "failfast", "UT": "timeout"}.get(
            flags, ""
        )


def _target(address: str) -> Labels:
    ip, _, port = address.rpartition(":")
    return (("target_addr", address), ("target_ip", ip), ("target_port", port))


def _port_of(address: str) -> str:
    return address.rpartition(":")[2]


def requests_of(entry: Entry, pod_ip: str) -> Iterator[Request]:
    """The requests a log line tells of.

    Args:
        entry: the line.
        pod_ip: virtual address of the proxy's pod.
    """
    if entry.direction in ("in", "gw"):
        yield _inbound(entry, pod_ip)
    if entry.direction in ("out", "gw"):
        yield _outbound(entry, pod_ip)


def _inbound(entry: Entry, pod_ip: str) -> Request:
    port = entry.text("port")
    client = entry.text("client_id")
    gateway = entry.direction == "gw"
    known = "" if gateway else entry.text("from")
    source = known or f"{entry.text('node') or pod_ip}:{_port_of(entry.text('src'))}"
    secured = (("tls", "true"), ("client_id", client))
    plain = (("tls", "no_identity"), ("no_tls_reason", "no_tls_from_remote"))
    address = f"{pod_ip}:{port}"
    labels = (
        ("direction", "inbound"),
        *_target(address),
        *(secured if client else plain),
        *_policy(entry, port),
    )
    return Request(entry, False, source, address, client, labels)


def _policy(entry: Entry, port: str) -> Labels:
    """Linkerd's labels of the server and of what let the client in."""
    server, authorization = entry.text("server"), (entry.text("authz"), entry.text("authz_name"))
    if entry.direction == "gw":
        server, authorization = "linkerd-gateway", ("authorizationpolicy", "linkerd-gateway")
    mode = entry.text("mode") or "all-unauthenticated"
    if not authorization[1] and not server:
        authorization = ("default", mode)
    group = "policy.linkerd.io"
    return (
        ("srv_group", group if server else ""),
        ("srv_kind", "server" if server else "default"),
        ("srv_name", server or mode),
        ("srv_port", port),
        *(("route_group", ""), ("route_kind", "default"), ("route_name", "default")),
        ("authz_group", group if server else ""),
        ("authz_kind", authorization[0]),
        ("authz_name", authorization[1]),
    )


def _outbound(entry: Entry, pod_ip: str) -> Request:
    route, host = entry.labels("route"), entry.labels("host")
    # A connection that failed showed no certificate, but it was to be a secured one.
    server = entry.text("server_id") or host.get("identity", "")
    address = host.get("target_addr", "")
    constants = {key: value for key, value in {**host, **route}.items() if key.startswith("dst_")}
    constants.pop("dst_port", None)
    labels = (
        ("direction", "outbound"),
        ("authority", route.get("authority", "")),
        *(_target(address) if address else ()),
        *((("tls", "true"), ("server_id", server)) if server else _NO_IDENTITY),
        *sorted(constants.items()),
    )
    source = f"{pod_ip}:{_port_of(entry.text('src'))}"
    if entry.direction == "gw":
        source = f"{pod_ip}:{names.GATEWAY_PORT}"
    return Request(entry, True, source, address, server, labels)
