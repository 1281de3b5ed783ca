"""Drill: the robot runs without a proxy, and east's gateway takes nobody without a certificate."""

import json
from typing import Any

from labkit.chapters.emojivoto import NAMESPACE, has_proxy
from labkit.chapters.traffic import BOT
from labkit.checks import Finding, failed
from labkit.clients.kubernetes import is_ready
from labkit.clients.rollouts import wait_rollout
from labkit.context import WEST, LabContext
from labkit.drills.drill import Before, Drill, Symptom
from labkit.drills.votes import NO_VOTES, proof

INJECT = "linkerd.io/inject"
_DEPLOYMENT = ("apps/v1", "Deployment", BOT, NAMESPACE)


def _asking(value: str | None) -> dict[str, Any]:
    """The patch that asks for a proxy, or for none; a change makes a new pod."""
    return {"spec": {"template": {"metadata": {"annotations": {INJECT: value}}}}}


def _annotate(lab: LabContext, value: str | None) -> None:
    lab.kubernetes(WEST).patch(*_DEPLOYMENT, body=_asking(value))


def look(lab: LabContext) -> dict[str, Any]:
    """Whether the robot's pods ask for a proxy."""
    template = lab.kubernetes(WEST).require(*_DEPLOYMENT)["spec"]["template"]
    return {"inject": (template["metadata"].get("annotations") or {}).get(INJECT)}


def inject(lab: LabContext, before: Before) -> None:
    """Roll the robot out without a proxy."""
    del before
    _annotate(lab, "disabled")
    wait_rollout(lab.kubernetes(WEST), NAMESPACE, [BOT])


def bare(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether a ready pod of the robot has no proxy."""
    del before
    pods = lab.kubernetes(WEST).list("v1", "Pod", NAMESPACE)
    found = [pod["metadata"]["name"] for pod in pods if is_ready(pod) and not has_proxy(pod)]
    return bool(found), ", ".join(found) or "every ready pod has a proxy"


def refused(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether the robot's log tells of votes that failed."""
    del before
    for pod in lab.kubernetes(WEST).list("v1", "Pod", NAMESPACE):
        text = lab.kubernetes(WEST).logs(pod["metadata"]["name"], NAMESPACE, container=BOT, tail=20)
        lines = [line for line in text.splitlines() if "rror" in line]
        if lines:
            return True, lines[-1]
    return False, "no error in the robot's log"


def verify(lab: LabContext, before: Before) -> Finding:
    """Every pod has a proxy, and votes arrive."""
    seen, what = bare(lab, before)
    return failed(f"without a proxy: {what}") if seen else proof(lab, "05.proxies-west")


def heal(lab: LabContext, before: Before) -> None:
    """Ask for a proxy again, as it was."""
    _annotate(lab, before["inject"])
    wait_rollout(lab.kubernetes(WEST), NAMESPACE, [BOT])


DRILL = Drill(
    name="unmeshed-client",
    title="the robot ran without a proxy",
    task="The robot in west runs and says it votes, and not one vote arrives in east. "
    "Find out why, and mend it.",
    breaks=f"annotation {INJECT}: disabled in the pod template of {WEST}'s Deployment {BOT}.",
    symptoms=(
        NO_VOTES,
        Symptom(
            where=f"kubectl --context {WEST} -n {NAMESPACE} logs deploy/{BOT} -c {BOT}",
            what="each vote fails",
            look=refused,
        ),
        Symptom(
            where=f"kubectl --context {WEST} -n {NAMESPACE} get pods",
            what="READY is 1/1 where it was 2/2",
            look=bare,
        ),
    ),
    hints=(
        (
            "East is well: other clients could vote. Compare the robot's pod with how it looked in "
            f"chapter 05: kubectl --context {WEST} -n {NAMESPACE} get pods."
        ),
        (
            "East's gateway takes mutual TLS and nothing else (chapter 08). Who shows the "
            "certificate for the robot, and is that container in its pod?"
        ),
        (
            f"The pod template says `{INJECT}: disabled`. Set it to `enabled`: kubectl --context "
            f"{WEST} -n {NAMESPACE} patch deploy {BOT} -p "
            f"'{json.dumps(_asking('enabled'))}'"
        ),
    ),
    look=look,
    inject=inject,
    verify=verify,
    heal=heal,
)
