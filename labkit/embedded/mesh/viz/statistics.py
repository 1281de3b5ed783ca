"""Linkerd's success rates, request rates and latencies as PromQL and back as rows.

The formulas are those of `linkerd viz stat`: success and requests per second from increases of
`response_total`, quantiles from the irate of the latency buckets. A quantile is therefore only as
fine as its bucket. Pure: text out, JSON of Prometheus in.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.embedded.mesh.viz.promql_syntax import BadQuery, parse_duration
from labkit.embedded.mesh.viz.resources import Resource, parse_resource
from labkit.errors import InputError

Row = dict[str, Any]
Samples = Iterable[Mapping[str, Any]]
Key = tuple[str, str]
"""Namespace and name of a resource."""

QUANTILES = {"latency_ms_p50": "0.5", "latency_ms_p95": "0.95", "latency_ms_p99": "0.99"}
_WHOLE = (*QUANTILES, "tcp_open_connections")
_FIGURES = (*_WHOLE, "tcp_read_bytes_rate", "tcp_write_bytes_rate")
_MINIMUM_WINDOW_S = 15.0


@dataclass(frozen=True)
class StatRequest:
    """What `linkerd viz stat` asks.

    Attributes:
        resource: whose traffic; with `to` or `from_` the view is the client's proxy.
        namespace: empty for all.
        window: of the rates, a Prometheus duration.
    """

    resource: Resource
    namespace: str = ""
    window: str = "1m"
    to: Resource | None = None
    to_namespace: str = ""
    from_: Resource | None = None
    from_namespace: str = ""

    @property
    def window_s(self) -> float:
        """The window in seconds."""
        return parse_duration(self.window).total_seconds()


def parse_stat_request(query: Mapping[str, str]) -> StatRequest:
    """Read the parameters of `/api/stat`.

    Raises:
        InputError: an unknown kind, or a window that is no duration of at least 15 s.
    """
    window = query.get("window") or query.get("time_window") or "1m"
    try:
        seconds = parse_duration(window).total_seconds()
    except BadQuery as error:
        raise InputError(str(error)) from error
    if seconds < _MINIMUM_WINDOW_S:
        raise InputError("metrics time window needs to be at least 15s")
    namespace = query.get("namespace", "")
    to, from_ = query.get("to", ""), query.get("from", "")
    return StatRequest(
        resource=parse_resource(query.get("resource", "deployment")),
        namespace=namespace,
        window=window,
        to=parse_resource(to) if to else None,
        to_namespace=query.get("to_namespace") or namespace,
        from_=parse_resource(from_) if from_ else None,
        from_namespace=query.get("from_namespace") or namespace,
    )


def _conditions(resource: Resource, namespace: str, *, prefix: str) -> list[str]:
    found = []
    if resource.kind == "authority":
        return [f'authority="{resource.name}"'] if resource.name else ['authority!=""']
    if resource.kind != "namespace" and namespace:
        found.append(f'{prefix}namespace="{namespace}"')
    label = f"{prefix}{resource.label}"
    found.append(f'{label}="{resource.name}"' if resource.name else f'{label}!=""')
    return found


def _is_destination(resource: Resource) -> bool:
    """Services and authorities have no proxy: only their clients' proxies know them."""
    return resource.kind in ("service", "authority")


def selector(request: StatRequest) -> tuple[str, str, str]:
    """The label matchers of a request, and the labels of namespace and name of its rows."""
    resource = request.resource
    if request.from_ is not None or _is_destination(resource):
        own = _conditions(resource, request.namespace, prefix="dst_")
        other = (
            _conditions(request.from_, request.from_namespace, prefix="") if request.from_ else []
        )
        name = "authority" if resource.kind == "authority" else f"dst_{resource.label}"
        return ",".join(['direction="outbound"', *own, *other]), "dst_namespace", name
    own = _conditions(resource, request.namespace, prefix="")
    if request.to is not None:
        other = _conditions(request.to, request.to_namespace, prefix="dst_")
        return ",".join(['direction="outbound"', *own, *other]), "namespace", resource.label
    return ",".join(['direction="inbound"', *own]), "namespace", resource.label


def stat_queries(request: StatRequest) -> dict[str, str]:
    """PromQL for each figure of a row."""
    labels, namespace, name = selector(request)
    by = name if namespace == name else f"{namespace}, {name}"
    window = request.window
    peer = "dst" if 'direction="outbound"' in labels else "src"
    tcp = f'{labels},peer="{peer}"'
    return {
        "responses": f"sum by ({by}, classification) "
        f"(increase(response_total{{{labels}}}[{window}]))",
        "tcp_open_connections": f"sum by ({by}) (tcp_open_connections{{{tcp}}})",
        "tcp_read_bytes_rate": f"sum by ({by}) (rate(tcp_read_bytes_total{{{tcp}}}[{window}]))",
        "tcp_write_bytes_rate": f"sum by ({by}) (rate(tcp_write_bytes_total{{{tcp}}}[{window}]))",
        **{
            name_of: f"histogram_quantile({quantile}, sum by (le, {by}) "
            f"(irate(response_latency_ms_bucket{{{labels}}}[{window}])))"
            for name_of, quantile in QUANTILES.items()
        },
    }


def stat_rows(
    request: StatRequest, answers: Mapping[str, Samples], known: Iterable[Key] = ()
) -> list[Row]:
    """Rows in the shape of `linkerd viz stat -o json`.

    Args:
        request: what was asked.
        answers: Prometheus' vectors for each query of `stat_queries`.
        known: resources that exist; those without traffic get a row of nulls.
    """
    _, namespace, name = selector(request)
    rows = {key: _empty_row(request, key) for key in known}
    counts: dict[Key, dict[str, float]] = {}

    def key_of(sample: Mapping[str, Any]) -> Key:
        metric = sample["metric"]
        return metric.get(namespace, ""), metric.get(name, "")

    for sample in answers.get("responses", ()):
        value = float(sample["value"][1])
        classes = counts.setdefault(key_of(sample), {})
        classes[sample["metric"].get("classification", "")] = value
    for key, classes in counts.items():
        total = sum(classes.values())
        if total > 0:
            row = rows.setdefault(key, _empty_row(request, key))
            row["success"] = classes.get("success", 0.0) / total
            row["rps"] = total / request.window_s
    for figure in _FIGURES:
        for sample in answers.get(figure, ()):
            value = float(sample["value"][1])
            row = rows.setdefault(key_of(sample), _empty_row(request, key_of(sample)))
            if math.isfinite(value):
                row[figure] = round(value) if figure in _WHOLE else value
    return [rows[key] for key in sorted(rows)]


def _empty_row(request: StatRequest, key: Key) -> Row:
    row: Row = {"namespace": key[0], "kind": request.resource.kind, "name": key[1]}
    return row | dict.fromkeys(("success", "rps", *QUANTILES))


def edge_queries(resource: Resource, namespace: str) -> dict[str, str]:
    """PromQL of `linkerd viz edges`: who talks to whom, seen from both ends."""
    label, window = resource.label, "1m"
    scope = f',namespace="{namespace}"' if namespace else ""
    return {
        "outbound": f"sum by (namespace, {label}, dst_namespace, dst_{label}, server_id, "
        f'no_tls_reason) (increase(response_total{{direction="outbound",{label}!="",'
        f'dst_{label}!=""{scope}}}[{window}]))',
        "inbound": f"sum by (namespace, {label}, client_id, no_tls_reason) "
        f'(increase(response_total{{direction="inbound",{label}!=""}}[{window}]))',
    }


def edge_rows(
    resource: Resource, answers: Mapping[str, Samples], identities: Mapping[Key, str]
) -> list[Row]:
    """Rows in the shape of `linkerd viz edges -o json`; an empty reason means secured.

    Args:
        resource: the kind that was asked for.
        answers: Prometheus' vectors for both queries.
        identities: `sa.namespace` of each resource, which tells the clients of one server apart.
    """
    label = resource.label
    clients: dict[Key, set[str]] = {}
    for sample in answers.get("inbound", ()):
        metric = sample["metric"]
        client = short_identity(metric.get("client_id", ""))
        clients.setdefault((metric.get("namespace", ""), metric.get(label, "")), set()).add(client)
    rows = {}
    for sample in answers.get("outbound", ()):
        metric = sample["metric"]
        src = (metric.get("namespace", ""), metric.get(label, ""))
        dst = (metric.get("dst_namespace", ""), metric.get(f"dst_{label}", ""))
        own = identities.get(src, "")
        rows[src, dst] = {
            "src": src[1],
            "src_namespace": src[0],
            "dst": dst[1],
            "dst_namespace": dst[0],
            "client_id": own if own in clients.get(dst, ()) else "",
            "server_id": short_identity(metric.get("server_id", "")),
            "no_tls_reason": metric.get("no_tls_reason", ""),
        }
    return [rows[key] for key in sorted(rows)]


def short_identity(identity: str) -> str:
    """`sa.namespace` of a full workload identity.

    Example:
        >>> short_identity("web.emojivoto.serviceaccount.identity.linkerd.cluster.local")
        'web.emojivoto'
    """
    return ".".join(identity.split(".")[:2])


def gateway_rows(alive: Samples, latency: Samples, services: Mapping[str, int]) -> list[Row]:
    """Rows in the shape of `linkerd multicluster gateways -o json`.

    Args:
        alive: `gateway_alive` of the links with a gateway.
        latency: `gateway_latency`.
        services: mirror Services of each cluster.
    """
    label = "target_cluster_name"
    found = {s["metric"][label]: float(s["value"][1]) for s in latency if label in s["metric"]}
    return [
        {
            "clusterName": name,
            "alive": float(sample["value"][1]) == 1,
            "numberOfServices": services.get(name, 0),
            "latency": round(found.get(name, 0.0)),
        }
        for name, sample in sorted((s["metric"].get(label, ""), s) for s in alive)
    ]
