"""How long does the whole walk take, and how much of it is the notebooks' own overhead?

A notebook's own overhead is its wall time without the cells that work on the lab (steps, checks,
the measurement). So it holds the start and end of the kernel, papermill, imports, opening the
lab, and every drawing. Beside it stands a notebook that only opens the lab, run in the same way.
"""

import json
import re
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import ROOT, Home, median, met, print_table, temporary_home
from labkit.runs.notebooks import execute

TARGET_S = 120.0
OVERHEAD_TARGET_S = 3.0
DRAWING = re.compile(r"^lab\.(topology|latency_chart|metrics_chart)\(")
COLUMNS = ("notebook", "wall s", "in the lab s", "of that checks s", "own overhead s", "target, s")


def run(*, quick: bool) -> None:
    """Print both tables."""
    measure_s = 15 if quick else 30
    with temporary_home() as home:
        runs = home.folder / "runs"
        started = time.perf_counter()
        home.labkit("run", "-p", f"measure_seconds={measure_s}", "--runs", str(runs))
        wall = time.perf_counter() - started
        folder = next(runs.iterdir())
        summary = json.loads((folder / "summary.json").read_text())
        rows = [
            _row(folder / "notebooks" / f"{name}.ipynb", seconds)
            for name, seconds in summary["timings_s"].items()
        ]
    target = met(wall, TARGET_S) if measure_s == 30 else "-"
    print_table(
        f"The whole walk, measurement of {measure_s} s",
        ("command", "wall s", "n", "target, s"),
        [("`labkit run`", f"{wall:.1f}", 1, target)],
    )
    print_table("Each notebook", COLUMNS, rows)
    _bare_notebook(rounds=2 if quick else 5)


def _row(notebook: Path, wall_s: float) -> tuple[object, ...]:
    content = json.loads(notebook.read_text())
    seconds = {"step": 0.0, "check": 0.0, "own": 0.0}
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            seconds[_kind(cell)] += cell["metadata"]["papermill"]["duration"]
    inside = seconds["step"] + seconds["check"]
    own = wall_s - inside
    cells = (f"{wall_s:.1f}", f"{inside:.1f}", f"{seconds['check']:.1f}", f"{own:.2f}")
    return (notebook.stem, *cells, met(own, OVERHEAD_TARGET_S))


def _kind(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    if "check" in cell["metadata"].get("tags", []):
        return "check"
    return "step" if source.startswith("lab.") and not DRAWING.match(source) else "own"


def _bare_notebook(*, rounds: int) -> None:
    """Time a notebook that opens the lab and does nothing else."""
    with temporary_home() as home:
        path = home.folder / "bare.ipynb"
        path.write_text(json.dumps(_opening_only(home)))
        taken = [_execute(path, home) for _ in range(rounds)]
    rows = [("open the lab, nothing else", median(taken), rounds, _verdict(taken))]
    print_table("A bare notebook", ("notebook", "s, median (range)", "n", "target, s"), rows)


def _opening_only(home: Home) -> dict[str, Any]:
    source = f"import os\nos.environ['LABKIT_HOME'] = {str(home.folder)!r}\n"
    source += "from labkit import open_lab\nlab = open_lab(lab_name='bare')"
    cell = {"cell_type": "code", "id": "open", "source": source, "metadata": {}}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": kernel},
        "cells": [cell | {"outputs": [], "execution_count": None}],
    }


def _execute(path: Path, home: Home) -> float:
    output = home.folder / "out.ipynb"
    return execute(path, output, parameters={}, hide=lambda: {str(ROOT): "."}).seconds


def _verdict(taken: list[float]) -> str:
    return met(statistics.median(taken), OVERHEAD_TARGET_S)
