"""The record of one learner: values and the rules by which they change; no file, no clock.

The same model is what a lab writes, what a collector accepts and what a board reads, so it is
strict: unknown fields, odd characters and absurd sizes are refused. It holds no secret, no path and
no name of a machine.
"""

import secrets
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
)

from labkit.errors import InputError

SCHEMA = "labkit.progress/1"
LONGEST_NAME = 60
IDLE_S = 1800.0
"""Longest time between two events that counts as work; a longer one is a break, in seconds."""

MOST_CHAPTERS = 40
MOST_FAILING = 60
MOST_EXERCISES = 60

State = Literal["not started", "running", "passed", "failed"]

_JOINERS = "\u200c\u200d"
"""Format characters that names of some languages and pictures need."""


def _printable(text: str) -> str:
    for character in text:
        category = unicodedata.category(character)
        if (category[0] == "C" and character not in _JOINERS) or category in ("Zl", "Zp"):
            raise ValueError(f"the character U+{ord(character):04X} is not for names")
    return text


Name = Annotated[str, StringConstraints(max_length=LONGEST_NAME), AfterValidator(_printable)]
ChapterNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$")]
CheckId = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}\.[a-z0-9-]+$", max_length=64)]
LabName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
Seconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]


def clean_name(text: str) -> str:
    """A name as people type it, made fit to be shown: one line, composed characters.

    Raises:
        InputError: it is too long, or has characters that are not for names.

    Example:
        >>> clean_name("  Ada   Lovelace ")
        'Ada Lovelace'
    """
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    problems = []
    if len(name) > LONGEST_NAME:
        problems.append(f"it has {len(name)} characters; at most {LONGEST_NAME}")
    try:
        _printable(name)
    except ValueError as error:
        problems.append(str(error))
    if problems:
        raise InputError("This name cannot be shown to others", problems=problems)
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class ChapterRecord(_Strict):
    """One chapter of one learner."""

    state: State = "not started"
    """Where it stands: by the last step or the last checks of this chapter."""

    failing: Annotated[tuple[CheckId, ...], Field(max_length=MOST_FAILING)] = ()
    """Ids of the checks that failed when they last ran."""

    started: AwareDatetime | None = None
    """First step or check, UTC."""

    passed: AwareDatetime | None = None
    """When all checks that ran held, the last time, UTC."""

    spent_s: Seconds = 0.0
    """Time between events, seconds; breaks count `IDLE_S` at most."""

    solved: bool = False
    """Whether `labkit solve` brought it to its end; its time is then not the learner's."""


class LearnerRecord(_Strict):
    """One learner in one lab."""

    schema_: Annotated[Literal["labkit.progress/1"], Field(alias="schema")] = "labkit.progress/1"
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    """Random; tells two learners of the same name apart."""

    revision: Annotated[int, Field(ge=0, le=10**9)] = 0
    """Grows with each change: of two copies, the higher one is newer, whatever clocks say."""

    lab: Annotated[LabName, StringConstraints(max_length=32)]
    learner: Name = ""
    """As the learner wants to be called; empty: by the lab's name."""

    at: ChapterNumber | None = None
    """The chapter that the learner works on: of the last step, or of the last checks of one."""

    updated: AwareDatetime | None = None
    """The last event, by the learner's clock, UTC."""

    chapters: Annotated[dict[ChapterNumber, ChapterRecord], Field(max_length=MOST_CHAPTERS)] = {}

    exercises: Annotated[dict[CheckId, bool], Field(max_length=MOST_EXERCISES)] = {}
    """Exercise → whether it was solved when its check last ran."""

    @classmethod
    def new(cls, lab: str) -> "LearnerRecord":
        """A learner who has not begun."""
        return cls(id=secrets.token_hex(8), lab=lab)

    @property
    def shown_name(self) -> str:
        """What others see."""
        return self.learner or self.lab

    def chapter(self, number: str) -> ChapterRecord:
        """One chapter's record, an empty one when it was not begun."""
        return self.chapters.get(number) or ChapterRecord()

    def to_json(self) -> str:
        """As it is in the file."""
        return self.model_dump_json(by_alias=True, indent=1)

    def named(self, name: str) -> "LearnerRecord":
        """The same learner under another name."""
        return self._next(learner=name)

    def stepped(self, number: str, now: datetime) -> "LearnerRecord":
        """A step of a chapter began."""
        return self._with({number: {"state": "running", "solved": False}}, at=number, now=now)

    def checked(self, failures: Mapping[str, bool], now: datetime) -> "LearnerRecord":
        """Checks ran.

        Checks of one chapter are the learner's work on it. Checks of several are a look around:
        what fails in a chapter that was not begun is no failure of the learner.

        Args:
            failures: check id → whether it failed.
            now: when, UTC.
        """
        by_chapter: dict[str, dict[str, bool]] = {}
        for check, bad in failures.items():
            by_chapter.setdefault(check.partition(".")[0], {})[check] = bad
        changes: dict[str, dict[str, object]] = {}
        for number, seen in by_chapter.items():
            before = self.chapter(number)
            still = [check for check in before.failing if check not in seen]
            failing = [*still, *(check for check, bad in seen.items() if bad)]
            if failing and len(by_chapter) > 1 and before.state == "not started":
                continue
            changes[number] = {
                "state": "failed" if failing else "passed",
                "failing": tuple(failing[:MOST_FAILING]),
            }
            if not failing:
                changes[number]["passed"] = now
        only = next(iter(by_chapter)) if len(by_chapter) == 1 else None
        return self._with(changes, at=only, now=now) if changes else self

    def tried(self, solved: Mapping[str, bool], now: datetime) -> "LearnerRecord":
        """Checks of exercises ran. Those of one chapter are the learner's work on it.

        Args:
            solved: exercise → whether it is solved.
            now: when, UTC.
        """
        merged = {**self.exercises, **solved}
        kept = dict(sorted(merged.items())[:MOST_EXERCISES])
        chapters = {exercise.partition(".")[0] for exercise in solved}
        only = chapters.pop() if len(chapters) == 1 else None
        return self._with({}, at=only, now=now, exercises=kept)

    def solved(self, number: str, now: datetime) -> "LearnerRecord":
        """`labkit solve` brought the lab to the end of a chapter; the chapter's checks held."""
        change = {"state": "passed", "failing": (), "passed": now, "solved": True}
        changes = {**self._undone(number, inclusive=False), number: change}
        kept = self._exercises_before(number, inclusive=True)
        return self._with(changes, at=number, now=now, exercises=kept)

    def was_reset(self, number: str, now: datetime) -> "LearnerRecord":
        """A chapter and those after it were undone; times stay."""
        kept = self._exercises_before(number, inclusive=False)
        undone = self._undone(number)
        return self._with(undone, at=number, now=now, worked=False, exercises=kept)

    def _exercises_before(self, number: str, *, inclusive: bool) -> dict[str, bool]:
        """Exercises of earlier chapters, or of this one, too: the others were undone."""
        return {
            exercise: solved
            for exercise, solved in self.exercises.items()
            if (own := exercise.partition(".")[0]) < number or (inclusive and own == number)
        }

    def _undone(self, number: str, *, inclusive: bool = True) -> dict[str, dict[str, object]]:
        return {
            later: {"state": "not started", "failing": (), "solved": False}
            for later, kept in self.chapters.items()
            if (later > number or (inclusive and later == number)) and kept.state != "not started"
        }

    def _with(
        self,
        changes: Mapping[str, Mapping[str, object]],
        *,
        at: str | None,
        now: datetime,
        worked: bool = True,
        exercises: Mapping[str, bool] | None = None,
    ) -> "LearnerRecord":
        """Change chapters; the time since the last event is that of the chapter worked on."""
        chapters = dict(self.chapters)
        for number, change in changes.items():
            before = self.chapter(number)
            values = {**before.model_dump(), **change}
            if worked and values["started"] is None:
                values["started"] = now
            chapters[number] = ChapterRecord(**values)
        if worked and at is not None:
            chapter = chapters.get(at) or ChapterRecord()
            spent = chapter.spent_s + self._worked_s(now)
            chapters[at] = chapter.model_copy(update={"spent_s": round(spent, 1)})
        tried = self.exercises if exercises is None else dict(exercises)
        return self._next(chapters=chapters, at=at or self.at, updated=now, exercises=tried)

    def _worked_s(self, now: datetime) -> float:
        """Seconds of work since the last event; a clock that was set back counts as none."""
        if self.updated is None:
            return 0.0
        return min(max((now - self.updated).total_seconds(), 0.0), IDLE_S)

    def _next(self, **values: object) -> "LearnerRecord":
        return self.model_copy(update={**values, "revision": self.revision + 1})
