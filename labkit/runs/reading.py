"""Run folders read back, whole or not: what is there, and one sentence for everything that is not.

A run may have been killed, its disk may have been full, and files may have been deleted since. A
reader gets what is left. Nothing is computed here and nothing is written.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.context import FACTS
from labkit.errors import InputError

_MARKS = ("summary.json", "params.json", FACTS, "measurement.json")
"""A folder with one of these is a run folder."""

PLAN = "plan.json"
"""A folder with this is a sweep: its finished runs are below `runs/`, its attempts are no runs."""

_DEPTH = 3
"""How deep below a given folder run folders are looked for: a sweep has points below it."""


@dataclass(frozen=True)
class KeptRun:
    """One run folder as it was found.

    Attributes:
        root: the folder.
        summary: content of summary.json; empty when it cannot be read.
        params: content of params.json; empty when it cannot be read.
        versions: content of versions.json; empty when it cannot be read.
        measurement: content of measurement.json; empty when it cannot be read.
        receipt: content of receipt.json; empty when there is none, as before receipts were kept.
        missing: one sentence for each file that is not there or cannot be read.
    """

    root: Path
    summary: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    measurement: dict[str, Any] = field(default_factory=dict)
    receipt: dict[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the run: its folder's."""
        return self.root.name

    @property
    def regions(self) -> tuple[str, str]:
        """West and east as slugs; `?` when the run does not say."""
        known = self.summary.get("regions")
        found = known if isinstance(known, dict) else {}
        west = found.get("west") or self.params.get("west_region") or "?"
        east = found.get("east") or self.params.get("east_region") or "?"
        return str(west), str(east)

    @property
    def title(self) -> str:
        """The two regions, for people."""
        return " → ".join(self.regions)


def is_run(folder: Path) -> bool:
    """Whether a folder is a run folder, of whatever completeness."""
    return not is_sweep(folder) and any((folder / name).is_file() for name in _MARKS)


def is_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return (folder / PLAN).is_file()


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """The run folders that paths name: each is one, or a folder that holds some (a sweep).

    Args:
        paths: folders; a run named twice counts once.

    Returns:
        In the order given; those below one folder by name, which is by time.

    Raises:
        InputError: one is not there, or holds no run; all such paths are named.
    """
    found: dict[Path, None] = {}
    problems = []
    for path in paths:
        runs = [path.resolve()] if is_run(path) else list(_below(path, _DEPTH))
        if not runs:
            state = "no run folder" if path.is_dir() else "not a folder"
            problems.append(f"{path}: {state if path.exists() else 'does not exist'}")
        found |= dict.fromkeys(runs)
    if problems:
        raise InputError(
            "There is no run to read",
            problems=problems,
            fix="name a run folder (runs/<time>-<west>-<east>) or a folder of them",
        )
    return list(found)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    if depth == 0 or not folder.is_dir():
        return
    for child in sorted((folder / "runs" if is_sweep(folder) else folder).glob("*")):
        if child.name.startswith("."):
            continue
        if child.is_dir() and is_run(child):
            yield child.resolve()
        else:
            yield from _below(child, depth - 1)


def read_run(root: Path) -> KeptRun:
    """Read what a run left behind; a file that is gone or broken is named in `missing`."""
    missing: list[str] = []

    def content(name: str, *, optional: bool = False) -> dict[str, Any]:
        if optional and not (root / name).exists():
            return {}
        try:
            value = json.loads((root / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            missing.append(f"{name} is not there")
        except (OSError, ValueError) as error:
            missing.append(f"{name} cannot be read: {error}")
        else:
            if isinstance(value, dict):
                return value
            missing.append(f"{name} cannot be read: it holds no object")
        return {}

    return KeptRun(
        root=root,
        summary=content("summary.json"),
        params=content("params.json"),
        versions=content("versions.json"),
        measurement=content("measurement.json"),
        receipt=content("receipt.json", optional=True),
        missing=tuple(missing),
    )
