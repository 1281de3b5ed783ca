"""`linkerd viz edges`: who talks to whom inside the cluster, and whether it is secured."""

import argparse
from typing import Any

from labkit.embedded.linkerd.cluster import Cluster
from labkit.embedded.linkerd.output import SUCCESS, err, glyph, out, out_json, table
from labkit.embedded.linkerd.portforward import viz_json
from labkit.embedded.linkerd.resources import one
from labkit.errors import InputError

_PORT = 8085


def edges_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `viz edges`."""
    parser.add_argument("resource", nargs="+", metavar="RESOURCETYPE")
    parser.add_argument("-n", "--namespace", default="")
    parser.add_argument("-A", "--all-namespaces", action="store_true")
    parser.add_argument("-o", "--output", choices=["table", "json", "wide"], default="table")


def edges(options: argparse.Namespace) -> int:
    """`linkerd viz edges RESOURCETYPE`."""
    kind, name = one(options.resource)
    if name:
        raise InputError("Edges cannot be returned for a specific resource name; remove the name")
    cluster = Cluster.of(options)
    namespace = "" if options.all_namespaces else options.namespace or cluster.endpoint.namespace
    rows = viz_json(
        cluster, ("metrics-api", _PORT), "/api/edges", {"resource": kind, "namespace": namespace}
    )
    if options.output == "json":
        out_json(rows)
    elif not rows:
        err("No edges found.")
    else:
        out(_table(rows, wide=options.output == "wide"))
    return 0


def _table(rows: list[dict[str, Any]], *, wide: bool) -> str:
    header = ["SRC", "DST", "SRC_NS", "DST_NS"]
    header += ["CLIENT_ID", "SERVER_ID", "SECURED"] if wide else ["SECURED"]
    lines = []
    for row in rows:
        identities = [row["client_id"], row["server_id"]] if wide else []
        secured = row["no_tls_reason"] or glyph(SUCCESS)
        ends = [row["src"], row["dst"], row["src_namespace"], row["dst_namespace"]]
        lines.append([*ends, *identities, secured])
    return table(header, lines)
