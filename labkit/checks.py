"""Checks: each chapter proves what it did, on both clusters, with a reason and a fix.

A check is declared beside its chapter as data and a function that looks and answers. It never
repairs anything. In a headless run a failed check ends the notebook; by hand it shows what to do.
"""

import html
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Literal

from labkit.context import LabContext
from labkit.display import Shown
from labkit.errors import CheckFailed, InputError, LabkitError
from labkit.progress import headless

logger = logging.getLogger(__name__)

AT_A_TIME = 4
"""Most checks wait for an answer; more at a time would only wait for the processor."""

Status = Literal["pass", "fail", "warn"]
_GLYPHS = {"pass": "✔", "fail": "✘", "warn": "!"}
_COLOURS = {"pass": "#1a7f37", "fail": "#cf222e", "warn": "#9a6700"}


@dataclass(frozen=True)
class Finding:
    """What a check saw.

    Attributes:
        status: pass, fail or warn.
        reason: what was observed, with figures.
    """

    status: Status
    reason: str


def passed(reason: str) -> Finding:
    """It is as it must be."""
    return Finding("pass", reason)


def failed(reason: str) -> Finding:
    """It is not."""
    return Finding("fail", reason)


def warned(reason: str) -> Finding:
    """It works, but the learner should know."""
    return Finding("warn", reason)


def verdict(holds: bool, reason: str) -> Finding:  # noqa: FBT001 - reads as a sentence
    """Pass when something holds, fail otherwise, with the same observation."""
    return passed(reason) if holds else failed(reason)


@dataclass(frozen=True)
class Check:
    """One check of one chapter.

    Attributes:
        id: `<chapter>.<name>`, as `01.nodes`.
        title: what must hold.
        clusters: which clusters it looks at.
        proves: why it matters, for learners.
        fix: what to do when it fails; may hold a command to paste.
        look: looks and answers; a `LabkitError` counts as a failure with its text as reason.
    """

    id: str
    title: str
    clusters: tuple[str, ...]
    proves: str
    fix: str
    look: Callable[[LabContext], Finding]

    @property
    def chapter(self) -> str:
        """The chapter's number, as `01`."""
        return self.id.partition(".")[0]


@dataclass(frozen=True)
class Outcome:
    """A check with what it saw."""

    id: str
    title: str
    clusters: tuple[str, ...]
    status: Status
    reason: str
    fix: str


@dataclass(frozen=True)
class Report(Shown):
    """Outcomes of several checks."""

    outcomes: tuple[Outcome, ...]

    @property
    def failures(self) -> list[Outcome]:
        """Those that failed."""
        return [outcome for outcome in self.outcomes if outcome.status == "fail"]

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 2 nothing ran, 3 warnings only."""
        statuses = {outcome.status for outcome in self.outcomes}
        if not statuses:
            return 2
        if "fail" in statuses:
            return 1
        return 3 if "warn" in statuses else 0

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values, one mapping per check."""
        return [asdict(outcome) for outcome in self.outcomes]

    def require(self) -> "Report":
        """Return the report if nothing failed.

        Raises:
            CheckFailed: the first failure, with its reason and fix.
        """
        for outcome in self.failures:
            raise CheckFailed(
                f"Check {outcome.id} failed: {outcome.title}",
                seen=outcome.reason,
                fix=outcome.fix,
            )
        return self

    def __str__(self) -> str:
        lines = []
        for outcome in self.outcomes:
            where = ", ".join(outcome.clusters)
            lines.append(f"{_GLYPHS[outcome.status]} {outcome.id}  {outcome.title}  [{where}]")
            lines.append(f"    {outcome.reason}")
            if outcome.status != "pass" and outcome.fix:
                lines.append(f"    fix: {outcome.fix}")
        return "\n".join(lines) or "no checks ran"

    def _repr_html_(self) -> str:
        rows = []
        for outcome in self.outcomes:
            fix = ""
            if outcome.status != "pass" and outcome.fix:
                fix = f"<br><b>Fix:</b> <code>{html.escape(outcome.fix)}</code>"
            rows.append(
                f"<tr><td style='color:{_COLOURS[outcome.status]};font-weight:bold'>"
                f"{_GLYPHS[outcome.status]}</td>"
                f"<td style='text-align:left'>{html.escape(outcome.title)}</td>"
                f"<td style='text-align:left'>{html.escape(', '.join(outcome.clusters))}</td>"
                f"<td style='text-align:left'>{html.escape(outcome.reason)}{fix}</td></tr>"
            )
        names = ("", "Check", "Cluster", "What was seen")
        cells = "".join(f"<th style='text-align:left'>{name}</th>" for name in names)
        head = f"<tr>{cells}</tr>"
        return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def run_checks(lab: LabContext, checks: Iterable[Check]) -> Report:
    """Run checks, a few at a time; none is skipped because another failed."""
    with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="check") as pool:
        return Report(tuple(pool.map(lambda check: _run(lab, check), checks)))


def _run(lab: LabContext, check: Check) -> Outcome:
    try:
        finding = check.look(lab)
    except LabkitError as error:
        finding = failed(str(error))
    except Exception as error:  # one broken check must not hide the others
        logger.debug("check %s broke", check.id, exc_info=True)
        finding = failed(f"the check itself broke: {type(error).__name__}: {error}")
    logger.debug("check %s: %s, %s", check.id, finding.status, finding.reason)
    return Outcome(check.id, check.title, check.clusters, finding.status, finding.reason, check.fix)


def select(checks: Sequence[Check], chapters: Sequence[str]) -> list[Check]:
    """The checks of some chapters (`1` and `01` are the same), all when none is named.

    Raises:
        InputError: there is no such chapter.
    """
    known = list(dict.fromkeys(check.chapter for check in checks))
    wanted = [chapter.zfill(2) for chapter in chapters]
    unknown = [chapter for chapter in chapters if chapter.zfill(2) not in known]
    if unknown:
        raise InputError(
            "Unknown chapters",
            problems=[f"{chapter}: no chapter of that number" for chapter in unknown],
            fix=f"choose among {', '.join(known)}",
        )
    return [check for check in checks if not wanted or check.chapter in wanted]


def show(report: Report) -> Report:
    """Return the report for display; headless, a failure ends the notebook.

    Raises:
        CheckFailed: headless, and a check failed.
    """
    return report.require() if headless() else report
