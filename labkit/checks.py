"""Checks: each chapter proves what it did, on both clusters, with a reason and a fix.

A check is declared beside its chapter as data and a function that looks and answers. It never
repairs anything. In a headless run a failed check ends the notebook; by hand it shows what to do.
How checks are run, with their waits and bounds, is in `labkit/checking.py`.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from labkit.context import LabContext
from labkit.display import SHELL_STYLE, Shown
from labkit.errors import CheckFailed, InputError
from labkit.progress import headless

LIMIT_S = 20.0
"""How long most checks may take: one look takes less than a second, and what comes up by itself
(a rollout, a scrape of viz every 10 s, three probes of a gateway) is there by then."""

HERE = "this machine"
"""Where a check looks that looks at no cluster."""

Status = Literal["pass", "fail", "warn"]
_GLYPHS = {"pass": "✔", "fail": "✘", "warn": "!"}
_COLOURS = {"pass": "#1a7f37", "fail": "#cf222e", "warn": "#9a6700"}


@dataclass(frozen=True)
class Finding:
    """What a check saw.

    Attributes:
        status: pass, fail or warn.
        reason: what was observed, with figures.
        fix: a command that helps in this case; empty: the check's own.
        coming: whether it may become right by itself, so that another look is worth while.
    """

    status: Status
    reason: str
    fix: str = ""
    coming: bool = False


def passed(reason: str) -> Finding:
    """It is as it must be."""
    return Finding("pass", reason)


def failed(reason: str) -> Finding:
    """It is not."""
    return Finding("fail", reason)


def warned(reason: str) -> Finding:
    """It works, but the learner should know."""
    return Finding("warn", reason)


@dataclass(frozen=True)
class Reason:
    """One way in which a check does not hold, declared as data.

    Attributes:
        text: what is told, with `{name}` where an observation goes.
        fix: a command that helps, with the same places; empty: the check's own.
        coming: it may become right by itself, so a check that waits looks again.
        status: fail, or warn.

    Example:
        >>> Reason("{n} of {total} nodes are Ready").seen(n=1, total=3).reason
        '1 of 3 nodes are Ready'
    """

    text: str
    fix: str = ""
    coming: bool = False
    status: Literal["fail", "warn"] = "fail"

    def seen(self, **observed: object) -> Finding:
        """The finding, with what was observed in its places."""
        return Finding(
            self.status, self.text.format(**observed), self.fix.format(**observed), self.coming
        )


@dataclass(frozen=True)
class Check:
    """One check of one chapter.

    Attributes:
        id: `<chapter>.<name>`, as `01.nodes`.
        title: what must hold.
        clusters: which clusters it looks at.
        proves: why it matters, for learners.
        fix: a shell command to paste when it fails; what a shell skips (`# …`) explains it.
        look: looks and answers; a `LabkitError` counts as a failure with its text as reason.
        reasons: the ways in which it does not hold, each with a fix of its own where it has one.
        limit_s: how long it may take, waiting included; one that hangs is ended then. Seconds.
    """

    id: str
    title: str
    clusters: tuple[str, ...]
    proves: str
    fix: str
    look: Callable[[LabContext], Finding]
    reasons: tuple[Reason, ...] = ()
    limit_s: float = LIMIT_S

    @property
    def chapter(self) -> str:
        """The chapter's number, as `01`."""
        return self.id.partition(".")[0]

    def to_json(self) -> dict[str, Any]:
        """What it declares, as plain values."""
        return {
            "id": self.id,
            "title": self.title,
            "clusters": list(self.clusters),
            "proves": self.proves,
            "limit_s": self.limit_s,
            "fix": self.fix,
            "reasons": [asdict(reason) for reason in self.reasons],
        }


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
            where = ", ".join(outcome.clusters) or HERE
            lines.append(f"{_GLYPHS[outcome.status]} {outcome.id}  {outcome.title}  [{where}]")
            lines.append(f"    {outcome.reason}")
            if outcome.status != "pass" and outcome.fix:
                lines.append(f"    fix: {outcome.fix}")
        return "\n".join(lines) or "no checks ran"

    def _repr_html_(self) -> str:
        rows = []
        for outcome in self.outcomes:
            where, fix = ", ".join(outcome.clusters) or HERE, ""
            if outcome.status != "pass" and outcome.fix:
                fix = f"<pre style='{SHELL_STYLE}'>{html.escape(outcome.fix)}</pre>"
            rows.append(
                f"<tr><td style='color:{_COLOURS[outcome.status]};font-weight:bold'>"
                f"{_GLYPHS[outcome.status]}</td>"
                f"<td style='text-align:left'>{html.escape(outcome.title)}</td>"
                f"<td style='text-align:left'>{html.escape(where)}</td>"
                f"<td style='text-align:left'>{html.escape(outcome.reason)}{fix}</td></tr>"
            )
        names = ("", "Check", "Cluster", "What was seen")
        cells = "".join(f"<th style='text-align:left'>{name}</th>" for name in names)
        head = f"<tr>{cells}</tr>"
        return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


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
