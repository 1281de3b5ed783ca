"""What a page says of a sweep: what was planned, what is not finished, the file to repeat it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from labkit.params import Params
from labkit.runs.figures import number, pick, rows, word
from labkit.runs.reading import PLAN, KeptRun

_VARIED = ("west_region", "east_region", "lab_name", "seed", "repetition")
"""Parameters that the sweep gives to its points itself."""


@dataclass(frozen=True)
class SweepPlan:
    """A sweep on the page.

    Attributes:
        name: of its folder.
        planned: points in all.
        unfinished: names of the points that have no run, with what ended the last attempt.
        file: the sweep file that repeats it.
    """

    name: str
    planned: int
    unfinished: list[str]
    file: str


def read_plan(folder: Path, runs: Sequence[KeptRun]) -> SweepPlan | None:
    """Read the plan of a sweep's folder; None when it cannot be read.

    Args:
        folder: of the sweep.
        runs: those that were found below it.
    """
    try:
        plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    points = rows(plan, "points")
    done = {run.name for run in runs if folder.resolve() in run.root.parents}
    stamp, failures = word(plan, "created"), _failures(folder)
    return SweepPlan(
        name=folder.resolve().name,
        planned=len(points),
        unfinished=[
            f"{name}: {failures.get(name, 'not run')}"
            for name in (word(point, "name") for point in points)
            if f"{stamp}-{name}" not in done
        ],
        file=_file(plan, points),
    )


def _failures(folder: Path) -> dict[str, str]:
    """Point -> what ended its last attempt."""
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    failed = pick(summary, "failed_attempts")
    found = failed if isinstance(failed, dict) else {}
    return {str(attempt).rpartition("-")[0]: str(text) for attempt, text in found.items()}


def _file(plan: Any, points: Sequence[dict[str, Any]]) -> str:
    """The sweep file, with what differs from the defaults."""
    if not points:
        return ""
    regions = [
        [word(point, "params", f"{side}_region") for side in ("west", "east")] for point in points
    ]
    first = pick(points[0], "params") or {}
    fields = Params.model_fields
    params = {
        key: value
        for key, value in first.items()
        if key in fields and key not in _VARIED and value != fields[key].default
    }
    seeds = [found for point in points if (found := number(point, "params", "seed")) is not None]
    if seeds and min(seeds) != fields["seed"].default:
        params["seed"] = round(min(seeds))
    content = {
        "pairs": [list(pair) for pair in sorted({(west, east) for west, east in regions})],
        "repetitions": round(number(plan, "repetitions") or 1),
        "seed": round(number(plan, "order_seed") or 0),
        "params": params,
    }
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None)
