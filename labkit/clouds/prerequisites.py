"""What a cloud needs before a lab can stand on it, as questions with answers.

Each cloud lists its own; `labkit.doctor` asks them all. A question looks and changes nothing,
unless it is a write test that the user has asked for. Deliberately absent: anything a cluster
needs once it exists; the chapters' checks look at that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "fail", "warn"]


@dataclass(frozen=True)
class Seen:
    """An answer.

    Attributes:
        status: pass, fail or warn.
        reason: what was observed.
        fix: what can be pasted, where the prerequisite's own fix does not fit; may be empty.
    """

    status: Status
    reason: str
    fix: str = ""


@dataclass(frozen=True)
class Prerequisite:
    """A question.

    Attributes:
        id: `<group>.<name>`, as `account.token`.
        title: what must hold.
        fix: what to do when it does not, to be pasted where possible.
        look: answers it; a `LabkitError` counts as a failure with its text.
        clusters: which clusters it is about.
    """

    id: str
    title: str
    fix: str
    look: Callable[[], Seen]
    clusters: tuple[str, ...] = ()


def ok(reason: str) -> Seen:
    """It is as it must be."""
    return Seen("pass", reason)


def bad(reason: str, fix: str = "") -> Seen:
    """It is not."""
    return Seen("fail", reason, fix)


def odd(reason: str, fix: str = "") -> Seen:
    """It may do, but the user should know."""
    return Seen("warn", reason, fix)


def enough(holds: bool, reason: str) -> Seen:  # noqa: FBT001 - reads as a sentence
    """Pass or fail with the same observation."""
    return ok(reason) if holds else bad(reason)
