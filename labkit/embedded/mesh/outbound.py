"""Envoy configuration for traffic that leaves a pod: clusters and virtual hosts of all targets.

One cluster per target. Endpoints in the mesh are dialled with mutual TLS and HTTP/2 and must show
the identity of their service account; others are dialled in plain text with the client's own HTTP
version. A target without a ready endpoint answers 504 at once (Linkerd's fail-fast); an unknown
authority answers 502.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from labkit.embedded.envoy import listeners, routes, tls
from labkit.embedded.envoy.clusters import METADATA, Protocol, Upstream, cluster
from labkit.embedded.envoy.types import Json
from labkit.embedded.mesh import names
from labkit.embedded.mesh.access_log import outbound_fields
from labkit.embedded.mesh.topology import Endpoint, Pod, Target

CONNECT_TIMEOUT_S = 3.0
"""TCP and TLS together; Linkerd's 1 s is only for TCP, which here ends on this machine."""

ERRORS = {"UF": 502, "UC": 502, "UR": 502, "LR": 502, "NC": 504, "UH": 504, "UT": 504}
"""Envoy's response flags to Linkerd's answers: 502 connection failed, 504 nobody there."""

SOURCE = {names.SOURCE_HEADER: f"%METADATA(LISTENER:{METADATA}:address)%:%DOWNSTREAM_REMOTE_PORT%"}


@dataclass(frozen=True)
class Client:
    """Whose traffic it is.

    Attributes:
        prefix: put before every name; empty when the Envoy serves this pod only.
        meshed: whether it has a certificate to show; without one everything is plain text.
    """

    prefix: str = ""
    meshed: bool = True

    @property
    def leaf(self) -> str:
        """Name of the secret with its certificate."""
        return f"{self.prefix}leaf"

    @property
    def anchors(self) -> str:
        """Name of the secret with its trust anchors."""
        return f"{self.prefix}anchors"


def _labels(target: Target, endpoint: Endpoint) -> dict[str, str]:
    labels = {"target_addr": endpoint.address, **target.labels, **endpoint.labels}
    return labels | ({"identity": endpoint.identity} if endpoint.identity else {})


def target_cluster(target: Target, client: Client) -> Json:
    """The cluster of a target that has endpoints."""
    identities = {e.identity for e in target.endpoints if e.identity} if client.meshed else set()
    upstreams = [
        Upstream(
            endpoint.socket,
            labels=_labels(target, endpoint),
            transport=endpoint.identity if client.meshed else None,
        )
        for endpoint in target.endpoints
    ]
    secured = bool(identities) and all(e.identity for e in target.endpoints) and not target.opaque
    return cluster(
        client.prefix + target.key,
        upstreams,
        protocol=Protocol.HTTP2 if secured else Protocol.SAME_AS_CLIENT,
        transports={
            identity: tls.upstream_tls(
                server_name=identity,
                leaf=client.leaf,
                anchors=client.anchors,
                xds_cluster=names.SDS,
            )
            for identity in sorted(identities)
        },
        keepalive=secured,
        idle_timeout_s=None if secured else 30,
        connect_timeout_s=CONNECT_TIMEOUT_S,
    )


def _failure(status: int, reason: str, *, labels: dict[str, str] | None = None) -> list[Json]:
    headers = {names.ERROR_HEADER: reason}
    body = f"{reason}\n"
    return [
        routes.answer(status, body, match=match, headers=headers, labels=labels)
        for match in (routes.CONNECT, routes.ANY)
    ]


def target_routes(target: Target, client: Client) -> list[Json]:
    """The routes to a target: a tunnel, and requests."""
    labels = {"authority": target.authority, **target.labels}
    if not target.endpoints:
        return _failure(504, f"{target.authority}: service in fail-fast", labels=labels)
    name = client.prefix + target.key
    meshed_peer = any(endpoint.identity for endpoint in target.endpoints)
    return [
        routes.forward(name, match=routes.CONNECT, labels=labels),
        routes.forward(
            name,
            authority=target.rewrite,
            labels=labels,
            request_headers=SOURCE if meshed_peer else None,
        ),
    ]


def rule_routes(target: Target, targets: Mapping[str, Target], client: Client) -> list[Json]:
    """The routes to a target whose requests HTTPRoutes share out; what fits no rule is a 404."""
    parent = {f"parent_{key.removeprefix('dst_')}": value for key, value in target.labels.items()}
    found: list[Json] = []
    for rule in target.rules:
        labels = {"authority": target.authority, **parent, **rule.labels}
        shares = [_share(key, weight, targets, client) for key, weight in rule.backends if weight]
        for match in rule.matches:
            if shares:
                split = routes.split(shares, match=match, labels=labels, request_headers=SOURCE)
                found.append(split)
            else:
                reason = f"{rule.labels['route_name']}: no backend has a weight"
                headers = {names.ERROR_HEADER: reason}
                refusal = routes.answer(
                    500, f"{reason}\n", match=match, headers=headers, labels=labels
                )
                found.append(refusal)
    labels = {"authority": target.authority, **target.labels}
    return [*found, *_failure(404, f"{target.authority}: no route matches", labels=labels)]


def _share(key: str, weight: int, targets: Mapping[str, Target], client: Client) -> routes.Share:
    """A backend's share; one without endpoints fails its own, as in Linkerd."""
    backend = targets.get(key)
    if backend is None or not backend.endpoints:
        return routes.Share(f"{client.prefix}{key}/nobody", weight)
    return routes.Share(client.prefix + key, weight, backend.rewrite)


def clusters(targets: Iterable[Target], client: Client) -> list[Json]:
    """The clusters of all targets that somebody answers for."""
    return [target_cluster(target, client) for target in targets if target.endpoints]


def route_configuration(
    name: str, targets: Sequence[Target], client: Client, *, namespace: str
) -> Json:
    """What the authorities mean for clients in a namespace."""
    by_key = {target.key: target for target in targets}
    hosts = [
        routes.virtual_host(
            target.key,
            [*target.domains, *(target.local_domains if target.namespace == namespace else ())],
            rule_routes(target, by_key, client)
            if target.rules and client.meshed
            else target_routes(target, client),
        )
        for target in targets
    ]
    unknown = _failure(502, "no such service, pod or address")
    return routes.route_configuration(
        name, [*hosts, routes.virtual_host("unknown", ["*"], unknown)]
    )


def listener(pod: Pod, prefix: str, *, route_name: str, log: str | None) -> Json:
    """The pod's HTTP proxy (port 4140 in Linkerd) on its egress socket.

    Args:
        pod: whose egress it is.
        prefix: put before every name.
        route_name: the route configuration to fetch.
        log: path of the access log, if any.
    """
    access_log = [listeners.json_access_log(log, outbound_fields())] if log else []
    manager = listeners.http_manager(
        f"{prefix}outbound",
        route_name=route_name,
        xds_cluster=names.XDS,
        access_log=access_log,
        local_reply=listeners.error_answers(ERRORS, names.ERROR_HEADER),
    )
    result = listeners.listener(
        f"{prefix}outbound", pod.egress, [listeners.filter_chain([manager])]
    )
    result["metadata"] = {"filter_metadata": {METADATA: {"address": pod.ip}}}
    return result
