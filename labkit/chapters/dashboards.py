"""Chapter 09: golden metrics of both clusters, side by side."""

import time
from dataclasses import dataclass
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.multicluster_link import gateway_rows
from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.rollouts import wait_for
from labkit.context import CLUSTERS, EAST, WEST, LabContext
from labkit.display import Step, Table
from labkit.progress import progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOW_S = 60
TRAFFIC_TIMEOUT_S = 90.0
SIDES = {
    "vote-bot (west, outbound)": (WEST, "vote-bot", "outbound"),
    "web (east, inbound)": (EAST, "web", "inbound"),
}
"""Name → where its row is found."""

SUCCESS_LOW, SUCCESS_HIGH = 0.85, 0.98
"""vote-bot votes doughnut in 15.9 % of its votes, which always fail: half its requests are votes,
so web answers about 92 % of all with success."""

EXPECTED = 0.92
TOO_RARE = 1e-4
"""A share that chance gives more seldom than this is no chance."""

SUCCESS_WINDOW_S = 300
"""Long, because a share of few requests is left to chance."""

_SELECTED = f'namespace=~"{NAMESPACE}|linkerd-multicluster",deployment!=""'


@dataclass(frozen=True)
class Golden:
    """Golden metrics of one workload at its own proxy.

    Attributes:
        cluster: west or east.
        deployment: its name.
        direction: `inbound` for what it serves, `outbound` for what it asks.
        requests: responses in the window.
        success: share of them that succeeded, None without any.
        rps: responses per second.
        mean_ms: mean latency to the response's first byte in ms, None without any.
        window_s: length of the window in seconds.
    """

    cluster: str
    deployment: str
    direction: str
    requests: float
    success: float | None
    rps: float
    mean_ms: float | None
    window_s: int


def read(lab: LabContext, *, window_s: int = WINDOW_S) -> list[Golden]:
    """Golden metrics of every workload of both clusters, from viz' Prometheus."""
    return [row for cluster in CLUSTERS for row in read_cluster(lab, cluster, window_s)]


def read_cluster(lab: LabContext, cluster: str, window_s: int) -> list[Golden]:
    """Golden metrics of every workload of one cluster over a window in seconds."""
    now = time.time()  # one moment for all queries: a ratio of two moments can exceed 1

    def by_workload(metric: str, extra: str = "") -> dict[tuple[str, str], float]:
        selector = f"{metric}{{{_SELECTED}{extra}}}[{window_s}s]"
        query = f"sum(increase({selector})) by (deployment, direction)"
        found = lab.prometheus(cluster).query(query, at=now)
        return {(s.labels["deployment"], s.labels["direction"]): s.value for s in found}

    total = by_workload("response_total")
    good = by_workload("response_total", ',classification="success"')
    sums = by_workload("response_latency_ms_sum")
    counts = by_workload("response_latency_ms_count")
    rows = []
    for key in sorted(total):
        count = counts.get(key, 0.0)
        rows.append(
            Golden(
                cluster=cluster,
                deployment=key[0],
                direction=key[1],
                requests=total[key],
                success=good.get(key, 0.0) / total[key] if total[key] > 0 else None,
                rps=total[key] / window_s,
                mean_ms=sums.get(key, 0.0) / count if count > 0 else None,
                window_s=window_s,
            )
        )
    return rows


def golden_metrics(lab: LabContext) -> Step:
    """A table of both clusters."""
    # What draws the chart takes two seconds to import; viz is waited for anyway.
    Thread(target=import_module, args=("labkit.chapters.latency_charts",), daemon=True).start()
    with progress("Reading viz in both clusters") as shown:
        wait_for(
            lambda: _has_traffic(lab),
            what="viz to have seen traffic on both sides (it takes two scrapes, 10 s apart)",
            timeout_s=TRAFFIC_TIMEOUT_S,
            fix="run notebook 07_redirect_traffic again",
            report=shown,
        )
        rows = read(lab)
    return Step(
        f"Golden metrics of the last {WINDOW_S} s, at each workload's own proxy.",
        by_hand=tuple(
            f"linkerd --context {name} viz stat deploy -n {NAMESPACE}" for name in CLUSTERS
        ),
        table=Table.of([_row(row) for row in rows]),
        notes=(
            (
                "Source: response_total and response_latency_ms of viz' Prometheus. The mean is "
                "the growth of the sum over the growth of the count: exact, unlike any quantile."
            ),
        ),
    )


def _has_traffic(lab: LabContext) -> tuple[bool, str]:
    rows = read(lab)
    counts = {name: find(rows, *key) for name, key in SIDES.items()}
    text = ", ".join(f"{name}: {row.requests if row else 0:.0f}" for name, row in counts.items())
    return all(row and row.requests >= 1 for row in counts.values()), text


def _row(row: Golden) -> dict[str, object]:
    return {
        "cluster": row.cluster,
        "deployment": row.deployment,
        "direction": row.direction,
        "success": "-" if row.success is None else f"{row.success:.1%}",
        "requests/s": f"{row.rps:.2f}",
        "mean latency (ms)": "-" if row.mean_ms is None else f"{row.mean_ms:.1f}",
        "n": f"{row.requests:.0f}",
    }


def chart(lab: LabContext) -> "Figure":
    """Success rate and requests per second of both sides, side by side."""
    from labkit.chapters.latency_charts import golden_chart

    return golden_chart(lab, read(lab))


def gateways(lab: LabContext) -> Step:
    """The gateway as west's probe sees it."""
    return Step(
        "East's gateway, seen from west.",
        by_hand=(f"linkerd --context {WEST} multicluster gateways",),
        table=Table.of(gateway_rows(lab)),
    )


def find(rows: list[Golden], cluster: str, deployment: str, direction: str) -> Golden | None:
    """The row of one workload, None when it has no traffic."""
    for row in rows:
        if (row.cluster, row.deployment, row.direction) == (cluster, deployment, direction):
            return row
    return None


_SERVED_NOTHING = Reason(
    "web in east has served nothing in the last {minutes} minutes, as viz of east sees it",
    fix="labkit solve 07",
    coming=True,
)
_BY_CHANCE = Reason(
    "{share:.1%} of {n} requests; about 92 % is right, and so few leave it to chance",
    status="warn",
)
_NOT_RIGHT = Reason("{share:.1%} of {n} requests answered with success; about 92 % is right")
_NO_TRAFFIC = Reason(
    "{deployment} in {cluster} has had no {direction} traffic in the last minute, "
    "as viz of {cluster} sees it",
    coming=True,
)


def _success(lab: LabContext) -> Finding:
    web = find(read(lab, window_s=SUCCESS_WINDOW_S), EAST, "web", "inbound")
    if web is None or web.success is None:
        return _SERVED_NOTHING.seen(minutes=SUCCESS_WINDOW_S // 60)
    seen = {"share": web.success, "n": f"{web.requests:.0f}"}
    if SUCCESS_LOW <= web.success <= SUCCESS_HIGH:
        return passed(f"{web.success:.1%} of {web.requests:.0f} requests; about 92 % is right")
    by_chance = chance_of(web.success, web.requests) > TOO_RARE
    return (_BY_CHANCE if by_chance else _NOT_RIGHT).seen(**seen)


def chance_of(success: float, requests: float) -> float:
    """How likely a share at least this far from the expected one is by chance alone."""
    from scipy.stats import binomtest  # a second of import that few runs need

    n = round(requests)
    return float(binomtest(round(success * n), n, EXPECTED).pvalue) if n else 1.0


def _traffic(cluster: str, deployment: str, direction: str) -> Check:
    def look(lab: LabContext) -> Finding:
        row = find(read(lab), cluster, deployment, direction)
        if row is None or row.rps <= 0:
            return _NO_TRAFFIC.seen(deployment=deployment, cluster=cluster, direction=direction)
        return passed(f"{row.rps:.2f} requests/s {direction}")

    return Check(
        id=f"09.traffic-{cluster}",
        title=f"{deployment} in {cluster} has traffic",
        clusters=(cluster,),
        proves="both sides of the ocean count the same votes",
        fix="labkit solve 07",
        look=look,
        reasons=(_NO_TRAFFIC,),
    )


STEPS = (golden_metrics,)

CHECKS = (
    Check(
        id="09.success",
        title="web answers about 92 % with success",
        clusters=(EAST,),
        proves="votes arrive, and the doughnut fails as it should",
        fix=f"kubectl --context east -n {NAMESPACE} logs deploy/web -c web-svc",
        look=_success,
        reasons=(_SERVED_NOTHING, _BY_CHANCE, _NOT_RIGHT),
    ),
    _traffic(WEST, "vote-bot", "outbound"),
    _traffic(EAST, "web", "inbound"),
)
