"""`linkerd multicluster gateways`: is each linked cluster's gateway alive, and how far away.

The figures come from the service mirror that holds the Link's lease, by port-forward to its admin
port. A gateway whose controller does not answer is told on stderr and left out, exit code 0.
"""

import argparse
from typing import Any

from labkit.embedded.linkerd.cluster import Cluster, Object
from labkit.embedded.linkerd.multicluster import NAMESPACE
from labkit.embedded.linkerd.output import err, out, out_json, table
from labkit.embedded.linkerd.portforward import http_response
from labkit.errors import LabkitError

LINKS = "/apis/multicluster.linkerd.io/v1alpha3/links"
MIRRORED = "mirror.linkerd.io/mirrored-service=true"
_ADMIN_PORT = 9999


def gateways_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `multicluster gateways`."""
    parser.add_argument("--cluster-name", default="")
    parser.add_argument("-w", "--wait", default="30s")
    parser.add_argument("-o", "--output", default="table")


def gateways(options: argparse.Namespace) -> int:
    """`linkerd multicluster gateways`."""
    cluster = Cluster.of(options)
    rows = []
    for link in cluster.list(LINKS):
        name = link["spec"]["targetClusterName"]
        if options.cluster_name not in ("", name):
            continue
        try:
            row = gateway_row(cluster, link)
        except LabkitError as error:
            err(f"Failed to get gateway status for {name}: {error.what}: {error.seen}")
            continue
        if row is not None:
            rows.append(row)
    if options.output == "json":
        # Go writes an empty slice as null.
        out_json(rows or None)
    else:
        header = ["CLUSTER", "ALIVE", "NUM_SVC", "LATENCY"]
        out(table(header, [_line(row) for row in rows], right=2))
    return 0


def _line(row: dict[str, Any]) -> list[str]:
    latency = f"{row['latency']}ms" if row["alive"] else "-"
    return [row["clusterName"], str(row["alive"]), str(row["numberOfServices"]), latency]


def gateway_row(cluster: Cluster, link: Object) -> dict[str, Any] | None:
    """A row for a Link, None when it has no gateway.

    Raises:
        LabkitError: its controller does not answer.
    """
    name = link["spec"]["targetClusterName"]
    pod = leader(cluster, link)
    target = (link["metadata"].get("namespace", NAMESPACE), pod, _ADMIN_PORT)
    with http_response(cluster, target, "/metrics") as response:
        metrics = gauges(response.read().decode(), name)
    if metrics.get("gateway_enabled") != 1:
        return None
    services = cluster.list(
        "/api/v1/services", labelSelector=f"{MIRRORED},mirror.linkerd.io/cluster-name={name}"
    )
    return {
        "clusterName": name,
        "alive": metrics.get("gateway_alive") == 1,
        "numberOfServices": len(services),
        "latency": int(metrics.get("gateway_latency", 0)),
    }


def leader(cluster: Cluster, link: Object) -> str:
    """The controller pod that holds a Link's lease.

    Raises:
        LabkitError: nobody holds it.
    """
    namespace = link["metadata"].get("namespace", NAMESPACE)
    lease = f"service-mirror-write-{link['metadata']['name']}"
    found = cluster.find(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{lease}")
    holder = ((found or {}).get("spec") or {}).get("holderIdentity")
    if not holder:
        raise LabkitError(f"no controller holds the lease {namespace}/{lease}")
    return str(holder)


def gauges(text: str, cluster_name: str) -> dict[str, float]:
    """The gauges of one target cluster in a metrics text."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("gateway_") and f'target_cluster_name="{cluster_name}"' in line:
            series, _, value = line.rpartition(" ")
            found[series.partition("{")[0]] = float(value)
    return found
