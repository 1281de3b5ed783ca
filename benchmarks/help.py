"""How soon does `labkit --help` answer? Beside an interpreter that does nothing, in turn."""

import statistics
import subprocess
import sys
import time

from benchmarks.measuring import median, met, print_table

TARGET_S = 0.5
COMMANDS = {
    "`labkit --help`": [sys.executable, "-m", "labkit.cli", "--help"],
    "`python -c pass`": [sys.executable, "-c", "pass"],
}


def seconds(argv: list[str]) -> float:
    """How long one start takes."""
    started = time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def run(*, quick: bool) -> None:
    """Print the table."""
    rounds = 5 if quick else 21
    for argv in COMMANDS.values():  # files into the page cache
        seconds(argv)
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, argv in COMMANDS.items():
            taken[name].append(seconds(argv))
    rows = [(name, median(values), rounds, _target(name, values)) for name, values in taken.items()]
    print_table("Help", ("command", "s, median (range)", "n", "target, s"), rows)


def _target(name: str, values: list[float]) -> str:
    return met(statistics.median(values), TARGET_S) if "help" in name else "-"
