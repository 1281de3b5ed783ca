"""How much memory does a lab hold after the whole walk, idle apart from emojivoto's robot?

Proportional set size (PSS) of every process of the lab: pages shared by n processes count 1/n in
each, so the sum is what the machine would get back. On macOS it is the unique set size. Run it
with no other lab up: pages that another lab uses too would count less.
"""

import statistics
import time
from collections import defaultdict

from benchmarks.measuring import Home, kind_of, met, print_table, temporary_home

TARGETS_MB = {"pod": 600, "cluster": 350}
TITLES = {"pod": "one Envoy per pod", "cluster": "one Envoy per cluster"}
SETTLE_S = 10.0
READ_EVERY_S = 2.0


def run(*, quick: bool) -> None:
    """Print the table."""
    readings = 3 if quick else 7
    rows = [_row(grouping, readings) for grouping in TARGETS_MB]
    columns = ("proxies", "total MB, median", "n", "daemon", "Envoys", "programs", "relay")
    print_table("Memory after the walk (PSS)", (*columns, "processes", "target, MB"), rows)


def _row(grouping: str, readings: int) -> tuple[object, ...]:
    with temporary_home() as home:
        options = (
            *(f"proxy_grouping={grouping}", "measure_seconds=15", "warmup_seconds=10"),
            "load_rate=0",
        )
        flags = [word for option in options for word in ("-p", option)]
        home.labkit("run", *flags, "--keep", "--runs", str(home.folder / "runs"))
        time.sleep(SETTLE_S)
        seen = []
        for _ in range(readings):
            seen.append(_by_kind(home))
            time.sleep(READ_EVERY_S)
        number = len(home.facts("status")["processes"])
    total = statistics.median(sum(kinds.values()) for kinds in seen)
    parts = [
        f"{statistics.median(kinds[kind] for kinds in seen):.0f}"
        for kind in ("daemon", "envoys", "programs", "relay")
    ]
    verdict = met(total, TARGETS_MB[grouping])
    return (TITLES[grouping], f"{total:.0f}", readings, *parts, number, verdict)


def _by_kind(home: Home) -> dict[str, float]:
    kinds: defaultdict[str, float] = defaultdict(float)
    for process in home.facts("status")["processes"]:
        kinds[kind_of(process)] += process["pss_mb"] or 0.0
    return kinds
