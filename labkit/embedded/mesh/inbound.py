"""Envoy configuration for traffic that enters a meshed pod: application ports, gateway, admin.

An application port takes mutual TLS addressed to the pod's identity, foreign TLS (passed on to
the application unread) and, unless the pod's policy wants authenticated clients, plain text. The
gateway port takes nothing but mutual TLS under the trust anchors and serves the cluster's own
services by their full names. Metrics and tap of the proxy are behind 4191 and 4190.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from labkit.embedded.envoy import listeners, routes, tls
from labkit.embedded.envoy.clusters import METADATA, Protocol, Upstream, cluster
from labkit.embedded.envoy.types import Json
from labkit.embedded.mesh import names, outbound
from labkit.embedded.mesh.access_log import connection_fields, gateway_fields, inbound_fields
from labkit.embedded.mesh.outbound import Client
from labkit.embedded.mesh.policies import PortPolicy
from labkit.embedded.mesh.topology import Pod, Target

ERRORS = {"UF": 502, "UC": 502, "UR": 502, "UH": 502}
_IDLE_S = 15
"""Shorter than any application closes an idle connection itself."""

_FORWARDED = "by={identity};for=%DOWNSTREAM_PEER_DNS_SAN%;host=%REQ(:AUTHORITY)%;proto=https"


def app_ports(pod: Pod) -> list[int]:
    """The pod's application ports that the proxy stands before."""
    return sorted(
        port for port in pod.app_sockets if port in pod.sockets and port not in names.PROXY_PORTS
    )


def _mutual_tls(client: Client) -> Json:
    return tls.downstream_tls(leaf=client.leaf, anchors=client.anchors, xds_cluster=names.SDS)


def _source_filter() -> list[Json]:
    return [listeners.header_to_metadata(names.SOURCE_HEADER, "src")]


def _app_routes(name: str, *, http2: bool) -> Json:
    everything = routes.forward(f"{name}/h2" if http2 else name)
    grpc = routes.forward(f"{name}/h2", match=routes.GRPC)
    return routes.route_configuration(name, [routes.virtual_host("app", ["*"], [grpc, everything])])


def _refusal(name: str, policy: PortPolicy) -> Json:
    source = f"policy of server {policy.server}" if policy.server else "default inbound policy"
    reason = f"unauthorized request: {source} is {policy.mode}"
    answer = routes.answer(403, f"{reason}\n", headers={names.ERROR_HEADER: reason})
    return routes.route_configuration(name, [routes.virtual_host("refused", ["*"], [answer])])


def app_clusters(pod: Pod, client: Client) -> list[Json]:
    """The application itself, once per HTTP version (gRPC needs the second)."""
    result = []
    for port in app_ports(pod):
        upstream = [Upstream(pod.app_sockets[port])]
        name = f"{client.prefix}in/{port}"
        result.append(cluster(name, upstream, idle_timeout_s=_IDLE_S))
        result.append(
            cluster(f"{name}/h2", upstream, protocol=Protocol.HTTP2, idle_timeout_s=_IDLE_S)
        )
    return result


def app_listener(pod: Pod, port: int, client: Client, log: str) -> Json:
    """The listener of one application port."""
    name = f"{client.prefix}in/{port}"
    socket = pod.sockets[port]
    refused_log = [listeners.json_access_log(log, connection_fields(port))]
    passed_on = listeners.tcp_proxy(name, name)
    own_tls = {"transport_protocol": "tls", "server_names": [pod.identity]}
    foreign_tls = listeners.filter_chain([passed_on], match={"transport_protocol": "tls"})
    if port in pod.opaque_ports:
        opened = listeners.filter_chain([passed_on], match=own_tls, tls=_mutual_tls(client))
        raw = listeners.filter_chain([passed_on], match={"transport_protocol": "raw_buffer"})
        return listeners.listener(name, socket, [opened, foreign_tls, raw], inspect_tls=True)
    fields = inbound_fields(port, pod.host_ip, pod.policy_of(port))
    access_log = [listeners.json_access_log(log, fields)]

    policy = pod.policy_of(port)

    def manager(configuration: Json, *rights: Json) -> Json:
        return listeners.http_manager(
            name,
            routes=configuration,
            access_log=access_log,
            filters=[*_source_filter(), *rights],
            local_reply=listeners.error_answers(ERRORS, names.ERROR_HEADER),
        )

    app = _app_routes(name, http2=port in pod.http2_ports)
    rights = [] if policy.open_to_mesh else [listeners.allow_identities(policy.identities)]
    meshed = manager(app, *rights)
    chains = [listeners.filter_chain([meshed], match=own_tls, tls=_mutual_tls(client))]
    plain = manager(app if policy.unauthenticated else _refusal(name, policy))
    chains.append(listeners.filter_chain([plain], match={"transport_protocol": "raw_buffer"}))
    if policy.unauthenticated:
        chains.append(foreign_tls)
    return listeners.listener(name, socket, chains, inspect_tls=True, access_log=refused_log)


def gateway_listener(pod: Pod, client: Client, log: str) -> Json:
    """Port 4143 of a gateway: clients of the mesh only, whatever name they ask TLS for."""
    name = f"{client.prefix}gateway"
    port = names.GATEWAY_PORT
    manager = listeners.http_manager(
        name,
        route_name=name,
        xds_cluster=names.XDS,
        access_log=[listeners.json_access_log(log, gateway_fields(port, pod.host_ip))],
        filters=_source_filter(),
        local_reply=listeners.error_answers(outbound.ERRORS, names.ERROR_HEADER),
    )
    chain = listeners.filter_chain(
        [manager], match={"transport_protocol": "tls"}, tls=_mutual_tls(client)
    )
    result = listeners.listener(
        name,
        pod.sockets[port],
        [chain],
        inspect_tls=True,
        access_log=[listeners.json_access_log(log, connection_fields(port))],
    )
    # Behind a load balancer the client's address is that of the node, as in Kubernetes.
    result["metadata"] = {"filter_metadata": {METADATA: {"address": pod.ip}}}
    return result


def gateway_routes(pod: Pod, targets: Sequence[Target], client: Client) -> Json:
    """Full names of the cluster's own services to their endpoints; 508 for loops, 404 else."""
    forwarded = {"forwarded": _FORWARDED.format(identity=pod.identity), **outbound.SOURCE}
    loop: Json = {
        "prefix": "/",
        "headers": [{"name": "forwarded", "string_match": {"contains": f"by={pod.identity}"}}],
    }
    looped = routes.answer(
        508, "gateway loop\n", match=loop, headers={names.ERROR_HEADER: "gateway loop"}
    )
    hosts = [
        routes.virtual_host(
            target.key,
            [domain for domain in target.domains if f".svc.{names.CLUSTER_DOMAIN}" in domain],
            [looped, *_gateway_target(target, client, forwarded)],
        )
        for target in _exportable(targets)
    ]
    reason = "the gateway serves services of its own cluster only"
    missing = routes.answer(404, f"{reason}\n", headers={names.ERROR_HEADER: reason})
    everything = [*hosts, routes.virtual_host("unknown", ["*"], [missing])]
    return routes.route_configuration(f"{client.prefix}gateway", everything)


def _exportable(targets: Iterable[Target]) -> list[Target]:
    return [target for target in targets if "dst_service" in target.labels and not target.mirrored]


def _gateway_target(target: Target, client: Client, headers: dict[str, str]) -> list[Json]:
    """As the gateway's own outbound traffic, with the original client noted."""
    result = outbound.target_routes(target, client)
    if target.endpoints:
        labels = {"authority": target.authority, **target.labels}
        name = client.prefix + target.key
        result[-1] = routes.forward(name, labels=labels, request_headers=headers)
    return result


def proxy_clusters(client: Client, http_socket: Path) -> list[Json]:
    """The `linkerd-proxy` container's own HTTP server (metrics, readiness, tap)."""
    return [cluster(f"{client.prefix}proxy", [Upstream(http_socket)])]


def proxy_listener(pod: Pod, port: int, client: Client, paths: Sequence[str]) -> Json:
    """The listener of 4191 or 4190: some paths of the proxy's own server, mTLS or plain.

    `/ready` by mutual TLS is answered by Envoy itself: that it answers proves certificate and
    listener, and the round trip of a gateway's probe is then that of the network alone.
    """
    kind = "admin" if port == names.ADMIN_PORT else "tap"
    name = f"{client.prefix}{kind}/{port}"
    allowed = [routes.forward(f"{client.prefix}proxy", match={"path": path}) for path in paths]
    at_once = [routes.answer(200, "ready\n", match={"path": "/ready"})] if "/ready" in paths else []

    def manager(*first: Json) -> Json:
        found = [*first, *allowed, routes.answer(404, "not found\n")]
        configuration = routes.route_configuration(name, [routes.virtual_host(kind, ["*"], found)])
        return listeners.http_manager(name, routes=configuration)

    chains = [
        listeners.filter_chain(
            [manager(*at_once)], match={"transport_protocol": "tls"}, tls=_mutual_tls(client)
        ),
        listeners.filter_chain([manager()], match={"transport_protocol": "raw_buffer"}),
    ]
    return listeners.listener(name, pod.sockets[port], chains, inspect_tls=True)
