"""Clusters (upstreams) with their endpoints inline.

Endpoints are inline and not by EDS: an EDS subscription per cluster would cost a poll each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from labkit.embedded.envoy import addresses
from labkit.embedded.envoy.types import Json, typed

METADATA = "labkit"
"""The metadata namespace of constants that access logs quote."""

_MATCH = "envoy.transport_socket_match"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

KEEPALIVE = {"interval": "10s", "timeout": "3s"}
"""HTTP/2 pings between proxies, as Linkerd's: a dead peer is noticed within 13 s."""


class Protocol(Enum):
    """The HTTP version spoken to a cluster."""

    HTTP1 = "http1"
    HTTP2 = "http2"
    SAME_AS_CLIENT = "same"


@dataclass(frozen=True)
class Upstream:
    """One endpoint of a cluster.

    Attributes:
        address: HOST:PORT, or the path of a unix socket.
        labels: constants quoted by access logs (`%METADATA(UPSTREAM_HOST:labkit)%`).
        transport: key of the transport socket to use; None: plaintext.
    """

    address: str | Path
    labels: Mapping[str, str] = field(default_factory=dict)
    transport: str | None = None


def _endpoint(upstream: Upstream) -> Json:
    address = upstream.address
    envoy_address = addresses.pipe(address) if isinstance(address, Path) else addresses.tcp(address)
    metadata: Json = {}
    if upstream.labels:
        metadata[METADATA] = dict(upstream.labels)
    if upstream.transport is not None:
        metadata[_MATCH] = {"socket": upstream.transport}
    endpoint: Json = {"endpoint": {"address": envoy_address}}
    if metadata:
        endpoint["metadata"] = {"filter_metadata": metadata}
    return endpoint


def _protocol_options(protocol: Protocol, *, keepalive: bool, idle_timeout_s: float | None) -> Json:
    http2: Json = {"connection_keepalive": KEEPALIVE} if keepalive else {}
    choices: dict[Protocol, Json] = {
        Protocol.HTTP1: {"explicit_http_config": {"http_protocol_options": {}}},
        Protocol.HTTP2: {"explicit_http_config": {"http2_protocol_options": http2}},
        Protocol.SAME_AS_CLIENT: {
            "use_downstream_protocol_config": {
                "http_protocol_options": {},
                "http2_protocol_options": http2,
            }
        },
    }
    options = choices[protocol]
    if idle_timeout_s is not None:
        options["common_http_protocol_options"] = {"idle_timeout": f"{idle_timeout_s}s"}
    return {_HTTP_OPTIONS: typed(_HTTP_OPTIONS, **options)}


def cluster(
    name: str,
    upstreams: Sequence[Upstream],
    *,
    protocol: Protocol = Protocol.HTTP1,
    transports: Mapping[str, Json] | None = None,
    keepalive: bool = False,
    idle_timeout_s: float | None = None,
    connect_timeout_s: float = 1.0,
) -> Json:
    """A STATIC cluster.

    Args:
        name: unique within the Envoy.
        upstreams: its endpoints.
        protocol: the HTTP version spoken to them.
        transports: TLS transport sockets by the key that endpoints name.
        keepalive: send HTTP/2 pings.
        idle_timeout_s: close idle connections after so many seconds; must be below the server's
            own limit, else a request can meet a connection that is just being closed.
        connect_timeout_s: TCP and TLS handshake together.
    """
    result = typed(
        "envoy.config.cluster.v3.Cluster",
        name=name,
        type="STATIC",
        connect_timeout=f"{connect_timeout_s}s",
        lb_policy="LEAST_REQUEST",
        load_assignment={
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [_endpoint(upstream) for upstream in upstreams]}],
        },
        typed_extension_protocol_options=_protocol_options(
            protocol, keepalive=keepalive, idle_timeout_s=idle_timeout_s
        ),
    )
    used = {upstream.transport for upstream in upstreams}
    if transports and used == {None}:
        return result
    if transports and len(used) == 1:
        result["transport_socket"] = transports[next(iter(used)) or ""]
    elif transports:
        result["transport_socket_matches"] = _matches(transports)
    return result


def _matches(transports: Mapping[str, Json]) -> list[Json]:
    matches: list[Json] = [
        {"name": key, "match": {"socket": key}, "transport_socket": transport}
        for key, transport in sorted(transports.items())
    ]
    plaintext = {
        "name": "envoy.transport_sockets.raw_buffer",
        "typed_config": typed("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"),
    }
    return [*matches, {"name": "plaintext", "match": {}, "transport_socket": plaintext}]
