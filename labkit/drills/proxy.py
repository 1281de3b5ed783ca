"""Drill: the robot's proxy ends and is started again: to be found out afterwards."""

from typing import Any

from labkit.chapters.emojivoto import NAMESPACE, PROXY
from labkit.chapters.traffic import BOT
from labkit.checks import Finding, failed
from labkit.clients.kubernetes import is_ready
from labkit.clients.manifests import Object
from labkit.context import WEST, LabContext
from labkit.drills.drill import Before, Drill, Symptom
from labkit.drills.votes import proof
from labkit.errors import LabkitError, StateError

ADMIN_PORT = 4191
_OK = 200


def _pod(lab: LabContext) -> Object:
    name = lab.kubernetes(WEST).pod_of(NAMESPACE, f"deploy/{BOT}")
    return lab.kubernetes(WEST).require("v1", "Pod", name, NAMESPACE)


def _proxy(pod: Object) -> Object:
    """State of the proxy's container, which may be a native sidecar."""
    status = pod.get("status") or {}
    states = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    return next((state for state in states if state["name"] == PROXY), {})


def look(lab: LabContext) -> dict[str, Any]:
    """Which pod it is, and how often its proxy was restarted."""
    pod = _pod(lab)
    return {
        "pod": pod["metadata"]["name"],
        "restarts": int(_proxy(pod).get("restartCount") or 0),
    }


def inject(lab: LabContext, before: Before) -> None:
    """Tell the proxy to end, by its admin port.

    Raises:
        StateError: this Linkerd's proxy cannot be told.
    """
    with lab.kubernetes(WEST).forward(NAMESPACE, str(before["pod"]), ADMIN_PORT) as connection:
        connection.request("POST", "/shutdown")
        answer = connection.getresponse()
        answer.read()
    if answer.status != _OK:
        raise StateError(
            "The proxy does not let itself be ended",
            seen=f"POST /shutdown at port {ADMIN_PORT}: status {answer.status}",
            fix="annotate the pod template with config.linkerd.io/proxy-admin-shutdown: enabled",
        )


def restarted(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether the proxy's container was started again since."""
    pod = lab.kubernetes(WEST).get("v1", "Pod", str(before["pod"]), NAMESPACE)
    if pod is None:
        return True, f"{before['pod']} is gone"
    count = int(_proxy(pod).get("restartCount") or 0)
    return count > int(before["restarts"]), f"RESTARTS {count}"


def verify(lab: LabContext, before: Before) -> Finding:
    """The pod is Ready with its proxy, and votes arrive."""
    del before
    try:
        pod = _pod(lab)
    except LabkitError as error:
        return failed(str(error))
    if not is_ready(pod) or not _proxy(pod).get("ready"):
        return failed(f"{pod['metadata']['name']} or its proxy is not Ready")
    return proof(lab, "05.proxies-west")


def heal(lab: LabContext, before: Before) -> None:
    """Nothing to put right: Kubernetes has started the proxy again."""
    del lab, before


DRILL = Drill(
    name="proxy-killed",
    title="the robot's proxy ended, and Kubernetes started it again",
    task="A few votes failed a moment ago, and now all is well again. Find out what happened, "
    "and prove that it is over.",
    breaks=f"the process of {PROXY} in {WEST}'s {BOT} was ended by POST /shutdown at its admin "
    "port. A container that ends is started again by Kubernetes: there is nothing to mend.",
    symptoms=(
        Symptom(
            where=f"kubectl --context {WEST} -n {NAMESPACE} get pods",
            what="RESTARTS has grown",
            look=restarted,
        ),
    ),
    hints=(
        (
            "What is over has left traces: events, counts of restarts, counters that began anew. "
            f"kubectl --context {WEST} -n {NAMESPACE} get pods,events."
        ),
        (
            f"Which container was it? kubectl --context {WEST} -n {NAMESPACE} describe pods, and "
            "look at Last State."
        ),
        (
            f"It was {PROXY}; what it said at last: kubectl --context {WEST} -n {NAMESPACE} logs "
            f"deploy/{BOT} -c {PROXY} --previous. Its requests failed until it was back: "
            "labkit drill proxy-killed --verify."
        ),
    ),
    look=look,
    inject=inject,
    verify=verify,
    heal=heal,
)
