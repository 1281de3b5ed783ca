"""How long does a sweep take, and where does a point's time go?

The six pairs of params/sweep-example.yaml with windows of 15 s, one after the other, with labs and
run folders of a home of their own. It takes about six minutes and runs only when it is named.
"""

import json
import time

from benchmarks.measuring import ROOT, met, print_table, temporary_home

TARGET_S = 360.0
FILE = ROOT / "params" / "sweep-example.yaml"
QUICK = ("--west", "ams3", "--east", "fra1", "-p", "measure_seconds=15", "-p", "warmup_seconds=5")
COMMAND_TIMEOUT_S = 3_600


def run(*, quick: bool) -> None:
    """Print the table: each point, and the whole."""
    with temporary_home() as home:
        root = home.folder / "sweep"
        chosen = QUICK if quick else ("-f", str(FILE))
        started = time.perf_counter()
        home.labkit("sweep", *chosen, "--folder", str(root), timeout_s=COMMAND_TIMEOUT_S)
        wall = time.perf_counter() - started
        rows = []
        for folder in sorted((root / "runs").iterdir()):
            seconds = json.loads((folder / "summary.json").read_text())["timings_s"]
            slowest = sorted(seconds, key=lambda name: -seconds[name])[:4]
            words = ", ".join(f"{name} {seconds[name]:.0f}" for name in slowest)
            rows.append((folder.name.partition("-")[2], f"{sum(seconds.values()):.0f}", words))
    print_table("Points of a sweep", ("point", "notebooks, s", "slowest, s"), rows)
    target = "-" if quick else met(wall, TARGET_S)
    print_table(
        "A sweep, measurements of 15 s",
        ("points", "wall s", "wall s a point", "target, s"),
        [(len(rows), f"{wall:.0f}", f"{wall / len(rows):.0f}", target)],
    )
