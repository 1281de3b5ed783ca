"""Chapter 13: what a lost region costs is read off the table of the failover."""

from collections.abc import Mapping
from typing import Any

from labkit.chapters.failover_samples import KEPT_AS
from labkit.checks import Check, Finding, Reason, passed
from labkit.context import CLUSTERS, LabContext
from labkit.exercises.answering import HINTS, NOT_ANSWERED, answer_of, number, words
from labkit.exercises.exercise import Exercise

ID = "13.exercise-cost"
PHASES = ("shared", "lost")
NEAR = 0.1
"""By which an answer may be off: a tenth of it, or a tenth of a vote per second."""

_NOT_MEASURED = Reason(
    "no region was lost in this lab yet", fix="# run lab.fail_over() in notebook 13"
)
_TWO = Reason("{answer} is not two numbers, one for each phase")
_COUNTS = Reason("these are counts; a rate is divided by the seconds of its phase")
_ONE_REGION = Reason("these are the votes of {region} alone; those of both regions are asked for")
_OFF = Reason("{answer:.2f} votes per second do not fit the row `{phase}` of the table")


def _look(lab: LabContext) -> Finding:
    rows = {row["phase"]: row for row in (lab.folder.recall().get(KEPT_AS) or {}).get("phases", ())}
    if not set(PHASES) <= set(rows):
        return _NOT_MEASURED.seen()
    given = words(answer_of(lab, ID), *PHASES)
    if given is None:
        return NOT_ANSWERED.seen()
    answer = {
        phase: value
        for phase, text in zip(PHASES, given, strict=True)
        if (value := number(text)) is not None
    }
    if len(answer) < len(PHASES):
        return _TWO.seen(answer=", ".join(given))
    return _compare(answer, rows)


def _compare(answer: Mapping[str, float], rows: Mapping[str, Mapping[str, Any]]) -> Finding:
    right = {phase: answered_per_s(rows[phase]) for phase in PHASES}
    wrong = [phase for phase in PHASES if not _near(answer[phase], right[phase])]
    if not wrong:
        return passed(
            f"{right['shared']:.2f} votes per second were answered before, and "
            f"{right['lost']:.2f} while east was lost"
        )
    for region in CLUSTERS:
        if all(_near(answer[p], answered_per_s(rows[p], region)) for p in PHASES):
            return _ONE_REGION.seen(region=region)
    if all(_near(answer[p], right[p] * rows[p]["seconds"]) for p in PHASES):
        return _COUNTS.seen()
    return _OFF.seen(answer=answer[wrong[0]], phase=wrong[0])


def answered_per_s(row: Mapping[str, Any], *regions: str) -> float:
    """Votes per second that some regions answered in a phase, all of them by default."""
    answered = sum(row[f"{region} answered"] for region in regions or CLUSTERS)
    return float(answered / row["seconds"]) if row["seconds"] else 0.0


def _near(given: float, right: float) -> bool:
    return abs(given - right) <= NEAR * max(right, 1.0)


EXERCISES = (
    Exercise(
        Check(
            id=ID,
            title="you know how many votes were answered while a region was lost",
            clusters=(),
            proves="a weight is no failover: who waits for the lost region asks the other one less",
            fix=HINTS,
            look=_look,
            reasons=(_NOT_MEASURED, NOT_ANSWERED, _TWO, _COUNTS, _ONE_REGION, _OFF),
        )
    ),
)
