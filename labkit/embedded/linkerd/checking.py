"""The engine of `linkerd check`: categories of checks, retries, severity, three output formats.

A check that may still become true is repeated until the wait is over; a failed fatal check ends
everything after it; a skipped check is absent. In JSON nothing is written before the end.
Deliberately absent: any check (see the `checks_*` modules).
"""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from labkit.embedded.linkerd.cluster import Cluster
from labkit.embedded.linkerd.output import FAILURE, SUCCESS, WARNING, glyph, out
from labkit.errors import InputError, LabkitError

Format = Literal["table", "json", "short"]
_HINTS = "https://linkerd.io/2/checks/#"
_RETRY_S = 1.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Skipped(Exception):  # noqa: N818 - reads as what happened
    """This check does not apply here and leaves no trace."""


@dataclass
class Context:
    """What checks look at.

    Attributes:
        cluster: the API.
        namespace: the control plane's.
        data_namespace: whose proxies `--proxy` looks at, empty for all.
        memory: what earlier checks found.
    """

    cluster: Cluster
    namespace: str
    data_namespace: str = ""
    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        description: as the real command words it.
        look: raises LabkitError when it does not hold; the text it returns is appended to the
            description, as a list of what was found.
        warning: a failure is a warning only.
        fatal: a failure ends everything.
        retried: it may still become true.
    """

    description: str
    look: Callable[[Context], str | None]
    warning: bool = False
    fatal: bool = False
    retried: bool = False


@dataclass(frozen=True)
class Category:
    """Checks under one name."""

    name: str
    checks: Sequence[Check]


@dataclass(frozen=True)
class Outcome:
    """What a check found: success, warning or error."""

    category: str
    description: str
    result: Literal["success", "warning", "error"]
    error: str = ""


def problem(text: str, items: Iterable[str] = ()) -> LabkitError:
    """An error of a check, with a list below it."""
    return LabkitError(text + "".join(f"\n\t* {item}" for item in items))


def seconds(text: str) -> float:
    """A Go duration, as `300s` or `1m30s`, in seconds.

    Raises:
        InputError: it is none.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if text != "0" and ("".join(number + unit for number, unit in parts) != text or not text):
        raise InputError(f'invalid argument "{text}" for "--wait": invalid duration')
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def run_checks(categories: Iterable[Category], context: Context, wait_s: float) -> list[Outcome]:
    """Run the checks in order, repeating what may still become true until the wait is over."""
    deadline = time.monotonic() + wait_s
    outcomes: list[Outcome] = []
    for category in categories:
        for check in category.checks:
            try:
                outcome = _one(category.name, check, context, deadline)
            except Skipped:
                continue
            outcomes.append(outcome)
            if check.fatal and outcome.result == "error":
                return outcomes
    return outcomes


def _one(category: str, check: Check, context: Context, deadline: float) -> Outcome:
    while True:
        try:
            note = check.look(context)
        except LabkitError as error:
            if check.retried and time.monotonic() < deadline:
                time.sleep(_RETRY_S)
                continue
            text = f"{error.what}: {error.seen}" if error.seen else error.what
            result: Literal["warning", "error"] = "warning" if check.warning else "error"
            return Outcome(category, check.description, result, text)
        return Outcome(category, check.description + (note or ""), "success")


def succeeded(outcomes: Iterable[Outcome]) -> bool:
    """Whether nothing failed; warnings are no failures."""
    return all(outcome.result != "error" for outcome in outcomes)


def as_object(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The object of `-o json`."""
    names = dict.fromkeys(outcome.category for outcome in outcomes)
    return {
        "success": succeeded(outcomes),
        "categories": [
            {
                "categoryName": name,
                "checks": [_check_object(item) for item in outcomes if item.category == name],
            }
            for name in names
        ],
    }


def _check_object(outcome: Outcome) -> dict[str, str]:
    value = {"description": outcome.description, "result": outcome.result}
    if outcome.error:
        value |= {"hint": f"{_HINTS}{outcome.category}", "error": outcome.error}
    return value


def write_table(outcomes: Sequence[Outcome], *, short: bool = False) -> None:
    """Write categories with a glyph before each check; `short` leaves out what succeeded."""
    shown = [item for item in outcomes if not short or item.result != "success"]
    for name in dict.fromkeys(item.category for item in shown):
        out(f"{name}\n{'-' * len(name)}")
        for item in shown:
            if item.category == name:
                _write_line(item)
        out("")


def _write_line(outcome: Outcome) -> None:
    symbol = {"success": SUCCESS, "warning": WARNING, "error": FAILURE}[outcome.result]
    out(f"{glyph(symbol)} {outcome.description}")
    if outcome.error:
        indented = outcome.error.replace("\n", "\n    ")
        out(f"    {indented}\n    see {_HINTS}{outcome.category} for hints")


def write_verdict(outcomes: Iterable[Outcome]) -> None:
    """The last line of a table."""
    out(f"Status check results are {glyph(SUCCESS if succeeded(outcomes) else FAILURE)}")
