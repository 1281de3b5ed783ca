"""Snapshots of a lab as it is at the end of chapter 08, to be changed by a test."""

from labkit.chapters.dashboards import Golden
from labkit.clients.tap import TapRequest
from labkit.dashboard.snapshot import (
    ChapterState,
    ClusterView,
    Flow,
    Probe,
    Row,
    Snapshot,
    Tapped,
    Workload,
)
from labkit.latency.histogram import Histogram

NOW_S = 1_800_000_000.0


def request(age_s, *, status=200, latency_us=155_000):
    return TapRequest(
        direction="outbound",
        source="10.0.0.9:41000",
        destination="198.51.100.10:4143",
        method="GET",
        authority="web-svc.emojivoto.svc.cluster.local:80",
        path="/api/vote?choice=:joy:",
        tls="true",
        server_id="gateway",
        client_id="",
        status=status,
        latency_us=latency_us,
        duration_us=latency_us,
        seen_at_s=NOW_S - age_s,
    )


def workload(cluster, namespace, name, *, ready=1, wanted=1):
    return Workload(cluster, namespace, name, ready, wanted)


def row(cluster, deployment, direction, *, mean_ms=155.0):
    buckets = {100.0: 0.0, 200.0: 90.0, float("inf"): 90.0}
    golden = Golden(cluster, deployment, direction, 90, 0.92, 1.5, mean_ms, 60)
    return Row(golden, Histogram.of(buckets))


def view(cluster, **changes):
    """West with the robot, or east with the rest; `changes` are ready pods by deployment."""
    core = [
        workload(cluster, "linkerd", "linkerd-identity"),
        workload(cluster, "linkerd-viz", "tap"),
    ]
    gateway = workload(cluster, "linkerd-multicluster", "linkerd-gateway")
    if cluster == "west":
        own = [
            workload(cluster, "linkerd-multicluster", "controller-east"),
            workload(cluster, "emojivoto", "vote-bot"),
        ]
        flows = (Flow("west", "vote-bot", "web-svc-east", 90, 0.92, 60),)
        rows = (row(cluster, "vote-bot", "outbound"),)
    else:
        own = [workload(cluster, "emojivoto", name) for name in ("emoji", "voting", "web")]
        flows = (
            Flow("east", "linkerd-gateway", "web", 90, 0.92, 60),
            Flow("east", "web", "emoji", 90, 1.0, 60),
            Flow("east", "web", "voting", 45, 0.84, 60),
        )
        rows = (row(cluster, "web", "inbound", mean_ms=7.0),)
    every = [
        workload(cluster, w.namespace, w.name, ready=changes[w.name], wanted=changes[w.name])
        if w.name in changes
        else w
        for w in (*core, gateway, *own)
    ]
    linked = ("east",) if cluster == "west" else ()
    mirrors = ("web-svc-east",) if cluster == "west" else ()
    return ClusterView(tuple(every), rows, flows, linked, mirrors)


def snapshot(**changes):
    """A lab without a fault, with some fields changed."""
    values = {
        "at_s": NOW_S,
        "lab": "demo",
        "cloud": "embedded",
        "regions": {"west": "sfo3", "east": "syd1"},
        "clusters": {name: view(name) for name in ("west", "east")},
        "probe": Probe(alive=True, latency_ms=148, failed=0),
        "tapped": Tapped(tuple(request(10 - i) for i in range(10)), NOW_S - 60),
        "chapters": tuple(
            ChapterState(f"{n:02}", f"title {n}", "pass", 3, 3, (), NOW_S) for n in range(1, 10)
        ),
    }
    return Snapshot(**{**values, **changes})
