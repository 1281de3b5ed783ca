"""A headless run: every notebook in order, teardown whatever happens, figures and a report.

The teardown is in `finally`: after a failing notebook, after Ctrl-C, after SIGTERM. The run
folder is kept in every case, and says how the run ended. A run that was cut off goes on from there
by `labkit/runs/resuming.py`.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.chapters.latency import MEASUREMENT
from labkit.clouds import require_consent
from labkit.errors import CheckFailed, LabkitError, StateError
from labkit.folder import LabFolder
from labkit.handouts import cells
from labkit.handouts.materials import NOTEBOOKS
from labkit.lab import Lab
from labkit.params import Params, to_papermill
from labkit.runs import ending, hiding, receipt, report, summary
from labkit.runs.folder import RunFolder, short
from labkit.runs.interrupting import echo, terminate_as_interrupt
from labkit.runs.kernels import Kernels
from labkit.runs.notebooks import execute, find_notebooks, load_papermill
from labkit.runs.turns import ALONE, Turns

CLEANUP = "99_cleanup"
UNDISTURBED = {"10_latency"}
"""Nothing is started beside these: they measure."""


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes:
        folder: the run folder.
        summary: content of summary.json.
        error: what ended the run early, None when it went through.
    """

    folder: Path
    summary: dict[str, Any]
    error: BaseException | None


def run_lab(
    params: Params,
    *,
    runs: Path = Path("runs"),
    notebooks: Path = NOTEBOOKS,
    keep: bool = False,
    name: str | None = None,
    caveats: Sequence[str] = (),
    exercises: bool = True,
    whole: bool = True,
    turns: Turns = ALONE,
) -> RunResult:
    """Run the walk.

    Args:
        params: validated parameters.
        runs: parent of the run folder.
        notebooks: folder of the notebooks.
        keep: leave the lab up at the end.
        name: of the run folder; None makes one of the time and the regions.
        caveats: what a reader of the figures must know of how they were made; go to the warnings.
        exercises: run them too. Where the notebooks have solutions these are run, and must pass;
            where they have none, what the learner wrote is, and what is open is told.
        whole: with the chapters that no measurement needs.
        turns: where other runs share the machine.

    Raises:
        StateError: the lab is up already, nobody agreed to its cost, or the run folder cannot be
            written.
    """
    chapters = to_run(notebooks, keep=keep, drills=params.drills, whole=whole)
    _refuse_a_running_lab(params)
    require_consent(Lab.of(params).cloud, params)
    folder = RunFolder.create(runs, params, name=name)
    LabFolder.of(params.lab_name).write_params(params)
    Lab.of(params).meter.reset()
    with folder.checkpoints.locked():
        return attempt(
            *(folder, params, chapters),
            keep=keep,
            caveats=caveats,
            exercises=exercises,
            whole=whole,
            turns=turns,
        )


def attempt(
    folder: RunFolder,
    params: Params,
    chapters: Sequence[Path],
    *,
    keep: bool,
    caveats: Sequence[str] = (),
    exercises: bool = True,
    whole: bool = True,
    turns: Turns = ALONE,
    prepare: Callable[[], None] = lambda: None,
) -> RunResult:
    """Run notebooks that are left, tear down, and write what the run has shown so far.

    Args:
        folder: the run folder, locked by the caller.
        params: validated parameters.
        chapters: the notebooks that have no checkpoint yet.
        keep: leave the lab up at the end.
        caveats: as for `run_lab`.
        exercises: as for `run_lab`.
        whole: as for `run_lab`, which chose the notebooks by it; kept for who resumes.
        turns: as for `run_lab`.
        prepare: brings the lab to the end of the chapter before.
    """
    checkpoints = folder.checkpoints
    timings = {name: point.seconds for name, point in checkpoints.read().items()}
    error: BaseException | None = None
    teardown: dict[str, Any] = {}
    _say(f"run folder: {short(folder.root)}")
    with _environment(folder, params), echo(folder.log), terminate_as_interrupt():
        try:
            checkpoints.begin(caveats, exercises=exercises, whole=whole)
            prepare()
            _run_chapters(chapters, folder, params, timings, exercises=exercises, turns=turns)
        except (LabkitError, KeyboardInterrupt, OSError) as caught:
            error = caught
            folder.say(f"✘ {str(caught) or 'interrupted'}")
        finally:
            if not keep:
                teardown = ending.tear_down(params, folder, turns)
    error = error or ending.problem(teardown, folder)
    with suppress(OSError):
        at = next((path.stem for path in chapters if path.stem not in checkpoints.read()), None)
        told = None if error is None else str(error).partition("\n")[0] or "interrupted"
        checkpoints.end(notebook=at if error else None, error=told)
    with turns.working():
        content = summary.build(folder, params, timings=timings, teardown=teardown, error=error)
        _write_down(folder, params, content)
    return RunResult(folder.root, content, error)


def _write_down(folder: RunFolder, params: Params, content: dict[str, Any]) -> None:
    """Summary, receipt and report, as far as the disk permits."""
    meter = Lab.of(params).meter
    with suppress(OSError):
        meter.take_over(receipt.items(folder))
    content["cost"] = receipt.in_summary(meter.read())
    with suppress(OSError):
        receipt.write(folder, meter.read())
        folder.summary.write_text(json.dumps(content, indent=1))
        report.write(folder, content)


def to_run(notebooks: Path, *, keep: bool, drills: bool, whole: bool) -> list[Path]:
    """The notebooks of a run, in order.

    Raises:
        StateError: there are none.
    """
    found = find_notebooks(notebooks, drills=drills, whole=whole)
    return [path for path in found if not (keep and path.stem == CLEANUP)]


def _refuse_a_running_lab(params: Params) -> None:
    folder = LabFolder.of(params.lab_name)
    known = folder.read_params()
    if known is None or not Lab.of(known).has_remains():
        return
    state = "is up already" if Lab.of(known).is_up() else "was killed and not taken down"
    raise StateError(
        f"The lab {params.lab_name} {state}, and a run needs a fresh one",
        fix="run `labkit down` first, or choose another name: -p lab_name=other",
    )


def _run_chapters(
    chapters: Sequence[Path],
    folder: RunFolder,
    params: Params,
    timings: dict[str, float],
    *,
    exercises: bool,
    turns: Turns,
) -> None:
    if not chapters:
        return
    with Kernels(chapters[0].parent) as kernels:
        with turns.working():
            kernels.warm_up()
            load_papermill()
            kernels.prepare(1)
        for number, chapter in enumerate(chapters, start=1):
            measures = chapter.stem in UNDISTURBED
            ahead = 0 if measures else len(chapters) - number
            measured = (folder.root / MEASUREMENT).exists
            with turns.measuring(measured) if measures else turns.working():
                _run_chapter(
                    chapter,
                    folder,
                    params,
                    timings,
                    kernels=kernels,
                    ahead=ahead,
                    exercises=exercises,
                )


def _run_chapter(
    chapter: Path,
    folder: RunFolder,
    params: Params,
    timings: dict[str, float],
    *,
    kernels: Kernels,
    ahead: int,
    exercises: bool,
) -> None:
    started = time.monotonic()
    folder.say(f"▶ {chapter.stem}")
    try:
        execute(
            chapter,
            folder.root / "notebooks" / chapter.name,
            parameters=to_papermill(params),
            hide=lambda: hiding.paths(params, folder.root) | hiding.secrets(params),
            kernels=kernels,
            ahead=ahead,
            exercises=exercises,
        )
    finally:
        timings[chapter.stem] = round(time.monotonic() - started, 2)
    if exercises:
        _require_solved(chapter, folder)
    folder.checkpoints.keep(chapter, timings[chapter.stem])
    folder.say(f"✔ {chapter.stem} ({timings[chapter.stem]:.1f} s)")


def _require_solved(notebook: Path, folder: RunFolder) -> None:
    """Where solutions were run, their checks must hold; a learner's notebook may have open ones.

    Raises:
        CheckFailed: the first exercise whose solution does not solve it.
    """
    for exercise in cells.solutions(cells.read(notebook)):
        for outcome in summary.recorded(folder).get("exercises", {}).get(exercise, []):
            if outcome["status"] == "fail":
                raise CheckFailed(
                    f"The solution of {exercise} in {notebook.name} does not solve it",
                    seen=outcome["reason"],
                )


@contextmanager
def _environment(folder: RunFolder, params: Params) -> Iterator[None]:
    """Tell the kernels that nobody watches, where results go, and what was agreed to."""
    before = dict(os.environ)
    os.environ["LABKIT_HEADLESS"] = "1"
    os.environ["LABKIT_RUN_FOLDER"] = str(folder.root)
    os.environ["LABKIT_APPROVE_COST"] = str(params.approve_cost).lower()
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
