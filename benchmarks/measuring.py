"""What all benchmarks share: a home of their own, the command line as a user starts it, tables.

Every lab lives in a temporary LABKIT_HOME and is taken down whatever happens. Nothing of the
user's own labs is touched.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
COMMAND_TIMEOUT_S = 600


@dataclass(frozen=True)
class Home:
    """A temporary LABKIT_HOME and the `labkit` command in it."""

    folder: Path

    def labkit(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Run `labkit ARGUMENTS` and return what it printed.

        Raises:
            RuntimeError: it failed; its last words are quoted.
        """
        environ = {k: v for k, v in os.environ.items() if not k.startswith("LABKIT_")}
        done = subprocess.run(
            [sys.executable, "-m", "labkit.cli", *arguments],
            env=environ | {"LABKIT_HOME": str(self.folder)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"labkit {' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout

    def facts(self, *arguments: str) -> Any:
        """The same with `--json`, parsed."""
        return json.loads(self.labkit(*arguments, "--json"))

    def seconds(self, *arguments: str) -> float:
        """How long the command takes, in seconds."""
        started = time.perf_counter()
        self.labkit(*arguments)
        return time.perf_counter() - started


@contextmanager
def temporary_home() -> Iterator[Home]:
    """A fresh LABKIT_HOME; its labs are taken down and the folder removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="labkit-bench-"))
    home = Home(folder)
    try:
        yield home
    finally:
        for lab in folder.glob("*/lab.json"):
            home.labkit("down", "--lab-name", lab.parent.name)
        shutil.rmtree(folder, ignore_errors=True)


def kind_of(process: Mapping[str, Any]) -> str:
    """`daemon`, `envoys`, `programs` or `relay`: what a process of `labkit status --json` is."""
    name = process["name"]
    if name == "daemon" or "relay" in name:
        return "relay" if "relay" in name else "daemon"
    return "envoys" if "envoy" in name or "proxy" in name else "programs"


@dataclass(frozen=True)
class Cpu:
    """CPU time of several processes, in percent of one core."""

    processes: int
    percent: float


def cpu_by_kind(home: Home, seconds: float) -> dict[str, Cpu]:
    """CPU time of a lab by `kind_of` while nothing is done.

    Processes that start or end meanwhile are left out.
    """
    processes = home.facts("status")["processes"]
    known = [(kind_of(process), psutil.Process(process["pid"])) for process in processes]
    before = [_cpu_s(process) for _, process in known]
    time.sleep(seconds)
    found: defaultdict[str, list[float]] = defaultdict(list)
    for (kind, process), earlier in zip(known, before, strict=True):
        found[kind].append(100 * max(0.0, _cpu_s(process) - earlier) / seconds)
    return {kind: Cpu(len(shares), sum(shares)) for kind, shares in found.items()}


def _cpu_s(process: psutil.Process) -> float:
    try:
        return sum(process.cpu_times()[:2])
    except psutil.NoSuchProcess:
        return 0.0


def median(values: Sequence[float]) -> str:
    """The median with the range that it comes from, as `3.1 (2.9 to 3.4)`."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def met(value: float, target: float) -> str:
    """Whether a target is met, in a word."""
    return f"≤ {target:g}: {word(value <= target)}"


def word(holds: bool) -> str:  # noqa: FBT001 - a predicate
    """Whether it holds, in a word that is seen when it does not."""
    return "yes" if holds else "NO"


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table below its title."""
    print(f"\n### {title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    sys.stdout.flush()
