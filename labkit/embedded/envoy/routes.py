"""Route configurations: virtual hosts by name, direct answers, CONNECT tunnels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.embedded.envoy.clusters import METADATA
from labkit.embedded.envoy.types import Json, typed

ANY: Json = {"prefix": "/"}
CONNECT: Json = {"connect_matcher": {}}
GRPC: Json = {
    "prefix": "/",
    "headers": [{"name": "content-type", "string_match": {"prefix": "application/grpc"}}],
}


def _header(name: str, value: str) -> Json:
    return {
        "header": {"key": name, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def forward(
    cluster: str,
    *,
    match: Json = ANY,
    authority: str | None = None,
    labels: Mapping[str, str] | None = None,
    request_headers: Mapping[str, str] | None = None,
) -> Json:
    """A route to a cluster, without any timeout of its own.

    Args:
        cluster: the cluster's name.
        match: which requests; `CONNECT` makes it a raw TCP tunnel.
        authority: rewrite `:authority` to this.
        labels: constants quoted by access logs (`%METADATA(ROUTE:labkit)%`).
        request_headers: headers set on the request; values may hold Envoy's operators.
    """
    action: Json = {"cluster": cluster, "timeout": "0s"}
    if authority is not None:
        action["host_rewrite_literal"] = authority
    if match is CONNECT:
        action["upgrade_configs"] = [{"upgrade_type": "CONNECT", "connect_config": {}}]
    route: Json = {"match": match, "route": action}
    if request_headers:
        route["request_headers_to_add"] = [_header(*item) for item in request_headers.items()]
    return _labelled(route, labels)


@dataclass(frozen=True)
class Share:
    """One of the clusters that share out a route's requests.

    Attributes:
        cluster: its name; one that does not exist fails its share.
        weight: its share of the sum of weights.
        authority: rewrite `:authority` to this; None: leave it.
    """

    cluster: str
    weight: int
    authority: str | None = None


def split(
    shares: Sequence[Share],
    *,
    match: Json,
    labels: Mapping[str, str],
    request_headers: Mapping[str, str],
) -> Json:
    """A route whose requests are shared out at random by weight; `forward` tells the rest."""
    clusters: list[Json] = [
        {"name": share.cluster, "weight": share.weight}
        | ({} if share.authority is None else {"host_rewrite_literal": share.authority})
        for share in shares
    ]
    action: Json = {"weighted_clusters": {"clusters": clusters}, "timeout": "0s"}
    route: Json = {
        "match": match,
        "route": action,
        "request_headers_to_add": [_header(*item) for item in request_headers.items()],
    }
    return _labelled(route, labels)


def answer(
    status: int,
    body: str,
    *,
    match: Json = ANY,
    headers: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Json:
    """A route that Envoy answers itself."""
    route: Json = {
        "match": match,
        "direct_response": {"status": status, "body": {"inline_string": body}},
    }
    if headers:
        route["response_headers_to_add"] = [_header(*item) for item in headers.items()]
    return _labelled(route, labels)


def _labelled(route: Json, labels: Mapping[str, str] | None) -> Json:
    if labels:
        route["metadata"] = {"filter_metadata": {METADATA: dict(labels)}}
    return route


def virtual_host(name: str, domains: Sequence[str], routes: Sequence[Json]) -> Json:
    """Requests whose authority is one of `domains` (`*` for any) take the first fitting route."""
    return {"name": name, "domains": list(domains), "routes": list(routes)}


def route_configuration(name: str, virtual_hosts: Sequence[Json]) -> Json:
    """All virtual hosts of a listener.

    Envoy rejects the whole configuration when two hosts claim one domain, so the first one keeps
    it, and a host without a domain left is dropped.
    """
    taken: set[str] = set()
    hosts: list[Json] = []
    for host in virtual_hosts:
        domains = [d for d in dict.fromkeys(host["domains"]) if d not in taken]
        taken.update(domains)
        if domains:
            hosts.append(host | {"domains": domains})
    return typed(
        "envoy.config.route.v3.RouteConfiguration",
        name=name,
        virtual_hosts=hosts,
    )
