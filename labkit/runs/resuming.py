"""A run that was cut off goes on: at the notebook that failed, in the same run folder.

What went through is known from the checkpoints. A lab that is still there is used; one that is gone
is made again and brought to the end of the chapter before. Parameters are those of the run. What
the failed notebook left (outputs, facts) goes first.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from labkit import __version__, catch_up
from labkit.clouds import require_consent
from labkit.errors import InputError, StateError
from labkit.handouts.materials import NOTEBOOKS
from labkit.lab import Lab
from labkit.params import LoadedParams, Params
from labkit.runs.checkpoints import Attempt, Checkpoint, digest, now
from labkit.runs.folder import RunFolder, short
from labkit.runs.headless import RunResult, attempt, to_run
from labkit.runs.reading import is_run


def find_run(run: Path | None, runs: Path) -> RunFolder:
    """The run to go on with: the one that is named, or the newest below a folder.

    Raises:
        InputError: there is none, or it is no run folder.
        StateError: it went through, or it has no checkpoints.
    """
    if run is None:
        found = sorted(path for path in runs.glob("*") if path.is_dir() and is_run(path))
        if not found:
            raise InputError(
                f"There is no run in {runs}",
                fix="name the run folder: labkit run --resume runs/<time>-<west>-<east>",
            )
        run = found[-1]
    # Not by `lab_of_run`: it puts back the record of a lab that may have been taken down since.
    if not (run / "params.json").is_file():
        raise InputError(
            f"{run} is no run folder",
            problems=["params.json: No such file"],
            fix="give the folder that `labkit run` has printed",
        )
    folder = RunFolder(run.resolve())
    if _status(folder) == "passed":
        raise StateError(
            f"The run {folder.root.name} went through; there is nothing to go on with",
            fix="`labkit run` makes a new one; name another folder to resume that one",
        )
    if not folder.checkpoints.attempts():
        raise StateError(
            f"The run {folder.root.name} has no checkpoints",
            seen="it was made by an older labkit, or ended before it began",
            fix="start a new one: `labkit run`",
        )
    return folder


def _status(folder: RunFolder) -> str:
    attempts = folder.checkpoints.attempts()
    if attempts and attempts[-1].ended is None:
        return "killed"  # a summary is of an attempt before
    with suppress(OSError, ValueError, KeyError):
        return str(json.loads(folder.summary.read_text())["status"])
    return "killed"


def params_of(folder: RunFolder, given: LoadedParams) -> Params:
    """The run's parameters; those given now must be the same.

    Args:
        folder: the run folder.
        given: what flags, environment and file say.

    Raises:
        InputError: some are others; all are named.
    """
    params = Params.model_validate_json((folder.root / "params.json").read_text(), strict=True)
    own, asked = params.model_dump(), given.params.model_dump()
    problems = [
        f"{key} is {own[key]} in this run, and {asked[key]} was given ({origin})"
        for key, origin in given.origins.items()
        if origin != "default" and key != "approve_cost" and own[key] != asked[key]
    ]
    if problems:
        raise InputError(
            f"The run {folder.root.name} was begun with other parameters",
            problems=problems,
            fix="leave them out to go on with it, or start a new run without --resume",
        )
    return params.model_copy(update={"approve_cost": given.params.approve_cost})


def resume_run(
    folder: RunFolder, params: Params, *, notebooks: Path = NOTEBOOKS, keep: bool = False
) -> RunResult:
    """Go on with a run at its first notebook without a checkpoint.

    Args:
        folder: as `find_run` gives it.
        params: as `params_of` gives them, with consent to the cost.
        notebooks: folder of the notebooks.
        keep: leave the lab up at the end.

    Raises:
        StateError: it is going on in another process, its lab is up with other parameters, its
            notebooks are not those of the folder, or nobody agreed to the cost.
    """
    with folder.checkpoints.locked():
        begun = next(iter(folder.checkpoints.attempts()), Attempt(now()))
        chapters = to_run(notebooks, keep=keep, drills=params.drills, whole=begun.whole)
        done = folder.checkpoints.read()
        through = _through(chapters, done, notebooks)
        left = chapters[len(through) :]
        lab = Lab.create(params)  # refuses a lab that is up with other parameters
        require_consent(lab.cloud, params)
        point = done[through[-1].stem] if through else None
        first = left[0].stem if left else None
        folder.checkpoints.note_killed(first)
        folder.checkpoints.restore(point, through={path.stem for path in through})

        def prepare() -> None:
            folder.say(f"▶ resumed at {first or 'the teardown'}")
            last = _last_chapter(through)
            if last is not None and left and catch_up.needs_clusters(left[0].stem[:2]):
                folder.say(f"… bringing the lab to the end of chapter {last}")
                catch_up.do_until(lab, catch_up.FIRST)
                catch_up.heal_drills(lab)  # of a notebook that was cut off
                catch_up.do_until(lab, last, anew=False)
                folder.checkpoints.restore_facts(point)  # as the run's own notebooks saw them
                folder.say(f"✔ the lab is at the end of chapter {last}")

        return attempt(
            folder,
            params,
            left,
            keep=keep,
            caveats=_caveats(folder, through, done),
            exercises=begun.exercises,
            whole=begun.whole,
            prepare=prepare,
        )


def _through(
    chapters: Sequence[Path], done: Mapping[str, Checkpoint], notebooks: Path
) -> list[Path]:
    """The notebooks from the first one on that went through, without a gap."""
    unknown = set(done) - {path.stem for path in chapters} - {"99_cleanup"}
    if unknown:
        raise StateError(
            f"The notebooks in {short(notebooks)} are not those of this run",
            seen=f"it has executed {', '.join(sorted(unknown))}",
            fix="give the same folder with --notebooks as at its start",
        )
    through = []
    for path in chapters:
        if path.stem not in done:
            break
        through.append(path)
    return through


def _last_chapter(through: Sequence[Path]) -> str | None:
    """The last chapter that went through and needs clusters; None when there is none."""
    numbers = [path.stem[:2] for path in through]
    return max(filter(catch_up.needs_clusters, numbers), default=None)


def _caveats(
    folder: RunFolder, through: Sequence[Path], done: Mapping[str, Checkpoint]
) -> list[str]:
    """What a reader must know when a run went on with something else than it had begun with."""
    changed = [path.stem for path in through if digest(path) != done[path.stem].digest]
    found = []
    if changed:
        found.append(f"changed since they were executed: {', '.join(changed)}")
    began = _versions(folder).get("labkit")
    if began != __version__:
        found.append(f"begun with labkit {began}, resumed with {__version__}")
    return found


def _versions(folder: RunFolder) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return dict(json.loads((folder.root / "versions.json").read_text()))
    return {}
