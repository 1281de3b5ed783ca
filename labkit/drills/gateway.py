"""Drill: nobody stands behind the address of east's gateway."""

from typing import Any

from labkit.chapters.multicluster_link import GATEWAY, NAMESPACE
from labkit.chapters.region_loss import SERVICE, hide_gateway, show_gateway
from labkit.checks import Finding
from labkit.context import EAST, LabContext
from labkit.drills.drill import Before, Drill, Symptom
from labkit.drills.votes import DEAD_GATEWAY, NO_VOTES, proof


def look(lab: LabContext) -> dict[str, Any]:
    """Which pods the gateway's Service selects, to be seen in the record."""
    return {"selector": lab.kubernetes(EAST).require(*SERVICE)["spec"].get("selector")}


def inject(lab: LabContext, before: Before) -> None:
    """Let the Service select pods that are not there."""
    del before
    hide_gateway(lab)


def nobody(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether the gateway's Service has no endpoint."""
    del before
    found = lab.kubernetes(EAST).get("v1", "Endpoints", GATEWAY, NAMESPACE)
    ready = [
        address["ip"]
        for subset in (found or {}).get("subsets") or []
        for address in subset.get("addresses") or []
    ]
    return not ready, f"endpoints {', '.join(ready) or 'none'}"


def verify(lab: LabContext, before: Before) -> Finding:
    """The probe is alive, and votes arrive."""
    del before
    return proof(lab, "04.gateway-east", "04.probe")


def heal(lab: LabContext, before: Before) -> None:
    """Select the gateway's pods again."""
    del before
    show_gateway(lab)


DRILL = Drill(
    name="gateway-unreachable",
    title="nobody stood behind the address of east's gateway",
    task="West says that east's gateway is dead. In east its pod is Ready. "
    "Find out why it cannot be reached, and mend it.",
    breaks=f"spec.selector of {EAST}'s Service {NAMESPACE}/{GATEWAY}; its pod is a new one.",
    symptoms=(
        DEAD_GATEWAY,
        NO_VOTES,
        Symptom(
            where=f"kubectl --context {EAST} -n {NAMESPACE} get endpoints {GATEWAY}",
            what="ENDPOINTS is <none>",
            look=nobody,
        ),
    ),
    hints=(
        (
            "The probe of west asks the gateway's public address every three seconds and gives up "
            "after three failures. Follow that address: which Service has it, and who is behind it?"
        ),
        (
            f"kubectl --context {EAST} -n {NAMESPACE} get svc,endpoints,pods --show-labels: a "
            "Service without endpoints has a selector that fits no pod."
        ),
        (
            f"kubectl --context {EAST} -n {NAMESPACE} patch svc {GATEWAY} --type merge -p "
            f'\'{{"spec":{{"selector":{{"app":"{GATEWAY}"}}}}}}\''
        ),
    ),
    look=look,
    inject=inject,
    verify=verify,
    heal=heal,
)
