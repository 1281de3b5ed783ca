"""How long does it take to load and summarise many samples, and how much memory?

Each size is measured in a process of its own, whose peak of memory is the kernel's figure.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measuring import met, print_table
from labkit.latency.dataset import open_samples, write
from labkit.latency.schema import REQUESTS

SIZES = {1_000_000: 2.0, 10_000_000: 20.0}
MEMORY_TARGET_MB = 2_000
PAIRS = (("sfo3", "syd1", 145.9), ("ams3", "fra1", 9.0), ("nyc1", "lon1", 76.0))


def make(folder: Path, n: int) -> None:
    """Write runs of a million requests each, of three pairs of regions in turn."""
    rng = np.random.default_rng(n)
    for number in range(max(1, n // 1_000_000)):
        west, east, rtt = PAIRS[number % len(PAIRS)]
        count = min(n, 1_000_000)
        words = {
            "run": f"run-{number}",
            "vantage": "load generator (west)",
            "instrument": "load",
            "source_cluster": "west",
            "source_region": west,
            "destination_cluster": "east",
            "destination_region": east,
            "service": "web-svc-east.emojivoto",
            "rtt_source": "table",
            "method": "GET",
            "path": "/api/list",
            "outcome": "response",
            "connection": "kept",
            "server_id": "",
        }
        frame = pd.DataFrame({"time_s": 1.78e9 + np.arange(count) / 1000})
        frame = frame.assign(
            **{
                name: pd.Categorical.from_codes(np.zeros(count, int), [v])
                for name, v in words.items()
            },
            repetition=1,
            warmup=frame["time_s"] < 1.78e9 + 5,
            rtt_ms=rtt,
            status=pd.array(np.full(count, 200), dtype="Int16"),
            latency_us=pd.array(
                (rtt * 1000 + rng.lognormal(8, 0.6, count)).astype("int64"), dtype="Int64"
            ),
            late_us=pd.array(rng.exponential(200, count).astype("int64"), dtype="Int64"),
            tls=None,
        )
        write(frame, folder / f"run-{number}", REQUESTS)


def measure(folder: str) -> None:
    """Summarise and print what it took, as JSON; the imports are not counted."""
    from labkit.latency.summarising import summarise

    started = time.perf_counter()
    table = summarise(open_samples(folder, schema=REQUESTS))
    took = time.perf_counter() - started
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1024**2 if sys.platform == "darwin" else 1024
    print(json.dumps({"s": took, "mb": peak_kb / unit, "rows": len(table)}))


def run(*, quick: bool) -> None:
    """Print the table."""
    rows = []
    for n, target_s in SIZES.items():
        if quick and n > 1_000_000:
            continue
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), n)
            size_mb = sum(f.stat().st_size for f in Path(folder).rglob("*.parquet")) / 1e6
            done = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    f"from benchmarks.samples import measure; measure({folder!r})",
                ],
                capture_output=True,
                text=True,
                check=True,
            )
        found = json.loads(done.stdout)
        rows.append(
            (
                f"{n:,}",
                f"{size_mb:.0f}",
                f"{found['s']:.2f}",
                met(found["s"], target_s),
                f"{found['mb']:.0f}",
                met(found["mb"], MEMORY_TARGET_MB),
            )
        )
    columns = ("samples", "MB on disk", "s", "target, s", "peak memory, MB", "target, MB")
    print_table("Load and summarise", columns, rows)
