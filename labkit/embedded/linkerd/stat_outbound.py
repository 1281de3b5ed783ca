"""`linkerd viz stat-outbound`: what a workload sends, by route and by backend.

Prometheus is asked directly, as the real command does. gRPC failures are not seen by these metrics,
there as here. Deliberately absent: retries and `--prometheusURL`.
"""

import argparse
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from labkit.embedded.linkerd.cluster import Cluster
from labkit.embedded.linkerd.output import err, out, table
from labkit.embedded.linkerd.portforward import viz_json
from labkit.embedded.linkerd.resources import one

_PORT = 9090
_QUANTILES = {"latencyMsP50": 0.5, "latencyMsP95": 0.95, "latencyMsP99": 0.99}
_ROUTE = ("parent_name", "parent_port", "route_kind", "route_name")
_BACKEND = (*_ROUTE, "backend_name", "backend_port")
_REQUEST = ("outbound_http_route_request_statuses_total", "request_duration_seconds")
_RESPONSE = ("outbound_http_route_backend_response_statuses_total", "response_duration_seconds")


class _Question(NamedTuple):
    cluster: Cluster
    selector: str
    label: str
    window: str


def stat_outbound_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `viz stat-outbound`."""
    parser.add_argument("resource", nargs="+", metavar="RESOURCE")
    parser.add_argument("-n", "--namespace", default="")
    parser.add_argument("-t", "--time-window", default="1m")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")


def stat_outbound(options: argparse.Namespace) -> int:
    """`linkerd viz stat-outbound TYPE/NAME`."""
    kind, name = one(options.resource)
    cluster = Cluster.of(options)
    label = "k8s_job" if kind == "job" else kind
    selector = f'namespace="{options.namespace or cluster.endpoint.namespace}"'
    selector += f',{label}="{name}"' if name else f',{label}!=""'
    question = _Question(cluster, selector, label, options.time_window)
    routes = _figures(question, _ROUTE, "outbound_http_route", _REQUEST)
    backends = _figures(question, _BACKEND, "outbound_http_route_backend", _RESPONSE)
    rows: list[dict[str, Any]] = []
    for key, route in sorted(routes.items()):
        rows.append({**_head(key), **route, "timeoutRate": 0.0, "retryRate": 0.0})
        for other, backend in sorted(backends.items()):
            if other[: len(key)] == key:
                named = {"backend": other[-2], "backendPort": other[-1]}
                rows.append({**_head(key), **named, **backend, "timeoutRate": 0.0})
    if options.output == "json":
        out(json.dumps(rows, separators=(",", ":")))
    elif not rows:
        err("No traffic found.")
    else:
        out(_table(rows))
    return 0


def _head(key: tuple[str, ...]) -> dict[str, Any]:
    owner, parent, port, route_kind, route = key[:5]
    synthesized = route_kind == "default"
    return {
        "name": owner,
        "service": parent,
        "port": port,
        "route": "[default]" if synthesized else route,
        "routeType": "" if synthesized else route_kind,
    }


def _ask(question: _Question, expression: str) -> list[dict[str, Any]]:
    answer = viz_json(
        question.cluster, ("prometheus", _PORT), "/api/v1/query", {"query": expression}
    )
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def _figures(
    question: _Question, labels: tuple[str, ...], prefix: str, names: tuple[str, str]
) -> dict[tuple[str, ...], dict[str, Any]]:
    """Success, rate and latency of each route (or backend)."""
    statuses, duration = names
    by = (question.label, *labels)
    seconds = _seconds(question.window)
    grouped = ", ".join(by)
    counts: dict[tuple[str, ...], tuple[float, float]] = {}
    for sample in _ask(
        question,
        f"sum by ({grouped}, http_status, error) "
        f"(increase({statuses}{{{question.selector}}}[{question.window}]))",
    ):
        key = _key(sample["metric"], by)
        value = float(sample["value"][1])
        good, total = counts.get(key, (0.0, 0.0))
        counts[key] = (good + (0.0 if _failed(sample["metric"]) else value), total + value)
    rows: dict[tuple[str, ...], dict[str, Any]] = {
        key: {"successRate": good / total, "rps": total / seconds, **dict.fromkeys(_QUANTILES)}
        for key, (good, total) in counts.items()
        if total > 0
    }
    for figure, quantile in _QUANTILES.items():
        for sample in _ask(
            question,
            f"histogram_quantile({quantile}, sum by (le, {grouped}) "
            f"(rate({prefix}_{duration}_bucket{{{question.selector}}}[{question.window}])))",
        ):
            value = float(sample["value"][1])
            key = _key(sample["metric"], by)
            if key in rows and math.isfinite(value):
                rows[key][figure] = round(value * 1000, 3)
    return rows


def _key(metric: Mapping[str, str], by: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(metric.get(label, "") for label in by)


def _failed(metric: Mapping[str, str]) -> bool:
    return bool(metric.get("error")) or metric.get("http_status", "").startswith("5")


def _seconds(window: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600}
    return float(window[:-1]) * units.get(window[-1:], 1)


def _table(rows: list[dict[str, Any]]) -> str:
    header = ["NAME", "SERVICE", "ROUTE", "TYPE", "BACKEND", "SUCCESS", "RPS"]
    header += ["LATENCY_P50", "LATENCY_P95", "LATENCY_P99"]
    lines = []
    for row in rows:
        inner = "backend" in row
        lines.append(
            [
                "" if inner else row["name"],
                "" if inner else f"{row['service']}:{row['port']}",
                "├─" if inner else row["route"],
                "" if inner else row["routeType"],
                f"{row['backend']}:{row['backendPort']}" if inner else "",
                f"{row['successRate'] * 100:.2f}%",
                f"{row['rps']:.2f}",
                *(_milliseconds(row[key]) for key in _QUANTILES),
            ]
        )
    return table(header, lines, right=5)


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}ms"
