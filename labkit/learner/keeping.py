"""The learner's record on disk: `progress.json` in the lab's folder.

Several processes may note at the same time (a kernel and a terminal): a lock file orders them, and
each write replaces the file as a whole. A file that cannot be read is kept aside and said; the
record begins anew. Deliberately absent: raising. A full disk must not fail a learner's check.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from labkit.certs import write_private
from labkit.errors import LabkitError, StateError
from labkit.folder import LabFolder
from labkit.learner.locking import locked
from labkit.learner.record import LearnerRecord, clean_name
from labkit.learner.sending import send_soon

logger = logging.getLogger(__name__)


def read_record(folder: LabFolder) -> LearnerRecord:
    """The record of a lab's learner, a new one when there is none.

    Raises:
        StateError: the file is damaged.
    """
    path = folder.progress_file
    try:
        return LearnerRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return LearnerRecord.new(folder.root.name)
    except (OSError, ValueError) as error:
        raise StateError(
            f"The learner's progress in {path} cannot be read", seen=_first_line(error)
        ) from error


def set_name(folder: LabFolder, name: str) -> LearnerRecord:
    """Keep how the learner wants to be called; the lab need not exist yet.

    Raises:
        InputError: the name cannot be shown.
        StateError: the lab's folder cannot be written.
    """
    cleaned = clean_name(name)
    folder.prepare()
    return change(folder, lambda record: record.named(cleaned))


def note_step(folder: LabFolder, chapter: str) -> None:
    """A step of a chapter begins."""
    _note(folder, lambda record: record.stepped(chapter, _now()))


def note_checks(folder: LabFolder, failures: Mapping[str, bool]) -> None:
    """Checks ran: id → whether it failed."""
    if failures:
        _note(folder, lambda record: record.checked(failures, _now()))


def note_exercises(folder: LabFolder, solved: Mapping[str, bool]) -> None:
    """Checks of exercises ran: id → whether it is solved."""
    if solved:
        _note(folder, lambda record: record.tried(solved, _now()))


def note_solved(folder: LabFolder, chapter: str) -> None:
    """The lab was brought to the end of a chapter for the learner."""
    _note(folder, lambda record: record.solved(chapter, _now()))


def note_reset(folder: LabFolder, chapter: str) -> None:
    """The lab was taken back to the start of a chapter."""
    _note(folder, lambda record: record.was_reset(chapter, _now()))


def change(folder: LabFolder, rule: Callable[[LearnerRecord], LearnerRecord]) -> LearnerRecord:
    """Apply a rule to the record and keep it; others see it soon, if the learner wants that.

    Raises:
        StateError: the folder cannot be written.
    """
    try:
        with locked(folder):
            try:
                before = read_record(folder)
            except StateError as error:
                _keep_aside(folder.progress_file, error)
                before = LearnerRecord.new(folder.root.name)
            after = rule(before)
            if after is not before:
                write_private(folder.progress_file, after.to_json().encode())
    except OSError as error:
        raise StateError(
            f"The learner's progress in {folder.progress_file} cannot be written",
            seen=error.strerror or str(error),
            fix="free space, or point LABKIT_HOME to a folder you can write",
        ) from error
    if after is not before:
        send_soon(folder, after)
    return after


def _note(folder: LabFolder, rule: Callable[[LearnerRecord], LearnerRecord]) -> None:
    if not folder.root.is_dir():
        return  # a lab that is not there has no learner
    try:
        change(folder, rule)
    except (LabkitError, ValueError) as error:
        logger.warning("%s", error)


def _keep_aside(path: Path, why: StateError) -> None:
    aside = path.with_name(f"{path.name}.broken-{_now():%Y%m%dT%H%M%SZ}")
    path.replace(aside)
    logger.warning("%s; it is kept as %s, and the record begins anew", why, aside.name)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return " ".join(line.strip() for line in lines[:3])[:200] if lines else type(error).__name__


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class _HasFolder(Protocol):
    @property
    def folder(self) -> LabFolder: ...


Lab = TypeVar("Lab", bound=_HasFolder)
Given = ParamSpec("Given")
Result = TypeVar("Result")
Step = Callable[Concatenate[Lab, Given], Result]


def step_of(number: str) -> Callable[[Step[Lab, Given, Result]], Step[Lab, Given, Result]]:
    """Mark a lab's method as a step of a chapter: when it begins, the learner works on that."""

    def mark(step: Step[Lab, Given, Result]) -> Step[Lab, Given, Result]:
        @wraps(step)
        def noted(lab: Lab, /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
            note_step(lab.folder, number)
            return step(lab, *args, **kwargs)

        return noted

    return mark
