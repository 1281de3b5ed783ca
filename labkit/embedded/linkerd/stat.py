"""`linkerd viz stat`: success, requests per second and latency of workloads.

The figures come from metrics-api. Deliberately absent: `--unmeshed`, traffic splits and policy
resources.
"""

import argparse
from typing import Any

from labkit.embedded.linkerd.cluster import Cluster
from labkit.embedded.linkerd.output import err, out, out_json, table
from labkit.embedded.linkerd.portforward import viz_json
from labkit.embedded.linkerd.resources import one, resources, text

_PORT = 8085
_PERCENTILES = ("latency_ms_p50", "latency_ms_p95", "latency_ms_p99")
_TCP = ("tcp_open_connections", "tcp_read_bytes_rate", "tcp_write_bytes_rate")
Row = dict[str, Any]


def stat_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `viz stat`."""
    parser.add_argument("resource", nargs="+", metavar="RESOURCE")
    parser.add_argument("-n", "--namespace", default="")
    parser.add_argument("-A", "--all-namespaces", action="store_true")
    parser.add_argument("-t", "--time-window", default="1m")
    parser.add_argument("--to", default="")
    parser.add_argument("--to-namespace", default="")
    parser.add_argument("--from", dest="source", default="")
    parser.add_argument("--from-namespace", default="")
    parser.add_argument("-o", "--output", choices=["table", "json", "wide"], default="table")


def stat(options: argparse.Namespace) -> int:
    """`linkerd viz stat RESOURCE…`."""
    cluster = Cluster.of(options)
    namespace = "" if options.all_namespaces else options.namespace or cluster.endpoint.namespace
    rows: list[Row] = []
    for resource in resources(options.resource):
        # A namespace is not in a namespace: the one that was asked for is the name.
        scope = "" if resource[0] == "namespace" else namespace
        rows += viz_json(
            cluster,
            ("metrics-api", _PORT),
            "/api/stat",
            {
                "resource": text(resource),
                "namespace": scope,
                "window": options.time_window,
                "to": text(one(options.to.split())) if options.to else "",
                "to_namespace": options.to_namespace,
                "from": text(one(options.source.split())) if options.source else "",
                "from_namespace": options.from_namespace,
            },
        )
    if options.output == "json":
        out_json([_json_row(row) for row in rows])
    elif not rows:
        err("No traffic found.")
    else:
        out(_table(rows, options))
    return 0


def _json_row(row: Row) -> Row:
    keys = ("namespace", "kind", "name", "success", "rps", *_PERCENTILES)
    tcp = {key: row[key] for key in _TCP if key in row}
    return {**{key: row.get(key) for key in keys}, **tcp}


def _table(rows: list[Row], options: argparse.Namespace) -> str:
    wide = options.output == "wide"
    header = ["NAME", "MESHED", "SUCCESS", "RPS", "LATENCY_P50", "LATENCY_P95", "LATENCY_P99"]
    header += ["TCP_CONN"] if "tcp_open_connections" in rows[0] or not wide else []
    header += ["READ_BYTES/SEC", "WRITE_BYTES/SEC"] if wide else []
    lines = [_line(row, wide=wide)[: len(header)] for row in rows]
    if options.all_namespaces:
        header = ["NAMESPACE", *header]
        lines = [[row["namespace"], *line] for row, line in zip(rows, lines, strict=True)]
    return table(header, lines, right=len(header) - (1 + options.all_namespaces))


def _line(row: Row, *, wide: bool) -> list[str]:
    meshed = f"{row['meshed_pods']}/{row['running_pods']}" if row.get("running_pods") else "-"
    figures = [
        f"{row['success'] * 100:.2f}%" if row.get("success") is not None else "-",
        f"{row['rps']:.1f}rps" if row.get("rps") is not None else "-",
        *(f"{row[key]:.0f}ms" if row.get(key) is not None else "-" for key in _PERCENTILES),
        f"{row['tcp_open_connections']}" if row.get("tcp_open_connections") is not None else "-",
    ]
    if wide:
        figures += [f"{row[key]:.1f}B/s" if row.get(key) is not None else "-" for key in _TCP[1:]]
    return [row["name"], meshed, *figures]
