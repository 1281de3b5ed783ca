"""Which checks there are: those of the chapters, and those of the exercises."""

from collections.abc import Sequence

from labkit import exercises
from labkit.chapters import CHAPTERS
from labkit.checks import Check, select


def all_checks() -> list[Check]:
    """Every check of every chapter, in order."""
    return [check for chapter in CHAPTERS for check in chapter.CHECKS]


def exercise_checks() -> list[Check]:
    """The checks of all exercises, in order; no chapter needs them."""
    return [exercise.check for exercise in exercises.EXERCISES]


def list_checks(chapters: Sequence[str], *, of_exercises: bool = False) -> list[dict[str, object]]:
    """Facts about checks, without running any."""
    known = exercise_checks() if of_exercises else all_checks()
    return [check.to_json() for check in select(known, list(chapters))]
