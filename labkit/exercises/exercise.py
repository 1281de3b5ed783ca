"""What an exercise is: a check like a chapter's, and what it starts from and leaves."""

from collections.abc import Callable
from dataclasses import dataclass

from labkit.checks import Check
from labkit.context import LabContext
from labkit.display import Step


@dataclass(frozen=True)
class Exercise:
    """One exercise of one chapter. Its task, hints and solution are in the notebook.

    Attributes:
        check: whether it is solved: looks at the lab, or at the learner's answer.
        start: makes what it starts from, may be called again; None: the chapter's end is enough.
        undo: removes what it left in the lab, may be called at any time; None: it leaves nothing.
    """

    check: Check
    start: Callable[[LabContext], Step] | None = None
    undo: Callable[[LabContext], None] | None = None

    @property
    def id(self) -> str:
        """As `06.exercise-export`."""
        return self.check.id

    @property
    def chapter(self) -> str:
        """The chapter's number, as `06`."""
        return self.check.chapter
