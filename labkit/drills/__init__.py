"""Break-it drills: faults that are real, to be found and mended.

One module a drill. `DRILLS` in the order in which they are best done.
"""

from collections.abc import Mapping

from labkit.context import LabContext
from labkit.drill_log import DrillLog
from labkit.drills import (
    anchor,
    black_hole,
    direction,
    gateway,
    issuer,
    label,
    policy,
    proxy,
    unmeshed,
)
from labkit.drills.drill import Drill
from labkit.drills.running import cure, heal, hint, start, verify
from labkit.errors import InputError
from labkit.params.model import did_you_mean

__all__ = ["DRILLS", "Drill", "cure_open", "find", "heal", "hint", "listing", "start", "verify"]

DRILLS: Mapping[str, Drill] = {
    module.DRILL.name: module.DRILL
    for module in (unmeshed, label, direction, gateway, proxy, policy, issuer, anchor, black_hole)
}


def find(name: str) -> Drill:
    """A drill by name.

    Raises:
        InputError: there is none.
    """
    if name not in DRILLS:
        raise InputError(
            "Unknown drill",
            problems=[f"{name}: no drill of that name{did_you_mean(name, list(DRILLS))}"],
            fix=f"choose among {', '.join(DRILLS)}",
        )
    return DRILLS[name]


def cure_open(lab: LabContext) -> list[str]:
    """Put right what open drills broke, the newest first, without a proof; their names."""
    cured = []
    for record in reversed(DrillLog(lab.folder).open()):
        if record.name in DRILLS:
            cure(lab, DRILLS[record.name], record)
            cured.append(record.name)
    return cured


def listing(lab: LabContext | None) -> list[dict[str, str]]:
    """One row a drill: its name, what it is about, and how it went in a lab.

    Args:
        lab: None where there is none yet.
    """
    records = {} if lab is None else {r.name: r for r in DrillLog(lab.folder).records()}
    rows = []
    for drill in DRILLS.values():
        record = records.get(drill.name)
        state = "" if record is None else "open" if record.healed is None else "done"
        if record is not None and record.verified and state == "done":
            state = f"mended, {record.hints} hints"
        rows.append({"drill": drill.name, "task": drill.task, "state": state})
    return rows
