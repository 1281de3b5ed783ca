"""`python -m benchmarks [NAME…] [--quick]`: print the tables, all of them or some."""

import argparse
import os
import platform
from datetime import UTC, datetime
from importlib import import_module

NAMES = (
    "help",
    "up",
    "relay",
    "apiserver",
    "memory",
    "idle",
    "lab",
    "intervals",
    "samples",
    "load",
)
LONG = ("sweep", "accuracy", "teardown", "faults")
"""Only when named: they take longer than all others together."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES + LONG)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, a shorter measurement")
    parser.add_argument(
        "--pairs",
        nargs="+",
        metavar="WEST-EAST",
        default=(),
        help="accuracy: only these pairs of regions, as sfo3-syd1, and no heavy tail",
    )
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES + LONG]
    if unknown:
        parser.error(f"no such table: {', '.join(unknown)}; choose of {', '.join(NAMES + LONG)}")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, load before: {load}"
    )
    for name in options.names or NAMES:
        more = {"pairs": options.pairs} if name == "accuracy" else {}
        import_module(f"benchmarks.{name}").run(quick=options.quick, **more)


if __name__ == "__main__":
    main()
