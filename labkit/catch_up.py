"""Catch-up: a lab at the end or at the start of any chapter, from wherever it is.

For those who fell behind, broke something, or want to do a chapter again. Forwards are the same
steps that the notebooks take; backwards is each chapter's `undo`, the last chapter first. Whatever
was there before, the clusters come first: a cloud that was killed is started, a kubeconfig that was
lost is written again.
"""

from types import ModuleType

from labkit.chapters import CHAPTERS
from labkit.checking import run_checks
from labkit.checks import Report
from labkit.context import LabContext
from labkit.display import Step, Table
from labkit.drills import cure_open
from labkit.errors import InputError
from labkit.exercises import undo_from as undo_exercises_from
from labkit.progress import progress

FIRST, LAST = "01", "99"
"""The chapter that makes the clusters, and the one that removes everything."""


def number(chapter: ModuleType) -> str:
    """A chapter's number, as `01`."""
    found: str = chapter.CHECKS[0].chapter
    return found


def find(text: str) -> str:
    """The number of the chapter that is meant: `4`, `04` and `04_multicluster_link` are the same.

    Raises:
        InputError: there is none.
    """
    known = [number(chapter) for chapter in CHAPTERS]
    digits = text.partition("_")[0]
    wanted = digits.zfill(2)
    if not digits or wanted not in known:
        raise InputError(
            "Unknown chapter",
            problems=[f"{text}: no chapter of that number"],
            fix=f"choose among {', '.join(known)}",
        )
    return wanted


def needs_clusters(chapter: str) -> bool:
    """Whether a lab at the end of a chapter has clusters."""
    return FIRST <= chapter < LAST


def heal_drills(lab: LabContext) -> None:
    """A drill that is open would make every step wait in vain."""
    with progress("Healing drills") as shown:
        cured = cure_open(lab)
        shown.update(", ".join(cured) or "none is open")


def undo_from(lab: LabContext, chapter: str) -> list[str]:
    """Take a lab back to the start of a chapter that is not the first; the last one goes first.

    Returns:
        The numbers of the chapters that were undone.
    """
    undo_exercises_from(lab, chapter)
    undone = []
    for module in reversed(CHAPTERS):
        undo = getattr(module, "undo", None)
        if undo is not None and chapter <= number(module) < LAST:
            undo(lab)
            undone.append(number(module))
    return undone


def do_until(lab: LabContext, chapter: str, *, after: str = "", anew: bool = True) -> list[str]:
    """Take the steps of all chapters up to one.

    Steps look, and do what is missing. Those that only observe (tap, a measurement) would observe
    again: for chapters that say that theirs are `done`, they are left out.

    Args:
        lab: any lab.
        chapter: the last one.
        after: chapters up to this one were done just now.
        anew: whether its own steps are taken in any case.

    Returns:
        The numbers of the chapters whose steps ran.
    """
    ran = []
    for module in CHAPTERS:
        steps, own = getattr(module, "STEPS", ()), number(module)
        if not after < own <= chapter or not steps:
            continue
        done = getattr(module, "done", None)
        if done is not None and done(lab) and not (anew and own == chapter):
            continue
        for step in steps:
            step(lab)
        ran.append(own)
    return ran


def before(chapter: str) -> str:
    """The chapter before one, FIRST at least."""
    return max([n for n in map(number, CHAPTERS) if n < chapter], default=FIRST)


def _take_to_the_end(lab: LabContext, chapter: str, *, anew: bool) -> list[str]:
    """A lab at the end of a chapter; what was undone."""
    do_until(lab, FIRST)
    heal_drills(lab)
    undone = undo_from(lab, f"{int(chapter) + 1:02}")
    do_until(lab, chapter, after=FIRST, anew=anew)
    return undone


def solve(lab: LabContext, chapter: str) -> Step:
    """Bring a lab to the end of a chapter, whatever its state, and prove it by the checks.

    Args:
        lab: any lab.
        chapter: a number, as `find` gives it, that needs clusters.

    Raises:
        CheckFailed: the chapter's checks do not hold; the first one is named.
    """
    _take_to_the_end(lab, chapter, anew=True)
    checks = [check for module in CHAPTERS for check in module.CHECKS if check.chapter == chapter]
    report = run_checks(lab, checks).require()
    return Step(
        f"The lab {lab.params.lab_name} is at the end of chapter {chapter}.",
        by_hand=(f"labkit solve {chapter}",),
        table=_table(report),
        facts={"chapter": chapter, "at": "end", "checks": report.to_json()},
    )


def _table(report: Report) -> Table:
    return Table.of(
        [{"check": o.id, "state": o.status, "what was seen": o.reason} for o in report.outcomes]
    )


def reset(lab: LabContext, chapter: str) -> Step:
    """Bring a lab to the start of a chapter that is not the first: to the end of the one before.

    Args:
        lab: any lab.
        chapter: a number, as `find` gives it.
    """
    undone = _take_to_the_end(lab, before(chapter), anew=False)
    return Step(
        f"The lab {lab.params.lab_name} is at the start of chapter {chapter}.",
        by_hand=(f"labkit reset {chapter}",),
        notes=(f"Undone: {', '.join(undone) or 'nothing was there'}.",),
        facts={"chapter": chapter, "at": "start", "undone": undone},
    )
