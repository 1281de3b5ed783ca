"""The six pairs of `benchmarks accuracy`: one lab, the WAN of each pair in turn, line by line."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measuring import Home, print_table, temporary_home, word
from labkit.latency import statistics
from labkit.latency.histogram import Histogram, artefacts
from labkit.rtt import rtt

LAB = "accuracy"
ALLOWED_MS, ALLOWED_SHARE = 2.0, 0.01
CLIENT_MS = 2.0
"""What the load generator itself may add to a request, median."""

QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
MEASURING = {
    "LABKIT_WARMUP_SECONDS": "5",  # it is the same lab: only the way between is new
    "LABKIT_MEASURE_SECONDS": "40",
    "LABKIT_LOAD_RATE": "60",
    "LABKIT_LOAD_SECONDS": "20",
}
MEASURE = """
import json
from labkit import open_lab
lab = open_lab(lab_name="accuracy")
print(json.dumps({"figures": lab.measure().facts, "results": str(lab.results)}))
"""
VIZ = "vote-bot outbound (west)"
SIDECAR = "load generator's proxy, outbound (west)"
ENDS = ("low", "high")
NOT_DUE = {
    "20 ms and an exponential tail": lambda rng: 20 + rng.exponential(20, 5_000),
    "three ways: 8, 45 and 250 ms": lambda rng: rng.choice(
        [8.0, 45.0, 250.0], 5_000, p=[0.93, 0.05, 0.02]
    ),
}
"""Laws of latencies in ms whose p50, p95 and p99 lie in three buckets."""


@dataclass(frozen=True)
class Line:
    """One demand on one pair.

    Attributes:
        what: the demand.
        seen: figures.
        holds: whether it is met; None when it could not be judged.
    """

    what: str
    seen: str
    holds: bool | None


def measure_pair(home: Home, value_ms: float) -> tuple[dict[str, Any], Path]:
    """Set the WAN and measure; the figures, and the folder of the raw samples."""
    values = (f"--rtt={value_ms:g}", f"--jitter={0.003 * value_ms:g}")
    home.labkit("wan", "set", "--lab-name", LAB, *values)
    time.sleep(2 + 4 * value_ms / 1000)  # requests that are under way
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        env=os.environ | MEASURING | {"LABKIT_HOME": str(home.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    found = json.loads(done.stdout.splitlines()[-1])
    return found["figures"], Path(found["results"])


def judge(found: Mapping[str, Any], value_ms: float, results: Path) -> Iterator[Line]:
    """Each demand on a pair."""
    viz, tap, load = found["viz"], found["tap"], found["load"]
    yield _near("mean", viz["west_east_mean_ms"], value_ms, viz["in_region_mean_ms"])
    yield _near("median", tap["p50_ms"]["value"], value_ms, tap["in_region_p50_ms"]["value"])
    yield from _same_requests(load)
    yield from _brackets("vote-bot", viz["brackets_ms"], {"tap": _quantiles(tap)})
    yield from _brackets(
        "load",
        load["viz"]["brackets_ms"],
        {
            "tap": {name: q.as_dict() for name, q in tapped_of_load(results).items()},
            "load": load["sidecar"]["without_client"],
        },
    )
    yield _artefacts(found["warnings"], results)
    yield Line("late sends ≤ 1 %", f"{load['late_share']:.2%}", load["late_share"] <= 0.01)


def _near(what: str, figure: float | None, way_ms: float, in_region_ms: float | None) -> Line:
    if figure is None or in_region_ms is None:
        return Line(f"{what} near the truth", "a figure is missing", None)
    truth = way_ms + in_region_ms
    allowed = ALLOWED_MS + ALLOWED_SHARE * truth
    seen = (
        f"{figure:.2f} against {way_ms:g} + {in_region_ms:.2f}: {figure - truth:+.2f}, "
        f"allowed {allowed:.2f}"
    )
    return Line(f"{what} near the truth", seen, abs(figure - truth) <= allowed)


def _same_requests(load: Mapping[str, Any]) -> Iterator[Line]:
    """The generator and its proxy."""
    beside = load["sidecar"]
    share = beside["client_p50_ms"]
    if share["value"] is None:
        yield Line("load and tap: pairs", f"n={beside['n']}", holds=False)
        return
    seen = (
        f"{shown(share, digits=2)}, p95 {shown(beside['client_p95_ms'], digits=2)}, n={share['n']}"
    )
    yield Line(
        f"generator's own share ≤ {CLIENT_MS:g} ms, never negative",
        f"{seen}, {beside['negative']} negative",
        share["value"] <= CLIENT_MS and not beside["negative"],
    )
    for name, agree in beside["agree"].items():
        one, two = beside[f"{name}_ms"], beside["without_client"][name]
        seen = f"tap {shown(one)}, load {shown(two)} (as a client: {shown(load[f'{name}_ms'])})"
        yield Line(f"load and tap agree, {name}", seen, agree)


def _quantiles(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figures[f"{name}_ms"] for name in QUANTILES}


def tapped_of_load(results: Path) -> dict[str, statistics.Quantile]:
    """Quantiles at the generator's proxy to the first byte, as its own counters see it."""
    rows = pd.read_parquet(results / "samples" / "requests.parquet")
    own = rows[(rows["instrument"] == "tap") & (rows["vantage"] == SIDECAR) & ~rows["warmup"]]
    found = (own["latency_us"].dropna() / 1000).to_numpy()
    return {name: statistics.quantile(found, q) for name, q in QUANTILES.items()}


def _brackets(
    workload: str, brackets: Mapping[str, Any], instruments: Mapping[str, Mapping[str, Any]]
) -> Iterator[Line]:
    """The buckets of one workload against instruments that saw the same workload's requests."""
    for name, (low, high) in brackets.items():
        what = f"viz bracket of {workload}, {name}"
        known = {
            key: found[name]
            for key, found in instruments.items()
            if found[name]["value"] is not None
        }
        if low is None:
            yield Line(what, "viz was not scraped twice meanwhile", None)
        elif known:
            seen = ", ".join(f"{key} {shown(figure)}" for key, figure in known.items())
            inside = all(_meets(figure, low, high) for figure in known.values())
            yield Line(what, f"({low:g}, {high or np.inf:g}] has {seen}", inside)


def _meets(figure: Mapping[str, Any], low: float, high: float | None) -> bool:
    """Whether a bucket of whole ms, cut off, has the figure, or some of its interval."""
    least, most = (figure["value"] if figure[end] is None else figure[end] for end in ENDS)
    return bool(np.floor(least) <= (high or np.inf) and np.floor(most) > low)


def _artefacts(warnings: Sequence[str], results: Path) -> Line:
    """Raised exactly when it is due: by the raw counters, counted again here."""
    raised = [text for text in warnings if "lie in one bucket" in text]
    buckets = buckets_of(results)
    due = len(set(buckets.values())) < len(buckets)
    seen = "; ".join(f"{name} ≤ {bound:g}" for name, bound in buckets.items())
    named = all(f"{bound:g}]" in " ".join(raised) for bound in _twice(list(buckets.values())))
    return Line(
        "artefact raised exactly when due",
        f"{seen}: due {word(due)}, raised {word(bool(raised))}",
        bool(raised) == due and named,
    )


def _twice(bounds: Sequence[float]) -> set[float]:
    return {bound for bound in bounds if bounds.count(bound) > 1}


def buckets_of(results: Path) -> dict[str, float]:
    """Upper bound in ms of the bucket of each quantile, from the counters as scraped."""
    series = pd.read_parquet(results / "samples" / "series.parquet")
    chosen = series[
        (series["vantage"] == VIZ)
        & (series["metric"] == "response_latency_ms_bucket")
        & ~series["warmup"]
    ]
    counters = chosen.sort_values("time_s").groupby(["series", "le_ms"], observed=True)["value"]
    grown = (counters.last() - counters.first()).groupby("le_ms").sum().sort_index()
    whole = grown.iloc[-1]
    return {
        name: float(grown.index[(grown >= q * whole).argmax()]) for name, q in QUANTILES.items()
    }


def shown(figure: Mapping[str, Any], *, digits: int = 1) -> str:
    """A quantile with its interval."""
    if figure["value"] is None:
        return f"not enough (n={figure['n']})"
    low, high = (
        "?" if figure[end] is None else f"{figure[end]:.{digits}f}" for end in ("low", "high")
    )
    return f"{figure['value']:.{digits}f} [{low}, {high}]"


@contextmanager
def the_lab() -> Iterator[Home]:
    """A lab, walked up to the redirected traffic; taken down at the end."""
    with temporary_home() as home:
        home.labkit("solve", "07", "--lab-name", LAB)
        yield home


def run(pairs: Sequence[tuple[str, ...]]) -> None:
    """Print a table for each pair as it is measured, then the verdicts."""
    verdicts: list[tuple[str, ...]] = []
    judged: list[Line] = []
    with the_lab() as home:
        for west, east in pairs:
            value = rtt(west, east).value_ms
            lines, wall = [], time.perf_counter()
            try:
                figures, results = measure_pair(home, value)
                lines += judge(figures, value, results)
            except (KeyError, TypeError, RuntimeError, OSError) as error:  # a figure is missing
                lines.append(Line("measured", f"{type(error).__name__}: {error}"[-300:], None))
            judged += lines
            wall = time.perf_counter() - wall
            rows = [(line.what, line.seen, _verdict(line.holds)) for line in lines]
            title = f"{west}–{east}, round trip {value:g} ms ({wall:.0f} s)"
            print_table(title, ("demand", "seen, ms", "holds"), rows)
            bad = [line.what for line in lines if not line.holds]
            missed = "; ".join(bad) or "-"
            verdicts.append((f"{west}–{east}", str(len(lines)), missed, word(not bad)))
    print_table("Pairs", ("pair", "lines", "not met", "pass"), verdicts)
    print_table("Demands", ("demand", "pairs", "met", "pass"), demands(judged))
    _not_due()


def demands(judged: Sequence[Line]) -> list[tuple[str, ...]]:
    """Each demand over all pairs; one that could not be judged is not met."""
    rows = []
    for what in dict.fromkeys(line.what for line in judged):
        held = [bool(line.holds) for line in judged if line.what == what]
        rows.append((what, str(len(held)), str(sum(held)), word(all(held))))
    return rows


def _verdict(holds: bool | None) -> str:  # noqa: FBT001 - a predicate
    return "not judged" if holds is None else word(holds)


def _not_due() -> None:
    """The other side: laws for which the warning must not be raised."""
    rng = np.random.default_rng(5)
    rows = []
    for name, law in NOT_DUE.items():
        histogram = Histogram.from_samples(law(rng))
        bounds = ", ".join(str(histogram.bracket(q)) for q in QUANTILES.values())
        rows.append((name, bounds, word(not artefacts(histogram))))
    print_table("Laws for which no artefact may be raised", ("law", "brackets", "pass"), rows)
