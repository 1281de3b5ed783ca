"""What a page says of several runs together: one table, and charts over pairs and over time.

Samples of repetitions are pooled before quantiles are taken; means of runs are never averaged.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from labkit.errors import InputError
from labkit.latency import charts
from labkit.latency.charts import Caption
from labkit.latency.dataset import open_samples
from labkit.latency.schema import REQUESTS
from labkit.latency.summarising import summarise
from labkit.rtt import REGIONS, floor_ms
from labkit.runs.figures import (
    NOT_ENOUGH,
    Figure,
    known_way,
    mean_of,
    number,
    pick,
    quantile_of,
    rows,
    word,
    words,
)
from labkit.runs.reading import KeptRun
from labkit.runs.report.pictures import PagePicture, of_chart


@dataclass(frozen=True)
class OverviewRow:
    """One run in the table of all."""

    anchor: str
    name: str
    pair: str
    status: str
    known: str
    floor: str
    mean: Figure
    median: Figure
    checks: str
    caveats: int


@dataclass(frozen=True)
class Overview:
    """All runs together."""

    rows: list[OverviewRow]
    pooled_columns: tuple[str, ...]
    pooled: list[tuple[str, ...]]
    problems: list[str]
    pictures: list[PagePicture]


def overview(runs: Sequence[KeptRun]) -> Overview:
    """Put several runs together."""
    pooled, problems = _pool(runs)
    return Overview(
        rows=[_row(run, number) for number, run in enumerate(runs, 1)],
        pooled_columns=_POOLED,
        pooled=pooled,
        problems=problems,
        pictures=_pictures(runs),
    )


_POOLED = (
    "Pair",
    "Instrument",
    "Vantage point",
    "n",
    "Mean (ms)",
    "p50 (ms)",
    "p95 (ms)",
    "p99 (ms)",
)


def _pool(runs: Sequence[KeptRun]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Single requests of all runs by pair and instrument, and what cannot be read."""
    files: list[Path] = []
    problems: list[str] = []
    for run in runs:
        try:
            files += _readable(run)
        except InputError as error:
            problems += [
                problem.replace(f"{run.root}/", f"{run.name}: ") for problem in error.problems
            ]
    if not files:
        return [], problems
    table = summarise(open_samples(*files, schema=REQUESTS))
    pooled = [
        (
            f"{row['source_region']} → {row['destination_region']}",
            f"{row['instrument']} {row['connection']}".strip(),
            str(row["vantage"]),
            f"{row['n']:.0f}",
            *(_interval(row, name) for name in ("mean", "p50", "p95", "p99")),
        )
        for row in table.to_dict("records")
    ]
    return pooled, problems


def _readable(run: KeptRun) -> tuple[Path, ...]:
    """The run's file of requests.

    Raises:
        InputError: it is not there, or cannot be read.
    """
    found = open_samples(run.root, schema=REQUESTS)
    found.read(["run"])
    return found.files


def _interval(row: Mapping[Hashable, Any], name: str) -> str:
    value, low, high = (float(row[f"{name}{end}_ms"]) for end in ("", "_low", "_high"))
    if not math.isfinite(value):
        return NOT_ENOUGH
    if math.isnan(low) and math.isnan(high):
        return f"{value:.1f}"
    ends = ("?" if math.isnan(end) else f"{end:.1f}" for end in (low, high))
    return f"{value:.1f} [{', '.join(ends)}]"


def _row(run: KeptRun, place: int) -> OverviewRow:
    known, floor = number(run.summary, "rtt_ms", "value"), number(run.summary, "rtt_ms", "floor")
    checks = rows(run.summary, "checks")
    kinds = [word(check, "status") for check in checks]
    named = (("fail", "failed"), ("warn", "with a warning"))
    others = [f"{kinds.count(kind)} {text}" for kind, text in named if kind in kinds]
    return OverviewRow(
        anchor=f"run-{place}",
        name=run.name,
        pair=run.title,
        status=word(run.summary, "status") or "unknown",
        known="?" if known is None else f"{known:.1f}",
        floor="?" if floor is None else f"{floor:.1f}",
        mean=mean_of(run),
        median=quantile_of(run, "tap", "p50"),
        checks=", ".join([f"{kinds.count('pass')} of {len(checks)}", *others]),
        caveats=len(words(run.summary, "warnings")),
    )


def _pictures(runs: Sequence[KeptRun]) -> list[PagePicture]:
    measured = [run for run in runs if mean_of(run).value is not None and known_way(run)]
    if not measured:
        return []
    found = [_by_pair(measured)]
    pairs = {run.regions for run in measured}
    if len(pairs) > 1:
        found += [_matrix(measured), _map(measured)]
    if len(measured) > len(pairs):
        found.append(_trend(measured))
    return found


def _caption(runs: Sequence[KeptRun], note: str = "") -> Caption:
    total = sum(mean_of(run).n or 0 for run in runs)
    vantages = dict.fromkeys(mean_of(run).vantage for run in runs)
    return Caption(
        source="viz Prometheus, Δsum/Δcount; tap, single requests; round trips as known before",
        vantage=f"{'; '.join(vantages)}, WAN included",
        n=total,
        note=note,
    )


def _by_pair(runs: Sequence[KeptRun]) -> PagePicture:
    title = "What was measured, against what was known"
    table = pd.DataFrame([_pair_row(run, runs) for run in runs])
    return of_chart(charts.by_pair(table, title=title, caption=_caption(runs)), title)


def _pair_row(run: KeptRun, runs: Sequence[KeptRun]) -> dict[str, Any]:
    mean, median = mean_of(run), quantile_of(run, "tap", "p50")
    way = known_way(run)
    bucket = pick(run.summary, "viz", "bracket_ms")
    ends = bucket if isinstance(bucket, list) and len(bucket) == 2 else (None, None)
    again = sum(1 for other in runs if other.regions == run.regions) > 1
    return {
        "pair": f"{run.title}, {run.name}" if again else run.title,
        "floor_ms": way.floor_ms if way else math.nan,
        "rtt_ms": _or_nan(number(run.summary, "rtt_ms", "value")),
        "rtt_low_ms": way.low_ms if way else math.nan,
        "rtt_high_ms": way.high_ms if way else math.nan,
        "bucket_low_ms": _or_nan(number({"low": ends[0]}, "low")),
        "bucket_high_ms": _or_nan(number({"high": ends[1]}, "high")),
        "mean_ms": _or_nan(mean.value),
        "mean_low_ms": _or_nan(mean.low),
        "mean_high_ms": _or_nan(mean.high),
        "p50_ms": _or_nan(median.value),
        "p50_low_ms": _or_nan(median.low),
        "p50_high_ms": _or_nan(median.high),
        "n": mean.n or 0,
    }


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _across(run: KeptRun) -> tuple[float, float, float] | None:
    """The measured way: the mean at the source minus the mean behind the gateway, in ms."""
    if word(run.summary, "rtt_ms", "source") == "override":
        return None  # the user gave the way: it says nothing about the pair
    viz = pick(run.summary, "viz")
    there, behind = mean_of(run), number(viz, "in_region_mean_ms")
    if there.value is None or behind is None:
        return None
    low, high = number(viz, "in_region_mean_low_ms"), number(viz, "in_region_mean_high_ms")
    if None in (there.low, there.high, low, high):
        return there.value - behind, math.nan, math.nan
    half = math.hypot(_or_nan(there.high) - there.value, _or_nan(high) - behind)
    return there.value - behind, there.value - behind - half, there.value - behind + half


def _links(runs: Sequence[KeptRun], *, known: bool) -> pd.DataFrame:
    """Pairs as known and as measured; of several runs of a pair the last one is shown."""
    found: dict[tuple[frozenset[str], str], dict[str, Any]] = {}
    for run in runs:
        a, b = run.regions
        base = {"a": a, "b": b, "floor_ms": floor_ms(a, b)}
        way, across = known_way(run), _across(run)
        if known and way is not None:
            value = number(run.summary, "rtt_ms", "value") or way.value_ms
            found[frozenset((a, b)), "known"] = base | {
                "rtt_ms": value,
                "low_ms": way.low_ms,
                "high_ms": way.high_ms,
                "source": way.source,
            }
        if across is not None:
            value, low, high = across
            found[frozenset((a, b)), "measured"] = base | {
                "rtt_ms": value,
                "low_ms": low,
                "high_ms": high,
                "source": "measured",
            }
    columns = ["a", "b", "floor_ms", "rtt_ms", "low_ms", "high_ms", "source"]
    return pd.DataFrame(list(found.values()), columns=columns)


_MEASURED = (
    "Measured: mean at the source's proxy minus mean behind the gateway, so gateways and proxies "
    "are part of it; of several runs of a pair the last one."
)
_EMULATED = " The network was emulated and told the known figure: it says how well that was done."


def _how(runs: Sequence[KeptRun]) -> str:
    emulated = any(isinstance(pick(run.measurement, "wan"), dict) for run in runs)
    return _MEASURED + (_EMULATED if emulated else "")


def _matrix(runs: Sequence[KeptRun]) -> PagePicture:
    title = "Round trips between the regions"
    order = [slug for slug in REGIONS if any(slug in run.regions for run in runs)]
    chart = charts.region_matrix(
        _links(runs, known=True), title=title, caption=_caption(runs, _how(runs)), regions=order
    )
    return of_chart(chart, title)


def _map(runs: Sequence[KeptRun]) -> PagePicture:
    title = "The measured ways, over the great circle"
    cities = pd.DataFrame(
        [
            {"slug": r.slug, "city": r.city, "latitude": r.latitude, "longitude": r.longitude}
            for r in REGIONS.values()
            if any(r.slug in run.regions for run in runs)
        ]
    )
    chart = charts.world_map(
        _links(runs, known=False), cities, title=title, caption=_caption(runs, _how(runs))
    )
    return of_chart(chart, title)


def _trend(runs: Sequence[KeptRun]) -> PagePicture:
    title = "Mean west → east, from run to run"
    table = pd.DataFrame(
        [
            {
                "run": run.name,
                "series": run.title,
                "value_ms": _or_nan(mean_of(run).value),
                "low_ms": _or_nan(mean_of(run).low),
                "high_ms": _or_nan(mean_of(run).high),
                "n": mean_of(run).n or 0,
            }
            for run in sorted(runs, key=lambda run: number(run.measurement, "started") or 0.0)
        ]
    )
    floors = {run.title: floor_ms(*run.regions) for run in runs}
    return of_chart(
        charts.trend(table, title=title, caption=_caption(runs), floors_ms=floors), title
    )
