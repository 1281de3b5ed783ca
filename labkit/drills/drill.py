"""What a drill is: a fault, where an operator sees it, hints, a proof of the repair, and a cure.

A drill breaks one real thing by means that any cluster has. Its fault, its proof and its cure are
functions of the lab; everything else is text. It deliberately knows nothing of commands and of
the record of drills: `running` does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.checks import Finding
from labkit.context import LabContext

Before = Mapping[str, Any]
"""How things were before the fault: plain JSON values without a secret."""


@dataclass(frozen=True)
class Symptom:
    """What an operator sees of a fault.

    Attributes:
        where: the command that shows it.
        what: what it shows then, in a few words.
        look: (it is to be seen now, what was seen).
        within_s: how long Linkerd's or Kubernetes' own mechanism may take to show it.
    """

    where: str
    what: str
    look: Callable[[LabContext, Before], tuple[bool, str]]
    within_s: float = 60.0


@dataclass(frozen=True)
class Drill:
    """One fault to be found and mended.

    Attributes:
        name: as it is typed.
        title: what it is about; may tell the cause, and is shown when the drill is over.
        task: what the learner is told at the start: the trouble, not its cause.
        breaks: what is changed, for instructors.
        symptoms: what is to be seen, the alarm that is told at the start first.
        hints: from gentle to nearly the answer.
        look: how things are now, for `heal`.
        inject: breaks it; may be repeated.
        verify: whether the learner's repair holds, seen on the real thing.
        heal: puts it right from any state; may be repeated.
        needs: why this cloud cannot have the drill, with another way; empty: it can.
    """

    name: str
    title: str
    task: str
    breaks: str
    symptoms: tuple[Symptom, ...]
    hints: tuple[str, str, str]
    look: Callable[[LabContext], dict[str, Any]]
    inject: Callable[[LabContext, Before], None]
    verify: Callable[[LabContext, Before], Finding]
    heal: Callable[[LabContext, Before], None]
    needs: Callable[[LabContext], str] = field(default=lambda _: "")
