"""Do votes of west arrive in east? The alarm of most drills, and the last proof of every repair."""

import time

from labkit.chapters import CHAPTERS
from labkit.chapters.multicluster_link import GATEWAY
from labkit.chapters.multicluster_link import NAMESPACE as MULTICLUSTER
from labkit.chapters.traffic import answered, requests
from labkit.checking import run_checks
from labkit.checks import Finding, failed, passed
from labkit.clients.rollouts import wait_for
from labkit.context import EAST, WEST, LabContext
from labkit.drills.drill import Before, Symptom
from labkit.errors import LabkitError, WaitTimeout

STILL_S = 3.0
"""The robot votes about twice a second: three seconds of silence are no coincidence."""

ARRIVAL_TIMEOUT_S = 20.0
"""Probes of 3 s, and endpoints that come back with them."""


def silence(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether east's gateway passes nothing on."""
    del before
    try:
        first = requests(lab, EAST)
        time.sleep(STILL_S)
        count = requests(lab, EAST) - first
    except LabkitError as error:
        return True, error.what
    return count == 0, f"{count:.0f} requests in {STILL_S:.0f} s at east's gateway"


NO_VOTES = Symptom(
    where=f"linkerd --context {EAST} diagnostics proxy-metrics -n {MULTICLUSTER} "
    f"deploy/{GATEWAY} | grep ^request_total",
    what="the count of requests stands still: no vote arrives",
    look=silence,
)


def arriving(lab: LabContext) -> Finding:
    """Wait a little until votes of the robot are answered well, as its own proxy counts them."""
    start: dict[str, float] = {}

    def look() -> tuple[bool, str]:
        try:
            count = answered(lab)
        except LabkitError as error:
            start.clear()
            return False, error.what
        grown = count - start.setdefault("count", count)
        if grown < 0:  # the proxy is another one now
            start["count"] = count
        return grown > 1, f"{max(grown, 0):.0f} more votes answered well"

    try:
        return passed(
            wait_for(look, what="votes to be answered by east", timeout_s=ARRIVAL_TIMEOUT_S)
        )
    except WaitTimeout as error:
        return failed(f"{error.what}: {error.seen}")


def proof(lab: LabContext, *ids: str) -> Finding:
    """Some checks of the chapters, and then that votes arrive.

    Args:
        lab: the lab.
        ids: of the checks, as `06.endpoints`.
    """
    wanted = [check for module in CHAPTERS for check in module.CHECKS if check.id in ids]
    for outcome in run_checks(lab, wanted, wait=False).failures:
        return failed(f"{outcome.id} {outcome.title}: {outcome.reason}")
    return arriving(lab)


def gateway_dead(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether `multicluster gateways` of west calls east's gateway dead."""
    del before
    for row in lab.linkerd(WEST).gateways():
        if row.cluster_name == EAST:
            return not row.alive, f"ALIVE {row.alive}"
    return False, "no gateway of east is known"


DEAD_GATEWAY = Symptom(
    where=f"linkerd --context {WEST} multicluster gateways",
    what="ALIVE is False",
    look=gateway_dead,
    within_s=90.0,
)
