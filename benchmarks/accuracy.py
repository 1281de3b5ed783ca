"""Are the figures true? Reported against what the relay was told.

Six pairs: one lab whose WAN gets the round trip of each pair in turn; each line of each pair is
judged by itself. What is compared with what, and why it may be:

* mean: viz at vote-bot's proxy against the round trip plus viz at the gateway. Both proxies count
  the same requests to the first byte, in whole ms that are cut off: the half millisecond cancels.
* median: tap at vote-bot's proxy against the round trip plus the median of tap at the gateway: the
  same requests to the first byte, in µs.
* tap and load: the generator's requests, seen by itself (intended time to the end of the answer)
  and by tap at its own sidecar (first byte there to the answer's last), joined by their numbers.
  None may be shorter outside than inside; the generator's own share is shown with its interval and
  must be small; without it (one constant) the intervals of p50, p95 and p99 must overlap.
* bracket: viz' bucket of each quantile against tap at the same proxy, of the same workload: of
  vote-bot at vote-bot's, of the load at the load's, and there against the generator, too, without
  its own share. Proxies count whole ms, cut off; so are the samples, and their intervals, because
  tap does not see exactly the requests that viz counts.
* artefacts: flagged exactly when two of p50, p95, p99 share one of Linkerd's buckets. What is due
  is counted here from the raw counters on disk. Laws for which it must not be raised stand in a
  table of their own.

Heavy tail: the load generator through the real relay, every second request over a route whose
jitter has a declared heavy-tailed law, the others over one without. What the machine adds is taken
from the latter: the truth of a quantile is that of the law put together with it. Deliberately
without Envoy: on one HTTP/2 connection a late chunk holds back those behind it, and then the
declared law is not the law of requests.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import accuracy_pairs
from benchmarks.load import MODULE, server
from benchmarks.measuring import print_table, word
from labkit.chapters.load import read_results
from labkit.embedded.images.vegeta import to_csv
from labkit.embedded.network.relay_control import RelayClient
from labkit.embedded.network.relay_pipes import PARETO_SHAPE, RouteSpec
from labkit.latency import statistics

PAIRS = (
    *(("ams3", "fra1"), ("nyc1", "sfo3"), ("nyc1", "lon1")),
    *(("sfo3", "syd1"), ("lon1", "sgp1"), ("ams3", "syd1")),
)
FIGURES = (0.5, 0.9, 0.99)
RUNS, N, RATE = 60, 1_200, 300
RTT_MS, JITTER_MS = 40.0, 40.0
LEAD_S = 1


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
            f"≥ {count * 9 // 10}: {word(hits[q] >= count * 9 // 10)}",
        )
        for q in FIGURES
    ]
    print_table(
        f"Heavy tail: Pareto jitter, {JITTER_MS:g} ms, round trip {RTT_MS:g} ms, n={N} a run",
        ("quantile", "truth, ms", "of the relay alone", "interval's width", "inside", "target"),
        rows,
    )


def run(*, quick: bool, pairs: Sequence[str] = ()) -> None:
    """Print all tables; with pairs of regions only theirs."""
    if not pairs:
        heavy_tail(quick=quick)
    chosen = [tuple(pair.split("-")) for pair in pairs] or list(PAIRS[::3] if quick else PAIRS)
    accuracy_pairs.run(chosen)
