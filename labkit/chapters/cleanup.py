"""Chapter 99: everything down, and the proof."""

from labkit.checks import Check, Finding, verdict
from labkit.context import CLUSTERS, LabContext
from labkit.display import Step, Table


def show(facts: dict[str, list[str]]) -> Step:
    """What the teardown did, as a step.

    Args:
        facts: `deleted`, `leftovers`, `ended`, `processes_left`.
    """
    rows = [{"what": item, "state": "deleted"} for item in facts["deleted"]]
    rows += [{"what": item, "state": "ended"} for item in facts["ended"]]
    rows += [{"what": item, "state": "STILL THERE, billed"} for item in facts["leftovers"]]
    rows += [{"what": item, "state": "STILL RUNNING"} for item in facts["processes_left"]]
    return Step(
        "The lab is down." if rows else "There was nothing to take down.",
        by_hand=(
            "labkit down",
            "doctl kubernetes cluster delete west east --dangerous",
        ),
        table=Table.of(rows),
        facts=facts,
    )


def _nothing_billable(lab: LabContext) -> Finding:
    left = lab.cloud.leftovers()
    return verdict(not left, ", ".join(left) or "the cloud has nothing of this lab")


def _no_process(lab: LabContext) -> Finding:
    left = [
        item if isinstance(item, str) else item["name"] for item in lab.cloud.status()["processes"]
    ]
    return verdict(not left, ", ".join(left) or "no process of this lab runs")


CHECKS = (
    Check(
        id="99.nothing-billable",
        title="nothing billable is left",
        clusters=CLUSTERS,
        proves="nobody gets a bill for a forgotten lab",
        fix="`labkit down` again; what is listed can be deleted in the control panel, too",
        look=_nothing_billable,
    ),
    Check(
        id="99.no-process",
        title="no process of the lab is left on this machine",
        clusters=(),
        proves="the machine is as it was before",
        fix="`labkit down` again",
        look=_no_process,
    ),
)
