"""Chapter 06: a second service is exported, and appears in the other cluster."""

from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.mirror import EXPORTED, MIRROR_TIMEOUT_S
from labkit.chapters.mirror import SERVICE as FIRST
from labkit.chapters.multicluster_link import find_link
from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.manifests import Object
from labkit.clients.rollouts import wait_gone
from labkit.context import EAST, WEST, LabContext
from labkit.exercises.answering import HINTS
from labkit.exercises.exercise import Exercise
from labkit.progress import progress

ID = "06.exercise-export"
SERVICE = "voting-svc"
MIRROR = f"{SERVICE}-{EAST}"
_MISSING = Reason(f"east has no service {SERVICE}", fix="labkit solve 06")
_NOT_LABELLED = Reason(f"{SERVICE} of east has no label {EXPORTED}; its labels: {{labels}}")
_VALUE = Reason(f"the label {EXPORTED} of {SERVICE} says {{value}}, which does not export it")
_NOT_MIRRORED = Reason(f"{SERVICE} is exported, and west has no {MIRROR} yet", coming=True)


def _labels(service: Object) -> dict[str, str]:
    return dict(service["metadata"].get("labels") or {})


def _look(lab: LabContext) -> Finding:
    service = lab.kubernetes(EAST).get("v1", "Service", SERVICE, NAMESPACE)
    if service is None:
        return _MISSING.seen()
    labels = _labels(service)
    if EXPORTED not in labels:
        seen = ", ".join(f"{name}={value}" for name, value in labels.items())
        return _NOT_LABELLED.seen(labels=seen or "none")
    if labels[EXPORTED] != "true":
        return _VALUE.seen(value=labels[EXPORTED] or "nothing")
    mirror = lab.kubernetes(WEST).get("v1", "Service", MIRROR, NAMESPACE)
    if mirror is None:
        return _NOT_MIRRORED.seen()
    ports = ", ".join(str(port["port"]) for port in mirror["spec"]["ports"])
    return passed(f"{MIRROR} has cluster IP {mirror['spec']['clusterIP']} and ports {ports}")


def _undo(lab: LabContext) -> None:
    """Take the label from every service but the chapter's own, and wait for the mirrors to go."""
    kubernetes = lab.kubernetes(EAST)
    exported = [
        item["metadata"]["name"]
        for item in kubernetes.list("v1", "Service", NAMESPACE)
        if EXPORTED in _labels(item) and item["metadata"]["name"] != FIRST
    ]
    if not exported:
        return
    with progress("Taking back what the exercise exported") as shown:
        for name in exported:
            shown.update(f"{name}: label removed", key=EAST)
            body = {"metadata": {"labels": {EXPORTED: None}}}
            kubernetes.patch("v1", "Service", name, NAMESPACE, body=body)
        for name in exported:
            gone = ("v1", "Service", f"{name}-{EAST}", NAMESPACE)
            if find_link(lab, WEST) is None:  # nobody else removes it
                lab.kubernetes(WEST).delete(*gone)
            wait_gone(lab.kubernetes(WEST), *gone, timeout_s=MIRROR_TIMEOUT_S)


EXERCISES = (
    Exercise(
        Check(
            id=ID,
            title=f"{SERVICE} of east is {MIRROR} in west",
            clusters=(WEST, EAST),
            proves="you can offer a service of your own to the other cluster",
            fix=HINTS,
            look=_look,
            reasons=(_MISSING, _NOT_LABELLED, _VALUE, _NOT_MIRRORED),
        ),
        undo=_undo,
    ),
)
