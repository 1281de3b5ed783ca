"""What a room of learners looks like: who is where, who is stuck, what fails, how long it takes.

Pure: sightings, plan and checks in, figures out. Times are minutes. A learner is stuck when the
last progress (a chapter passed, or the very first step) is longer ago than the plan has for the
chapter; silent when nothing at all has come for an hour.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

from labkit.board.gathering import Gathered, Sighting, Unread
from labkit.learner import LearnerRecord
from labkit.learner.record import State

SILENT_S = 3600.0


@dataclass(frozen=True)
class Known:
    """What the board knows of a check.

    Attributes:
        title: what must hold.
        fix: what to do when it fails.
    """

    title: str
    fix: str


_UNKNOWN = Known("a check that this labkit does not have", "")


@dataclass(frozen=True)
class Cell:
    """One chapter of one learner: number, state, and whether `labkit solve` did it."""

    chapter: str
    state: State
    solved: bool


@dataclass(frozen=True)
class Row:
    """One learner.

    Attributes:
        name: as the learner wants to be called.
        lab: name of the lab.
        at: chapter worked on, or None.
        state: of that chapter.
        cells: all chapters.
        passed: how many chapters are passed.
        spent_min: time on the chapter worked on.
        plan_min: what the plan has for it.
        due_min: what it has for the chapter to be passed next, which may be a later one.
        age_s: seconds since the last change.
        failing: ids of checks that fail.
        stuck_min: minutes since the last progress when that is more than planned, else None.
        exercises: how many exercises are solved.
        silent: whether nothing has come for long.
        done: whether all chapters of the plan are passed, or the last one is.
    """

    name: str
    lab: str
    at: str | None
    state: State
    cells: tuple[Cell, ...]
    passed: int
    spent_min: float
    plan_min: float | None
    due_min: float | None
    age_s: float
    failing: tuple[str, ...]
    stuck_min: float | None
    exercises: int
    silent: bool
    done: bool

    @property
    def note(self) -> str:
        """What the instructor should notice."""
        if self.done:
            return "done"
        if self.silent:
            return f"silent for {age_text(self.age_s)}"
        if self.stuck_min is not None and self.due_min is not None:
            return f"stuck: {self.stuck_min:.0f} min, plan {self.due_min:.0f}"
        return ""


@dataclass(frozen=True)
class Failing:
    """A check that fails now, with the number of learners."""

    id: str
    learners: int
    title: str
    fix: str


@dataclass(frozen=True)
class Tried:
    """An exercise that somebody has tried.

    Attributes:
        id: of the exercise.
        title: when it is solved.
        solved: learners who have solved it.
        open: learners who have tried it and not solved it yet.
    """

    id: str
    title: str
    solved: int
    open: int


@dataclass(frozen=True)
class Pace:
    """Time of one chapter against the plan.

    Attributes:
        chapter: its number.
        plan_min: minutes of the plan, or None.
        here: learners who work on it.
        n: learners who passed it by themselves; the figures are theirs.
        median_min: half of them took longer; None without any.
        longest_min: the longest time; None without any.
    """

    chapter: str
    plan_min: float | None
    here: int
    n: int
    median_min: float | None
    longest_min: float | None

    @property
    def late(self) -> bool:
        """Whether most took longer than planned."""
        planned, taken = self.plan_min, self.median_min
        return planned is not None and taken is not None and taken > planned


@dataclass(frozen=True)
class Room:
    """A board at one moment."""

    made: datetime
    rows: tuple[Row, ...]
    failing: tuple[Failing, ...]
    paces: tuple[Pace, ...]
    exercises: tuple[Tried, ...] = ()
    unread: tuple[Unread, ...] = field(default=())

    @property
    def summary(self) -> str:
        """The room in one line."""
        stuck = sum(row.stuck_min is not None for row in self.rows)
        silent = sum(row.silent and not row.done for row in self.rows)
        done = sum(row.done for row in self.rows)
        learners = f"{len(self.rows)} learner{'' if len(self.rows) == 1 else 's'}"
        return f"{learners}: {stuck} stuck, {silent} silent, {done} done"


def stand(
    gathered: Gathered, *, plan: Mapping[str, float], checks: Mapping[str, Known], now: datetime
) -> Room:
    """Make the board.

    Args:
        gathered: all learners.
        plan: chapter → minutes.
        checks: id → what is known of it, exercises' checks included.
        now: time of the board, for its heading.
    """
    sightings = gathered.sightings
    numbers = sorted({*plan, *(n for s in sightings for n in s.record.chapters)})
    rows = sorted(
        (_row(sighting, numbers, plan) for sighting in sightings),
        key=lambda row: (row.stuck_min is None, row.done or row.silent, row.name.casefold()),
    )
    records = [sighting.record for sighting in sightings]
    return Room(
        made=now,
        rows=tuple(rows),
        failing=tuple(_failing(rows, checks)),
        paces=tuple(_pace(number, records, plan) for number in numbers),
        exercises=tuple(_tried(records, checks)),
        unread=gathered.unread,
    )


def _row(sighting: Sighting, numbers: list[str], plan: Mapping[str, float]) -> Row:
    record = sighting.record
    cells = tuple(
        Cell(number, record.chapter(number).state, record.chapter(number).solved)
        for number in numbers
    )
    works_on = _works_on(record, numbers)
    current = record.chapter(record.at) if record.at else None
    done = record.at is not None and works_on is None
    silent = sighting.age_s > SILENT_S
    due_min = plan.get(works_on) if works_on else None
    idle_min = _idle_s(sighting) / 60
    stuck = due_min is not None and not done and not silent and idle_min > due_min
    return Row(
        name=record.shown_name,
        lab=record.lab,
        at=record.at,
        state=current.state if current else "not started",
        cells=cells,
        passed=sum(cell.state == "passed" for cell in cells),
        spent_min=current.spent_s / 60 if current else 0.0,
        plan_min=plan.get(record.at) if record.at else None,
        due_min=due_min,
        age_s=sighting.age_s,
        failing=tuple(check for n in numbers for check in record.chapter(n).failing),
        stuck_min=idle_min if stuck else None,
        exercises=sum(record.exercises.values()),
        silent=silent,
        done=done,
    )


def _works_on(record: LearnerRecord, numbers: list[str]) -> str | None:
    """The chapter that is not passed yet: the one the learner is at, or the next one."""
    if record.at is None:
        return None
    later = [number for number in numbers if number >= record.at]
    return next((number for number in later if record.chapter(number).state != "passed"), None)


def _idle_s(sighting: Sighting) -> float:
    """Seconds without progress: by the learner's clock up to the last event, by ours since then."""
    record = sighting.record
    moments = [c.passed for c in record.chapters.values() if c.passed is not None]
    moments = moments or [c.started for c in record.chapters.values() if c.started is not None]
    if not moments or record.updated is None:
        return 0.0
    since = max(moments) if any(c.passed for c in record.chapters.values()) else min(moments)
    return sighting.age_s + max((record.updated - since) / timedelta(seconds=1), 0.0)


def _failing(rows: Iterable[Row], checks: Mapping[str, Known]) -> Iterable[Failing]:
    counts = Counter(check for row in rows for check in row.failing)
    for check, learners in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        known = checks.get(check, _UNKNOWN)
        yield Failing(check, learners, known.title, known.fix)


def _tried(records: Iterable[LearnerRecord], checks: Mapping[str, Known]) -> Iterable[Tried]:
    outcomes: dict[str, list[bool]] = {}
    for record in records:
        for exercise, solved in record.exercises.items():
            outcomes.setdefault(exercise, []).append(solved)
    for exercise, seen in sorted(outcomes.items()):
        title = checks.get(exercise, _UNKNOWN).title
        yield Tried(exercise, title, solved=sum(seen), open=len(seen) - sum(seen))


def _pace(number: str, records: Iterable[LearnerRecord], plan: Mapping[str, float]) -> Pace:
    records = list(records)
    chapters = [record.chapter(number) for record in records]
    taken = [c.spent_s / 60 for c in chapters if c.state == "passed" and not c.solved]
    return Pace(
        chapter=number,
        plan_min=plan.get(number),
        here=sum(record.at == number for record in records),
        n=len(taken),
        median_min=median(taken) if taken else None,
        longest_min=max(taken) if taken else None,
    )


def age_text(age_s: float) -> str:
    """An age in its largest unit."""
    if age_s < 90:
        return f"{age_s:.0f} s"
    if age_s < 5400:
        return f"{age_s / 60:.0f} min"
    return f"{age_s / 3600:.0f} h" if age_s < 172800 else f"{age_s / 86400:.0f} days"
