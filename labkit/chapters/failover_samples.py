"""What the robot's proxy counts of each backend during a failover, as samples, phases and a chart.

A reading is a set of counters since the proxy started; figures are their growth. A request that
found no connection is counted at its backend, one that found no backend only in the whole.
"""

import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.failover_route import BACKENDS, ROUTE
from labkit.chapters.traffic import BOT
from labkit.context import WEST, LabContext

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE = "failover.json"
KEPT_AS = "failover"
VANTAGE = f"{BOT}'s proxy in west, outbound"
MARKS = {"lost": "east is lost", "shifted": "all to west", "back": "50 : 50 again"}
"""What a chart says of the beginning of a phase."""
_STATUSES = "outbound_http_route_backend_response_statuses_total"
_WHOLE = "outbound_http_route_request_statuses_total"


@dataclass(frozen=True)
class Sample:
    """Counters of one reading.

    Attributes:
        time_s: Unix seconds, the middle of the reading.
        answered: region → requests answered by 200, since the proxy started.
        ended: region → requests that ended in any way.
        whole: requests of the route that ended in any way, backends or none.
    """

    time_s: float
    answered: Mapping[str, float]
    ended: Mapping[str, float]
    whole: float


@dataclass(frozen=True)
class Phase:
    """What was done, and when it was in force (Unix seconds)."""

    name: str
    text: str
    since: float


def take(lab: LabContext) -> Sample:
    """Read the robot's proxy now.

    Raises:
        LabkitError: it does not answer.
    """
    before = time.time()
    text = lab.linkerd(WEST).proxy_metrics(f"deploy/{BOT}", NAMESPACE)
    regions = {service: region for region, service in BACKENDS.items()}
    answered: dict[str, float] = {}
    ended: dict[str, float] = {}
    whole = 0.0
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.labels.get("route_name") != ROUTE:
                continue
            if one.name == _WHOLE:
                whole += one.value
            region = regions.get(one.labels.get("backend_name", ""))
            if one.name == _STATUSES and region:
                ended[region] = ended.get(region, 0.0) + one.value
                good = one.value if one.labels.get("http_status") == "200" else 0.0
                answered[region] = answered.get(region, 0.0) + good
    return Sample((before + time.time()) / 2, answered, ended, whole)


def _grown(first: Sample, last: Sample, region: str) -> tuple[int, int]:
    """(Requests that ended, those answered well) of a region between two readings."""
    ended = last.ended.get(region, 0.0) - first.ended.get(region, 0.0)
    good = last.answered.get(region, 0.0) - first.answered.get(region, 0.0)
    return round(ended), round(good)


def write(lab: LabContext, samples: Sequence[Sample], phases: Sequence[Phase]) -> dict[str, Any]:
    """Keep the readings in the results folder; the figures of each phase."""
    path = lab.results / FILE
    content = {
        "vantage": VANTAGE,
        "samples": [asdict(one) for one in samples],
        "phases": [asdict(one) for one in phases],
    }
    path.write_text(json.dumps(content, indent=1))
    ends = [*(phase.since for phase in phases[1:]), float("inf")]
    rows = [
        _row(phase, [s for s in samples if phase.since <= s.time_s < end])
        for phase, end in zip(phases, ends, strict=True)
    ]
    return {
        "vantage": VANTAGE,
        "interval_s": _interval_s(samples),
        "phases": rows,
        "recovery": _recovery(samples, phases),
    }


def _interval_s(samples: Sequence[Sample]) -> float:
    """Mean time between two readings: asked for is a second, a busy machine takes longer."""
    pairs = max(len(samples) - 1, 1)
    return (samples[-1].time_s - samples[0].time_s) / pairs if samples else 0.0


def _row(phase: Phase, inside: Sequence[Sample]) -> dict[str, Any]:
    row: dict[str, Any] = {"phase": phase.name, "what": phase.text}
    seconds = inside[-1].time_s - inside[0].time_s if inside else 0.0
    row["seconds"] = round(seconds, 1)
    for region in BACKENDS:
        ended, good = _grown(inside[0], inside[-1], region) if inside else (0, 0)
        row[f"{region} n"], row[f"{region} answered"] = ended, good
    return row


def _recovery(samples: Sequence[Sample], phases: Sequence[Phase]) -> str:
    """Seconds from the shift to the first reading in which votes were answered and none failed."""
    shift = next(phase.since for phase in phases if phase.name == "shifted")
    after = [one for one in samples if one.time_s >= shift]
    for first, last in itertools.pairwise(after):
        good = sum(_grown(first, last, region)[1] for region in BACKENDS)
        if good > 0:
            took = last.time_s - shift
            return f"Votes were answered again within {took:.1f} s of the shift of weights."
    return "Votes were not answered again while it was measured."


def chart(lab: LabContext) -> "Figure":
    """Requests per second and success of each backend over time, with what was done marked."""
    import pandas as pd

    from labkit.latency import charts

    content = json.loads((lab.results / FILE).read_text())
    samples = [Sample(**one) for one in content["samples"]]
    sides = {}
    for region, service in BACKENDS.items():
        rows = [_point(a, b, region) for a, b in itertools.pairwise(samples)]
        frame = pd.DataFrame(rows, columns=["time_s", "rps", "success_rate"])
        sides[f"{region}: {service}"] = frame
    start = samples[0].time_s if samples else 0.0
    n = sum(_grown(samples[0], samples[-1], region)[0] for region in BACKENDS if len(samples) > 1)
    drawn = charts.success_and_rps(
        sides,
        title="A region is lost, and the votes go on",
        caption=charts.Caption(
            source=_STATUSES,
            vantage=content["vantage"],
            n=n,
            note=f"A reading every {_interval_s(samples):.1f} s; 8 % of votes fail by design.",
        ),
        start_s=start,
        events=[charts.Event(one["since"], MARKS[one["name"]]) for one in content["phases"][1:]],
    )
    charts.save(drawn, lab.results / "charts", "failover")
    return drawn


def _point(first: Sample, last: Sample, region: str) -> tuple[float, float, float | None]:
    ended, good = _grown(first, last, region)
    seconds = max(last.time_s - first.time_s, 1e-3)
    return last.time_s, ended / seconds, good / ended if ended else None
