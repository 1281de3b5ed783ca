"""Chapter 10: what the distance costs, measured by three instruments.

tap samples single requests at vote-bot's proxy; viz counts all of them in buckets; after that a
load generator asks at a constant rate, whatever the answers do. Raw samples and counters are kept
in the results folder, and every figure is computed from them.
"""

import importlib
import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from labkit.chapters import dashboards, load
from labkit.chapters import latency_recording as recording
from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.multicluster_link import GATEWAY
from labkit.chapters.multicluster_link import NAMESPACE as MULTICLUSTER
from labkit.chapters.traffic import BOT
from labkit.chapters.vantage import VANTAGES
from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.rollouts import wait_for
from labkit.clients.tap import TapRequest
from labkit.context import CLUSTERS, EAST, WEST, LabContext
from labkit.display import Step
from labkit.errors import CommandError, StateError
from labkit.progress import Progress, progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

SETTLE_TIMEOUT_S = 60.0
_TAP_LIMIT_S = 24 * 3_600.0
"""A tap is ended when the measurement is; this is only its last limit."""

Tapping = Future[tuple[TapRequest, ...]]

PAUSE_STEP_S = 5.0
"""How often a pause says how long it still takes: each time is a line in the log."""

MEASUREMENT = "measurement.json"
OVER, IN_REGION = "west→east", "in-region"


def measure(lab: LabContext) -> Step:
    """Wait for the warm-up, sample with both instruments, keep samples and counters."""
    params = lab.params
    with progress("Measuring") as shown:
        # Before the warm-up: what takes seconds to start must not do so while it is counted.
        with _tapping(lab) as (tapping, behind):
            _pause(params.warmup_seconds, "warm-up, not counted", shown)
            started, before = time.time(), lab.cloud.core_times()
            _pause(params.measure_seconds, "sampling", shown)
            after = lab.cloud.core_times()
        requests, passed_on = tapping.result(), behind.result()
        ended = time.time()
        # What viz need not be waited for comes first: its next scrape is up to 10 s away.
        gateway = [row for row in lab.linkerd(WEST).gateways() if row.cluster_name == EAST]
        rows = recording.tapped(lab, requests, started=started)
        rows += recording.tapped_behind(lab, passed_on, started=started)
        rows += recording.probed(lab, gateway[0] if gateway else None, started=started, at=ended)
        wan = _wan(lab, started - params.warmup_seconds, ended)
        wait_for(
            lambda: _scraped(lab, ended),
            what="viz to have seen the end of the measurement (it scrapes every 10 s)",
            timeout_s=SETTLE_TIMEOUT_S,
            fix="kubectl --context west -n linkerd-viz get pods",
            report=shown,
        )
        begun = started - params.warmup_seconds
        series = recording.counted(lab, begun=begun, started=started, ended=time.time())
        golden = dashboards.read(lab, window_s=max(params.measure_seconds, 30))
        lasting = dashboards.read(lab, window_s=dashboards.SUCCESS_WINDOW_S)
        # Afterwards: the figures of the robot's own requests stay the robot's.
        if params.load_rate:
            sent = load.generate(lab, shown)
            rows += recording.loaded(lab, sent)
            series += recording.counted_of_load(lab, sent)
    from labkit.latency import dataset, schema

    dataset.write(rows, lab.results, schema.REQUESTS)
    dataset.write(series, lab.results, schema.SERIES)
    facts = {
        "started": started,
        "ended": ended,
        "warmup_s": params.warmup_seconds,
        "gateway_rtt_ms": gateway[0].latency_ms if gateway else None,
        "golden": [vars(row) for row in golden],
        "lasting": [vars(row) for row in lasting],
        "wan": wan,
        "machine": after.since(before) if before and after else None,
    }
    (lab.results / MEASUREMENT).write_text(json.dumps(facts, indent=1))
    from labkit.chapters import latency_figures

    figures = latency_figures.compute(lab)
    lab.record("latency", figures)
    return Step(
        f"Measured for {params.measure_seconds} s after a warm-up of {params.warmup_seconds} s.",
        by_hand=(
            f"linkerd --context {WEST} -n {NAMESPACE} viz tap deploy/{BOT} -o json",
            f"linkerd --context {WEST} diagnostics proxy-metrics -n {NAMESPACE} deploy/{BOT}",
            *load.by_hand(lab),
        ),
        notes=(
            f"tap saw {figures['tap']['n']} requests, viz counted {figures['viz']['n']}.",
            *load.notes(figures["load"]),
            f"Vantage points: {', '.join(point.name for point in VANTAGES)}.",
            "Raw samples: samples/*.parquet in the results folder (docs/dataset.md).",
        ),
        facts=figures,
    )


def _wan(lab: LabContext, start: float, end: float) -> dict[str, Any] | None:
    """The network at the end of a period, and its changes meanwhile; None where it is real."""
    control = lab.cloud.wan()
    if control is None:
        return None
    state = control.show()
    changes = [vars(change) for change in state.between(start, end)]
    return {
        **vars(state.now),
        "given_rtt_ms": state.given_rtt_ms,
        "changed": state.changed,
        "changes": changes,
    }


def _pause(seconds: float, what: str, shown: Progress) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        shown.update(f"{what}, {left:.0f} s left")
        time.sleep(min(left, PAUSE_STEP_S))


def _scraped(lab: LabContext, moment: float) -> tuple[bool, str]:
    """Whether every vantage point was scraped after a moment."""
    now = time.time()
    missing = []
    for vantage in VANTAGES:
        selector = f"response_latency_ms_count{{{vantage.selector}}}"
        found = lab.prometheus(vantage.cluster).window(selector, start=moment, end=now)
        if not any(series.points for series in found):
            missing.append(vantage.name)
    return not missing, f"not yet: {', '.join(missing)}" if missing else "all scraped"


@contextmanager
def _tapping(lab: LabContext) -> Iterator[tuple[Tapping, Tapping]]:
    """Tap the robot's proxy and the gateway's for the length of the block."""
    over = threading.Event()
    with ThreadPoolExecutor(3, thread_name_prefix="tap") as pool:
        try:
            # Two seconds of imports, while there is nothing to do but wait.
            pool.submit(importlib.import_module, "labkit.chapters.latency_charts")
            yield pool.submit(_tap, lab, over), pool.submit(_tap_gateway, lab, over)
        finally:
            over.set()


def _tap(lab: LabContext, over: threading.Event) -> tuple[TapRequest, ...]:
    return lab.linkerd(WEST).tap(
        f"deploy/{BOT}", NAMESPACE, duration_s=_TAP_LIMIT_S, ended=over.is_set
    )


def _tap_gateway(lab: LabContext, over: threading.Event) -> tuple[TapRequest, ...]:
    """What the gateway passes on, in µs: viz has whole ms, cut off, which is much of so little."""
    try:
        return lab.linkerd(EAST).tap(
            f"deploy/{GATEWAY}", MULTICLUSTER, duration_s=_TAP_LIMIT_S, ended=over.is_set
        )
    except CommandError:  # a gateway that is older than viz cannot be tapped: a warning says so
        logger.warning("east's gateway cannot be tapped", exc_info=True)
        return ()


def figures(lab: LabContext) -> Step:
    """The figures, each with unit, n, source and vantage point, and the program's warnings."""
    from labkit.chapters import latency_figures

    return latency_figures.show(lab, _measured(lab))


def chart(lab: LabContext, name: str) -> "Figure":
    """One chart of the measurement, also kept as PNG and SVG.

    Args:
        lab: the lab.
        name: `latency_over_time`, `distribution`, `success_and_rps` or `where_time_goes`.
    """
    from labkit.chapters import latency_charts

    _measured(lab)
    return latency_charts.chart(lab, name)


def _measured(lab: LabContext) -> dict[str, Any]:
    found = lab.recorded("latency")
    if not found:
        raise StateError("Nothing has been measured yet", fix="labkit solve 10")
    return dict(found)


_AGAIN = "labkit solve 10 -p measure_seconds={seconds}  # measures again"
_MISSING = Reason("missing: {names} (tap n={tap}, viz n={viz})")
_NO_MEDIAN = Reason(
    "tap n={tap}, viz n={viz}: a median needs {needed} samples, and 2 come in a second",
    fix=_AGAIN.format(seconds=60),
    status="warn",
)
_NO_MEAN = Reason("viz has no mean west → east")
_TOO_FAST = Reason(
    "mean {mean:.1f} ms, and light in fibre needs {floor:.1f} ms",
    fix="labkit wan show  # on real clouds: labkit check 01 --json, for the clusters' regions",
)
_NO_ARTEFACT = Reason(
    "viz' quantiles raised no artefact; they lie in different buckets here", status="warn"
)
_NOTHING_TAPPED = Reason("tap saw no request to east", fix="labkit check 07", status="warn")
_NOT_MUTUAL = Reason(
    "{share:.1%} of {n} tapped requests to east were mutual TLS; the rest was not",
    fix="labkit check 08",
)
_DISAGREE = Reason("tap's mean is {tapped:.1f} ms, viz' mean {mean:.1f} ms: {apart:.1f} ms apart")


def _present(lab: LabContext) -> Finding:
    found = _measured(lab)
    tap, viz = found["tap"], found["viz"]
    missing = [
        name
        for name, value in (
            ("viz mean west → east", viz["west_east_mean_ms"]),
            ("viz mean in region", viz["in_region_mean_ms"]),
            ("tap samples", tap["n"] or None),
            ("gateway round trip", found["gateway_rtt_ms"]),
        )
        if value is None
    ]
    counts = {"tap": tap["n"], "viz": viz["n"]}
    if missing:
        return _MISSING.seen(names=", ".join(missing), **counts)
    if tap["p50_ms"]["value"] is None:
        return _NO_MEDIAN.seen(needed=tap["p50_ms"]["needed"], **counts)
    return passed(f"tap n={tap['n']}, viz n={viz['n']}")


def _floor(lab: LabContext) -> Finding:
    found = _measured(lab)
    mean, floor = found["viz"]["west_east_mean_ms"], found["rtt"]["floor_ms"]
    if mean is None:
        return _NO_MEAN.seen()
    if mean < floor:
        return _TOO_FAST.seen(mean=mean, floor=floor)
    return passed(f"mean {mean:.1f} ms, light in fibre needs {floor:.1f} ms")


def _artefacts(lab: LabContext) -> Finding:
    found = _measured(lab)
    raised = [text for text in found["warnings"] if "bucket" in text]
    if raised:
        return passed(f"flagged: {raised[0]}")
    return _NO_ARTEFACT.seen()


def _instruments_agree(lab: LabContext) -> Finding:
    found = _measured(lab)
    median, mean = found["tap"]["p50_ms"]["value"], found["viz"]["west_east_mean_ms"]
    if mean is None:
        return _NO_MEAN.seen()
    if median is None:
        counts = {"tap": found["tap"]["n"], "viz": found["viz"]["n"]}
        return _NO_MEDIAN.seen(needed=found["tap"]["p50_ms"]["needed"], **counts)
    # Mean with mean: one slow answer moves both, and the median not at all.
    tapped = found["tap"].get("mean_ms", median)
    apart = abs(tapped - mean)
    if apart > max(10.0, 0.1 * mean):
        return _DISAGREE.seen(tapped=tapped, mean=mean, apart=apart)
    return passed(f"tap mean {tapped:.1f} ms, viz mean {mean:.1f} ms")


def _mutual_tls(lab: LabContext) -> Finding:
    tap = _measured(lab)["tap"]
    share, n = tap["tls_true_share"], tap["n"]
    if share is None:
        return _NOTHING_TAPPED.seen()
    if share < 1:
        return _NOT_MUTUAL.seen(share=share, n=n)
    return passed(f"tls=true on all {n} tapped requests to {', '.join(tap['server_ids'])}")


STEPS = (measure,)


def done(lab: LabContext) -> bool:
    """Whether there are figures."""
    return bool(lab.recorded("latency"))


def undo(lab: LabContext) -> None:
    """Forget the figures; the files of the measurement stay until the next one."""
    lab.forget("latency")


CHECKS = (
    Check(
        id="10.figures",
        title="both instruments have figures",
        clusters=CLUSTERS,
        proves="there is something to report",
        fix="labkit check 07 08 09; labkit solve 10  # measures again, as the cell lab.measure()",
        look=_present,
        reasons=(_MISSING, _NO_MEDIAN),
    ),
    Check(
        id="10.floor",
        title="no figure is faster than light in fibre",
        clusters=(WEST,),
        proves="the figures belong to the regions that they name",
        fix="labkit solve 10  # measures again, as the cell lab.measure()",
        look=_floor,
        reasons=(_NO_MEAN, _TOO_FAST),
    ),
    Check(
        id="10.artefacts",
        title="invented quantiles are flagged",
        clusters=(WEST,),
        proves="nobody publishes a figure that the buckets made up",
        fix="labkit solve 10  # measures again; report the mean and tap's quantiles in any case",
        look=_artefacts,
        reasons=(_NO_ARTEFACT,),
    ),
    Check(
        id="10.instruments",
        title="tap and viz agree",
        clusters=(WEST,),
        proves="two instruments that share no code see the same latency",
        fix=f"{_AGAIN.format(seconds=120)}; with few requests one slow answer moves the mean",
        look=_instruments_agree,
        reasons=(_NO_MEAN, _NO_MEDIAN, _DISAGREE),
    ),
    Check(
        id="10.tls",
        title="what was measured went over mutual TLS",
        clusters=(WEST,),
        proves="the figures hold the cost of encryption",
        fix="labkit check 08",
        look=_mutual_tls,
        reasons=(_NOTHING_TAPPED, _NOT_MUTUAL),
    ),
)
