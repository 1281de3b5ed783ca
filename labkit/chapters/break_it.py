"""Chapter 12: break it, find it, mend it.

The drills themselves are in `labkit/drills/`; this chapter adds nothing to a lab, and its check
says whether one is still broken.
"""

from labkit.checks import Check, Finding, Reason, passed
from labkit.context import CLUSTERS, LabContext
from labkit.drill_log import DrillLog

_OPEN = Reason("the drill {name} is open", fix="labkit drill {name} --heal")
_NONE = Reason("no drill was tried yet", fix="labkit drill --list", status="warn")


def _healed(lab: LabContext) -> Finding:
    records = DrillLog(lab.folder).records()
    for record in records:
        if record.healed is None:
            return _OPEN.seen(name=record.name)
    if not records:
        return _NONE.seen()
    mended = sum(record.verified is not None for record in records)
    return passed(f"{len(records)} drills, {mended} of them mended by hand, all healed")


CHECKS = (
    Check(
        id="12.healed",
        title="every drill that was started is healed",
        clusters=CLUSTERS,
        proves="nothing is broken that is not known",
        fix="labkit drill --heal",
        look=_healed,
        reasons=(_OPEN, _NONE),
    ),
)
