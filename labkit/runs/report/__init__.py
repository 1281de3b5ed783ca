"""Reports: one self-contained HTML page of one run, several runs or a whole sweep, for sign-off.

No script, no font and no image is loaded from anywhere: charts are inlined, and the page forbids
the browser everything else. What a run folder lacks is said, never a reason to fail.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labkit.errors import StateError
from labkit.runs.folder import RunFolder
from labkit.runs.reading import KeptRun, find_runs, is_sweep, read_run
from labkit.runs.report import page
from labkit.runs.report.plan import read_plan

REPORT = "report.html"


@dataclass(frozen=True)
class Written:
    """A report that was written.

    Attributes:
        path: the page.
        runs: what it is of.
        missing: run -> what its folder lacks.
    """

    path: Path
    runs: tuple[str, ...]
    missing: dict[str, tuple[str, ...]]


def write(folder: RunFolder, content: dict[str, Any]) -> Path:
    """Write the report of a run that just ended.

    Args:
        folder: the run folder; its charts are taken in.
        content: the summary, which may not be on disk.

    Returns:
        The page's path.
    """
    run = read_run(folder.root)
    left = tuple(text for text in run.missing if not text.startswith(folder.summary.name))
    _save(folder.report, page.render([replace(run, summary=content, missing=left)]))
    return folder.report


def write_report(paths: Sequence[Path], *, output: Path | None = None) -> Written:
    """Write the report of run folders, or of folders that hold run folders.

    Args:
        paths: what it is of.
        output: the page; default: `report.html` in the run folder, or in the folder that holds
            all runs.

    Raises:
        InputError: a path holds no run.
        StateError: the page cannot be written.
    """
    runs = [read_run(folder) for folder in find_runs(paths)]
    target = output or _default_output(runs, paths)
    plans = [read_plan(path, runs) for path in paths if is_sweep(path)]
    _save(target, page.render(runs, sweeps=[plan for plan in plans if plan is not None]))
    missing = {run.name: run.missing for run in runs if run.missing}
    return Written(target, tuple(run.name for run in runs), missing)


def _default_output(runs: Sequence[KeptRun], paths: Sequence[Path]) -> Path:
    if len(runs) == 1:
        return runs[0].root / REPORT
    if len(paths) == 1:
        return paths[0] / REPORT
    return Path(os.path.commonpath([run.root.parent for run in runs])) / REPORT


def _save(target: Path, text: str) -> None:
    """Write the page whole or not at all."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        raise StateError(
            f"The report {target} cannot be written",
            seen=error.strerror or str(error),
            fix="free space, or name another file with --output",
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()
