"""Drill: the service of east is not exported any more, so its mirror in west goes."""

from typing import Any

from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.mirror import EXPORTED, MIRROR, SERVICE
from labkit.checks import Finding
from labkit.context import EAST, WEST, LabContext
from labkit.drills.drill import Before, Drill, Symptom
from labkit.drills.votes import NO_VOTES, proof


def _label(lab: LabContext, value: str | None) -> None:
    body = {"metadata": {"labels": {EXPORTED: value}}}
    lab.kubernetes(EAST).patch("v1", "Service", SERVICE, NAMESPACE, body=body)


def look(lab: LabContext) -> dict[str, Any]:
    """The label as it is."""
    labels = lab.kubernetes(EAST).require("v1", "Service", SERVICE, NAMESPACE)["metadata"]["labels"]
    return {"label": labels.get(EXPORTED)}


def inject(lab: LabContext, before: Before) -> None:
    """Take the label away."""
    del before
    _label(lab, None)


def no_mirror(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether west has no mirrored service."""
    del before
    found = lab.kubernetes(WEST).get("v1", "Service", MIRROR, NAMESPACE)
    return found is None, f"{MIRROR} {'is not there' if found is None else 'is there'}"


def verify(lab: LabContext, before: Before) -> Finding:
    """The mirror is there with the gateway behind it, and votes arrive."""
    del before
    return proof(lab, "06.service", "06.endpoints")


def heal(lab: LabContext, before: Before) -> None:
    """Put the label back."""
    _label(lab, before["label"])


DRILL = Drill(
    name="mirror-label-missing",
    title="the service in east was not exported",
    task="Votes from west have stopped, and both clusters say that they are well. "
    "Find out why, and mend it.",
    breaks=f"label {EXPORTED} of {EAST}'s Service {NAMESPACE}/{SERVICE}.",
    symptoms=(
        NO_VOTES,
        Symptom(
            where=f"kubectl --context {WEST} -n {NAMESPACE} get svc {MIRROR}",
            what="NotFound",
            look=no_mirror,
        ),
    ),
    hints=(
        (
            f"The robot asks {MIRROR}.{NAMESPACE}. What answers to that name in west? kubectl "
            f"--context {WEST} -n {NAMESPACE} get svc,endpoints."
        ),
        (
            "A mirrored service is there as long as its original is exported. What tells the "
            "mirror controller which services of east to export (chapter 06)?"
        ),
        f"kubectl --context {EAST} -n {NAMESPACE} label svc {SERVICE} {EXPORTED}=true",
    ),
    look=look,
    inject=inject,
    verify=verify,
    heal=heal,
)
