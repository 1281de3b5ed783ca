"""Chapter 99: everything down, and the proof."""

from labkit.chapters.multicluster_link import find_link, link_api
from labkit.checks import Check, Finding, Reason, passed
from labkit.context import CLUSTERS, EAST, WEST, LabContext
from labkit.display import Step, Table
from labkit.errors import LabkitError
from labkit.progress import Progress

CLOUD_LIMIT_S = 60.0
"""An account is read page by page, and a busy API asks to wait."""

SHOWN = 6
MIRRORED = f"mirror.linkerd.io/mirrored-service=true,mirror.linkerd.io/cluster-name={EAST}"


def unlink(lab: LabContext, shown: Progress) -> tuple[list[str], list[str]]:
    """Remove the lab's Link and what it mirrored from west, before the clusters go.

    Returns:
        What was removed, and why something was not; a cluster that does not answer is no error.
    """
    if not lab.folder.kubeconfig.exists():
        return [], []
    removed: list[str] = []
    try:
        if not (lab.cloud.owns_clusters or lab.installed(WEST).has("Link", EAST)):
            return [], []
        west, api = lab.kubernetes(WEST), link_api(lab, WEST)
        link = find_link(lab, WEST)
        found = [(api, link)] if link else []
        found += [("v1", item) for item in west.list("v1", "Service", labels=MIRRORED)]
        for version, item in found:
            kind, name = item["kind"], item["metadata"]["name"]
            namespace = item["metadata"]["namespace"]
            shown.update(f"removing {kind} {namespace}/{name}", key=WEST)
            if west.delete(version, kind, name, namespace):
                removed.append(f"{kind} {namespace}/{name} of {WEST}")
    except LabkitError as error:
        return removed, [f"Link and mirrors stay until their cluster goes: {error.what}"]
    return removed, []


def show(facts: dict[str, list[str]]) -> Step:
    """What the teardown did, as a step.

    Args:
        facts: `deleted`, `leftovers`, `ended`, `processes_left`, `notes`.
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
            "labkit audit",
        ),
        table=Table.of(rows),
        notes=tuple(facts["notes"]),
        facts=facts,
    )


_BILLABLE = Reason("still in the account: {left}")
_RUNNING = Reason("still running: {left}")


def _nothing_billable(lab: LabContext) -> Finding:
    left = lab.cloud.leftovers()
    if left:
        return _BILLABLE.seen(left=", ".join(left))
    return passed("the cloud has nothing of this lab")


def _no_process(lab: LabContext) -> Finding:
    left = [
        item if isinstance(item, str) else item["name"] for item in lab.cloud.status()["processes"]
    ]
    if left:
        return _RUNNING.seen(left=_counted(left))
    return passed("no process of this lab runs")


def _counted(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:SHOWN])
    more = len(names) - SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


CHECKS = (
    Check(
        id="99.nothing-billable",
        title="nothing billable is left",
        clusters=CLUSTERS,
        proves="nobody gets a bill for a forgotten lab",
        fix="labkit down; labkit audit  # the cloud's control panel can delete it, too",
        look=_nothing_billable,
        reasons=(_BILLABLE,),
        limit_s=CLOUD_LIMIT_S,
    ),
    Check(
        id="99.no-process",
        title="no process of the lab is left on this machine",
        clusters=(),
        proves="the machine is as it was before",
        fix="labkit down",
        look=_no_process,
        reasons=(_RUNNING,),
    ),
)
