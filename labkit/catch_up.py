"""Catch-up: a lab at the end or at the start of any chapter, from wherever it is.

For those who fell behind, broke something, or want to do a chapter again. Forwards are the same
steps that the notebooks take; backwards is each chapter's `undo`, the last chapter first.
"""

from types import ModuleType

from labkit.chapters import CHAPTERS
from labkit.checking import run_checks
from labkit.checks import Report
from labkit.context import LabContext
from labkit.display import Step, Table
from labkit.drills import cure_open
from labkit.errors import InputError
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


def _heal_drills(lab: LabContext) -> None:
    """A drill that is open would make every step wait in vain."""
    with progress("Healing drills") as shown:
        cured = cure_open(lab)
        shown.update(", ".join(cured) or "none is open")


def undo_from(lab: LabContext, chapter: str) -> list[str]:
    """Take a lab back to the start of a chapter that is not the first; the last one goes first.

    Returns:
        The numbers of the chapters that were undone.
    """
    undone = []
    for module in reversed(CHAPTERS):
        undo = getattr(module, "undo", None)
        if undo is not None and chapter <= number(module) < LAST:
            undo(lab)
            undone.append(number(module))
    return undone


def do_until(lab: LabContext, chapter: str) -> list[str]:
    """Take the steps of all chapters up to one that have not been taken.

    Returns:
        The numbers of the chapters whose steps ran.
    """
    done = []
    for module in CHAPTERS:
        if number(module) <= chapter and (steps := getattr(module, "STEPS", ())):
            for step in steps:
                step(lab)
            done.append(number(module))
    return done


def solve(lab: LabContext, chapter: str) -> Step:
    """Bring a lab to the end of a chapter, whatever its state, and prove it by the checks.

    Args:
        lab: any lab.
        chapter: a number, as `find` gives it, that needs clusters.

    Raises:
        CheckFailed: the chapter's checks do not hold; the first one is named.
    """
    if lab.folder.kubeconfig.exists():
        _heal_drills(lab)
        undo_from(lab, f"{int(chapter) + 1:02}")
    do_until(lab, chapter)
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
    """Take a lab back to the start of a chapter that is not the first."""
    undone = []
    if lab.folder.kubeconfig.exists():
        _heal_drills(lab)
        undone = undo_from(lab, chapter)
    return Step(
        f"The lab {lab.params.lab_name} is at the start of chapter {chapter}.",
        by_hand=(f"labkit reset {chapter}",),
        notes=(f"Undone: {', '.join(undone) or 'nothing was there'}.",),
        facts={"chapter": chapter, "at": "start", "undone": undone},
    )
