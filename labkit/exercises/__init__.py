"""Exercises: what a learner does alone at a chapter's end, and the checks that look at it.

They stand beside the chapters: no chapter needs one, `labkit check` does not run them, and what
they leave in a lab is undone with their chapter. Tasks, hints and solutions are in the notebooks.
"""

from collections.abc import Sequence

from labkit.context import LabContext
from labkit.errors import InputError
from labkit.exercises import (
    break_it,
    dashboards,
    emojivoto,
    failover,
    latency,
    linkerd,
    mirror,
    mtls,
    multicluster_link,
    traffic,
)
from labkit.exercises.answering import forget, keep
from labkit.exercises.exercise import Exercise
from labkit.exercises.mtls import silence
from labkit.exercises.shell import ShellOutput, run_shell

__all__ = [
    "EXERCISES",
    "Exercise",
    "ShellOutput",
    "find",
    "keep",
    "run_shell",
    "silence",
    "undo_from",
]

EXERCISES: tuple[Exercise, ...] = tuple(
    exercise
    for module in (
        linkerd,
        multicluster_link,
        emojivoto,
        mirror,
        traffic,
        mtls,
        dashboards,
        latency,
        break_it,
        failover,
    )
    for exercise in module.EXERCISES
)
"""In the order of the notebooks."""


def find(exercise: str) -> Exercise:
    """An exercise by its id.

    Raises:
        InputError: there is none.
    """
    for known in EXERCISES:
        if known.id == exercise:
            return known
    raise InputError(
        "Unknown exercise",
        problems=[f"{exercise}: no exercise of that id"],
        fix=f"choose among {', '.join(known.id for known in EXERCISES)}",
    )


def undo_from(lab: LabContext, chapter: str, exercises: Sequence[Exercise] = EXERCISES) -> None:
    """Remove what the exercises of a chapter and of those after it left; the last one first."""
    for exercise in reversed(exercises):
        if exercise.chapter >= chapter:
            if exercise.undo is not None:
                exercise.undo(lab)
            forget(lab, exercise.id)
