"""Are the figures true? Reported against what the relay was told.

Six pairs: one lab whose WAN gets the round trip of each pair in turn. Mean and median must lie
within 2 ms + 1 % of that round trip plus the in-region figure, tap and load generator must agree,
viz' brackets must contain both, and artefacts must be flagged where all quantiles share a bucket.

Heavy tail: the load generator through the real relay, every second request over a route whose
jitter has a declared heavy-tailed law, the others over one without. What the machine adds is taken
from the latter: the truth of a quantile is that of the law put together with it. Deliberately
without Envoy: on one HTTP/2 connection a late chunk holds back those behind it, and then the
declared law is not the law of requests.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import MODULE, server
from benchmarks.measuring import Home, print_table, temporary_home
from labkit.chapters.load import read_results
from labkit.embedded.images.vegeta import to_csv
from labkit.embedded.network.relay_control import RelayClient
from labkit.embedded.network.relay_pipes import PARETO_SHAPE, RouteSpec
from labkit.latency import statistics
from labkit.rtt import rtt

PAIRS = (
    *(("ams3", "fra1"), ("nyc1", "sfo3"), ("nyc1", "lon1")),
    *(("sfo3", "syd1"), ("lon1", "sgp1"), ("ams3", "syd1")),
)
ALLOWED_MS, ALLOWED_SHARE = 2.0, 0.01
FIGURES = (0.5, 0.9, 0.99)
RUNS, N, RATE = 20, 1_200, 150
RTT_MS, JITTER_MS = 40.0, 40.0
LEAD_S = 1
MEASURING = {"LABKIT_MEASURE_SECONDS": "40", "LABKIT_LOAD_RATE": "60"}
MEASURE = """
import json, sys
from labkit import open_lab
lab = open_lab(lab_name="accuracy")
print(json.dumps(lab.measure().facts))
"""


def measure_pair(home: Home, value_ms: float) -> dict[str, Any]:
    """Set the WAN, measure, return the figures."""
    values = (f"--rtt={value_ms:g}", f"--jitter={0.003 * value_ms:g}")
    home.labkit("wan", "set", "--lab-name", "accuracy", *values)
    time.sleep(5)  # requests that are under way
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        env=os.environ | MEASURING | {"LABKIT_HOME": str(home.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def judge(found: dict[str, Any], value_ms: float) -> dict[str, object]:
    """The row of one pair, and whether each demand is met."""
    viz, tap, load = found["viz"], found["tap"], found["load"]
    truth = value_ms + viz["in_region_mean_ms"]
    allowed = ALLOWED_MS + ALLOWED_SHARE * truth
    mean, median = viz["west_east_mean_ms"], tap["p50_ms"]["value"]
    one, two = tap["p50_ms"], load["p50_ms"]
    brackets = viz["brackets_ms"]
    low, high = brackets["p50"]
    shared = len({tuple(bounds) for bounds in brackets.values()}) < len(brackets)
    flagged = any("bucket" in text for text in found["warnings"])
    inside = [low < figure["value"] <= (high or np.inf) for figure in (one, two)]
    return {
        "truth": f"{truth:.1f}",
        "mean − truth": f"{mean - truth:+.1f}",
        "median − truth": f"{median - truth:+.1f}",
        "allowed": f"{allowed:.1f}",
        "within": _word(max(abs(mean - truth), abs(median - truth)) <= allowed),
        "tap p50": _shown(one),
        "load p50": _shown(two),
        "load p99": _shown(load["p99_ms"]),
        "agree": _word(one["low"] <= two["high"] and two["low"] <= one["high"]),
        "viz bracket": f"({low:g}, {high or np.inf:g}]",
        "contains": _word(all(inside)),
        "artefact flagged / due": f"{_word(flagged)} / {_word(shared)}",
        "late": f"{load['late_share']:.1%}",
    }


def _word(holds: bool) -> str:  # noqa: FBT001 - a predicate
    return "yes" if holds else "NO"


def _shown(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return f"n={figure['n']}"
    return f"{figure['value']:.1f} [{figure['low']:.1f}, {figure['high']:.1f}]"


def pairs(*, quick: bool) -> None:
    """The table of the six pairs."""
    rows: list[dict[str, object]] = []
    chosen = PAIRS[::3] if quick else PAIRS
    with temporary_home() as home:
        runs = home.folder / "runs"
        home.labkit(
            *("run", "--keep", "--lab-name", "accuracy", "--runs", str(runs)),
            *("-p", "measure_seconds=5", "-p", "load_rate=0"),
        )
        for west, east in chosen:
            value = rtt(west, east).value_ms
            try:
                row = judge(measure_pair(home, value), value)
            except (TypeError, RuntimeError) as error:  # a figure is missing
                row = {"truth": f"{type(error).__name__}: {str(error)[-300:]}"}
            rows.append({"pair": f"{west}–{east}", "RTT, ms": f"{value:g}", **row})
    columns = list(max(rows, key=len))
    table = [[row.get(column, "-") for column in columns] for row in rows]
    print_table("Six pairs of regions on one lab", columns, table)


@contextmanager
def relay(folder: Path) -> Iterator[Path]:
    """The relay's process; yields its control socket."""
    control = folder / "relay.sock"
    module = "labkit.embedded.network.relay"
    process = subprocess.Popen([sys.executable, "-m", module, "--control", str(control)])
    try:
        while not control.exists():
            time.sleep(0.02)
        yield control
    finally:
        process.terminate()
        process.wait()


async def _routes(control: Path, port: int, seed: int) -> list[str]:
    common: dict[str, Any] = {"targets": (f"127.0.0.1:{port}",), "rtt_ms": RTT_MS, "seed": seed}
    wanted = {
        "heavy": RouteSpec(id="heavy", jitter_ms=JITTER_MS, jitter_law="pareto", **common),
        "plain": RouteSpec(id="plain", **common),
    }
    async with RelayClient(control) as client:
        made = await client.put_all(wanted)
    return [made[name]["listen"] for name in ("heavy", "plain")]


def one_run(control: Path, port: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Latencies in ms over the heavy-tailed and over the plain route."""
    heavy, plain = asyncio.run(_routes(control, port, seed))
    seconds = LEAD_S + 2 * N // RATE
    done = subprocess.run(
        [sys.executable, "-m", MODULE, "attack", f"-rate={RATE}", f"-duration={seconds}s"],
        input=f"GET http://{heavy}/\nGET http://{plain}/\n",
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [",".join(map(str, to_csv(json.loads(line)))) for line in done.stdout.splitlines()]
    plan = read_results(lines, rate=RATE, seconds=seconds)
    kept = [(r.number, r.latency_us / 1000) for r in plan[LEAD_S * RATE :] if r.latency_us]
    split = [np.array([ms for number, ms in kept if number % 2 == side]) for side in (0, 1)]
    return split[0], split[1]


def heavy_tail(*, quick: bool) -> None:
    """The table of the runs with a heavy tail."""
    rng = np.random.default_rng(1)
    scale = JITTER_MS * np.sqrt((PARETO_SHAPE - 1) ** 2 * (PARETO_SHAPE - 2) / PARETO_SHAPE)
    law = scale * rng.pareto(PARETO_SHAPE, 1_000_000)
    count = 3 if quick else RUNS
    hits = dict.fromkeys(FIGURES, 0)
    widths: dict[float, list[float]] = {q: [] for q in FIGURES}
    truths: dict[float, list[float]] = {q: [] for q in FIGURES}
    with tempfile.TemporaryDirectory() as folder, server() as port, relay(Path(folder)) as control:
        for seed in range(count):
            heavy, plain = one_run(control, port, seed)
            whole = law + rng.choice(plain, len(law))
            for q in FIGURES:
                found, truth = statistics.quantile(heavy, q), float(np.quantile(whole, q))
                hits[q] += found.low_ms <= truth <= found.high_ms
                widths[q].append(found.high_ms - found.low_ms)
                truths[q].append(truth)
    rows = [
        (
            f"p{q * 100:g}",
            f"{np.mean(truths[q]):.1f}",
            f"{RTT_MS + scale * ((1 - q) ** (-1 / PARETO_SHAPE) - 1):.1f}",
            f"{np.mean(widths[q]):.1f}",
            f"{hits[q]} of {count}",
            f"≥ {count * 9 // 10}: {_word(hits[q] >= count * 9 // 10)}",
        )
        for q in FIGURES
    ]
    print_table(
        f"Heavy tail: Pareto jitter, {JITTER_MS:g} ms, round trip {RTT_MS:g} ms, n={N} a run",
        ("quantile", "truth, ms", "of the relay alone", "interval's width", "inside", "target"),
        rows,
    )


def run(*, quick: bool) -> None:
    """Print both tables."""
    heavy_tail(quick=quick)
    pairs(quick=quick)
