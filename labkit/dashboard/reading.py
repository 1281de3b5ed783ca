"""Reads a cluster, the gateway's probe and the network, by the clients that the chapters use.

Each function reads once and returns a value of `snapshot`. Deliberately absent: threads, retries.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress

from prometheus_client.parser import text_string_to_metric_families

from labkit.chapters import dashboards
from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.linkerd import CRD, CRD_API
from labkit.chapters.multicluster_link import LINK_CRD, link_api
from labkit.chapters.multicluster_link import NAMESPACE as MULTICLUSTER
from labkit.context import EAST, WEST, LabContext
from labkit.dashboard.snapshot import ClusterView, Flow, Probe, Row, Workload
from labkit.errors import KubernetesError, LabkitError
from labkit.latency.histogram import Histogram

WINDOW_S = dashboards.WINDOW_S
NAMESPACES = (NAMESPACE, MULTICLUSTER, "linkerd", "linkerd-viz")
_SELECTED = f'namespace=~"{NAMESPACE}|{MULTICLUSTER}",deployment!=""'
_MIRRORED = "mirror.linkerd.io/cluster-name"
_ADMIN_PORT = 9999


def cluster(lab: LabContext, name: str) -> ClusterView:
    """Workloads, links and figures of one cluster; figures are absent until viz has some.

    Raises:
        KubernetesError: the cluster does not answer.
    """
    found = workloads(lab, name)
    viz = any(w.name == "prometheus" and w.ready for w in found)
    rows: tuple[Row, ...] = ()
    who: tuple[Flow, ...] = ()
    if viz:
        with suppress(KubernetesError):  # viz restarts: the cluster is there all the same
            rows, who = golden(lab, name), flows(lab, name)
    mirrors = lab.kubernetes(name).list("v1", "Service", NAMESPACE, labels=_MIRRORED)
    return ClusterView(
        workloads=found,
        rows=rows,
        flows=who,
        linked_to=links(lab, name),
        mirrors=tuple(item["metadata"]["name"] for item in mirrors),
    )


def workloads(lab: LabContext, name: str) -> tuple[Workload, ...]:
    """The Deployments of the lab's namespaces."""
    items = lab.kubernetes(name).list("apps/v1", "Deployment")
    return tuple(
        Workload(
            cluster=name,
            namespace=item["metadata"]["namespace"],
            name=item["metadata"]["name"],
            ready=int((item.get("status") or {}).get("readyReplicas") or 0),
            wanted=int(item["spec"].get("replicas", 1)),
        )
        for item in items
        if item["metadata"]["namespace"] in NAMESPACES
    )


def links(lab: LabContext, name: str) -> tuple[str, ...]:
    """The clusters that one is linked to."""
    kubernetes = lab.kubernetes(name)
    if kubernetes.get(CRD_API, CRD, LINK_CRD) is None:
        return ()
    found = kubernetes.list(link_api(lab, name), "Link", MULTICLUSTER)
    return tuple(item["metadata"]["name"] for item in found)


def golden(lab: LabContext, name: str) -> tuple[Row, ...]:
    """Golden metrics with the buckets of the latency, over the same window."""
    query = (
        f"sum(increase(response_latency_ms_bucket{{{_SELECTED}}}[{WINDOW_S}s])) "
        "by (deployment, direction, le)"
    )
    buckets: dict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    for sample in lab.prometheus(name).query(query):
        key = (sample.labels["deployment"], sample.labels["direction"])
        buckets[key][float(sample.labels["le"])] = sample.value
    return tuple(
        Row(row, Histogram.of(buckets[row.deployment, row.direction]))
        for row in dashboards.read_cluster(lab, name, WINDOW_S)
    )


def flows(lab: LabContext, name: str) -> tuple[Flow, ...]:
    """Who asks whom, counted by the proxies that send."""
    query = (
        f'sum(increase(response_total{{{_SELECTED},direction="outbound"}}[{WINDOW_S}s])) '
        "by (deployment, dst_deployment, dst_service, classification)"
    )
    counts: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for sample in lab.prometheus(name).query(query, at=time.time()):
        labels = sample.labels
        target = labels.get("dst_deployment") or labels.get("dst_service") or ""
        counts[labels["deployment"], target][labels.get("classification", "")] += sample.value
    return tuple(
        _flow(name, source, target, by_class) for (source, target), by_class in counts.items()
    )


def _flow(name: str, source: str, target: str, by_class: dict[str, float]) -> Flow:
    total = sum(by_class.values())
    success = by_class["success"] / total if total > 0 else None
    return Flow(name, source, target, total, success, WINDOW_S)


def probe(lab: LabContext) -> Probe | None:
    """What the service mirror in west says of east's gateway; None while there is no controller.

    It is asked at its own metrics port, as `linkerd multicluster gateways` does: its probes are
    3 s apart, and viz would tell of them 10 s later.
    """
    names = [w.name for w in workloads(lab, WEST) if w.ready and w.namespace == MULTICLUSTER]
    for name in names:
        if name in (f"controller-{EAST}", f"linkerd-service-mirror-{EAST}"):
            with lab.kubernetes(WEST).forward(MULTICLUSTER, f"deploy/{name}", _ADMIN_PORT) as way:
                way.request("GET", "/metrics")
                return probe_of(way.getresponse().read().decode())
    return None


def probe_of(text: str) -> Probe | None:
    """The probe of east in a service mirror's metrics, None when it is not in them."""
    values = dict(_values(text))
    if "gateway_alive" not in values:
        return None
    return Probe(
        alive=values["gateway_alive"] == 1,
        latency_ms=round(values.get("gateway_latency", 0)),
        failed=round(values.get("failed", 0)),
    )


def _values(text: str) -> Iterator[tuple[str, float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("target_cluster_name") != EAST:
                continue
            failed = sample.labels.get("probe_successful") == "false"
            yield ("failed" if failed else sample.name), sample.value


def can_be_tapped(lab: LabContext, deployment: str) -> bool:
    """Whether a deployment of west is ready, and viz with it."""
    with suppress(LabkitError):
        ready = {w.name for w in workloads(lab, WEST) if w.ready}
        return {deployment, "tap"} <= ready
    return False
