"""What is known of a lab at a moment: values only, so that drawing and judging need no lab.

Every figure has its number of requests, its window and its vantage point. What could not be read
is said in `problems`, and what was read before stays with its age. Deliberately absent: reading.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from labkit.chapters.dashboards import Golden
from labkit.clients.tap import TapRequest
from labkit.clouds import Costs, WanState
from labkit.latency.histogram import Histogram

TAP_WINDOW_S = 15.0
"""Requests that are as old as this still count for the live figures of an edge."""


@dataclass(frozen=True)
class Workload:
    """One Deployment.

    Attributes:
        cluster: west or east.
        namespace: its namespace.
        name: its name.
        ready: pods that are ready.
        wanted: pods that are asked for.
    """

    cluster: str
    namespace: str
    name: str
    ready: int
    wanted: int

    @property
    def well(self) -> bool:
        """As many ready as are wanted, and at least one."""
        return 0 < self.wanted <= self.ready


@dataclass(frozen=True)
class Row:
    """Golden metrics of one workload with the buckets of its latency.

    Attributes:
        golden: counts, success and mean.
        histogram: latency by bucket over the same window.
    """

    golden: Golden
    histogram: Histogram


@dataclass(frozen=True)
class Flow:
    """Requests from one workload to another, counted by the proxy that sends them.

    Attributes:
        cluster: where they are sent.
        source: deployment that sends.
        target: deployment, or mirrored service, that is asked.
        requests: responses in the window.
        success: share of them that succeeded, None without any.
        window_s: length of the window in seconds.
    """

    cluster: str
    source: str
    target: str
    requests: float
    success: float | None
    window_s: int

    @property
    def rps(self) -> float:
        """Responses per second."""
        return self.requests / self.window_s


@dataclass(frozen=True)
class ClusterView:
    """One cluster.

    Attributes:
        workloads: its Deployments.
        rows: golden metrics of the meshed ones that have traffic.
        flows: who asks whom.
        linked_to: names of the clusters that it is linked to.
        mirrors: services mirrored into it.
    """

    workloads: tuple[Workload, ...] = ()
    rows: tuple[Row, ...] = ()
    flows: tuple[Flow, ...] = ()
    linked_to: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()

    def workload(self, name: str) -> Workload | None:
        """A Deployment by name, None when there is none."""
        return next((item for item in self.workloads if item.name == name), None)

    def flow(self, source: str, target: str) -> Flow | None:
        """The flow between two workloads, None when nothing was counted."""
        found = (f for f in self.flows if (f.source, f.target) == (source, target))
        return next(found, None)


@dataclass(frozen=True)
class Probe:
    """What the service mirror in west says of east's gateway.

    Attributes:
        alive: the last probes were answered.
        latency_ms: of the last answered probe, whole milliseconds.
        failed: probes without an answer since the controller started.
    """

    alive: bool
    latency_ms: int
    failed: int


@dataclass(frozen=True)
class Tapped:
    """The robot's requests as tap shows them.

    Attributes:
        requests: the last ones that have ended, oldest first; `seen_at_s` is when.
        since_s: when the first request of this stream was seen, Unix seconds; None before.
    """

    requests: tuple[TapRequest, ...] = ()
    since_s: float | None = None


@dataclass(frozen=True)
class Live:
    """Figures of an edge from the tapped requests of the last `TAP_WINDOW_S` seconds.

    Attributes:
        n: requests.
        rps: requests per second.
        success: share that succeeded.
        p50_ms: median to the first byte of the answer in ms, None with fewer than five.
        unreachable: requests that no application answered (502, 503, 504, reset).
    """

    n: int
    rps: float
    success: float | None
    p50_ms: float | None
    unreachable: int


@dataclass(frozen=True)
class ChapterState:
    """The last verdict on a chapter.

    Attributes:
        number: as `04`.
        title: as `multicluster link`.
        status: pass, warn, fail, or `unknown` while it was not looked at.
        passed: checks that passed.
        total: checks that ran.
        failures: check, reason and fix of those that failed.
        at_s: when they ran, Unix seconds.
    """

    number: str
    title: str
    status: str = "unknown"
    passed: int = 0
    total: int = 0
    failures: tuple[tuple[str, str, str], ...] = ()
    at_s: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """A lab at a moment.

    Attributes:
        at_s: the moment, Unix seconds.
        lab: its name.
        cloud: name of its cloud, empty while there is no lab.
        regions: cluster → region.
        down: why there is nothing to see; empty when the lab is up.
        clusters: by name; a cluster that was never read is absent.
        probe: None while there is none.
        tapped: the robot's requests.
        wan: None where the network cannot be set, or was not read yet.
        wan_why: why it cannot be set; empty where it can.
        costs: None while they were not read.
        chapters: in order.
        problems: what could not be read → why.
        ages_s: what was read → how long ago.
    """

    at_s: float
    lab: str
    cloud: str = ""
    regions: Mapping[str, str] = field(default_factory=dict)
    down: str = ""
    clusters: Mapping[str, ClusterView] = field(default_factory=dict)
    probe: Probe | None = None
    tapped: Tapped = Tapped()
    wan: WanState | None = None
    wan_why: str = ""
    costs: Costs | None = None
    chapters: tuple[ChapterState, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    ages_s: Mapping[str, float] = field(default_factory=dict)

    def reached(self, number: str) -> bool:
        """Whether the checks of a chapter hold."""
        return any(c.number == number and c.status in ("pass", "warn") for c in self.chapters)

    def live(self) -> Live:
        """The robot's requests of the last seconds."""
        recent = [r for r in self.tapped.requests if r.seen_at_s > self.at_s - TAP_WINDOW_S]
        good = sum(succeeded(request) for request in recent)
        times = [r.latency_us / 1000 for r in recent if r.latency_us is not None]
        enough = len(times) >= 5
        window_s = min(TAP_WINDOW_S, max(1.0, self.at_s - (self.tapped.since_s or 0.0)))
        return Live(
            n=len(recent),
            rps=len(recent) / window_s,
            success=good / len(recent) if recent else None,
            p50_ms=statistics.median(times) if enough else None,
            unreachable=sum(unanswered(request) for request in recent[-3:]),
        )

    def silent_s(self) -> float | None:
        """For how long tap has shown no answer; None before the first of its stream."""
        if self.tapped.since_s is None or not self.tapped.requests:
            return None
        return max(0.0, self.at_s - self.tapped.requests[-1].seen_at_s)


def succeeded(request: TapRequest) -> bool:
    """Whether a tapped request counts as a success, as for viz: no 5xx, no error of gRPC."""
    return (
        request.status is not None
        and request.status < 500
        and not request.grpc_status
        and not request.reset_error
    )


def unanswered(request: TapRequest) -> bool:
    """Whether a proxy and not the application ended a request."""
    return request.status in (None, 502, 503, 504) or bool(request.reset_error)
