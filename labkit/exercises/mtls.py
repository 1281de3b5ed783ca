"""Chapter 08: the request of an unmeshed client is found among others."""

import re

from labkit.chapters.emojivoto import NAMESPACE as EMOJIVOTO
from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.manifests import Object
from labkit.clients.rollouts import wait_for, wait_gone
from labkit.context import EAST, LabContext
from labkit.display import Step
from labkit.exercises.answering import (
    HINTS,
    IMAGE,
    NAMESPACE,
    NOT_ANSWERED,
    VISITOR,
    answer_of,
    drop_namespace,
    make_namespace,
)
from labkit.exercises.exercise import Exercise
from labkit.progress import progress

ID = "08.exercise-unmeshed"
ASKS = 180
"""Requests that the visitor sends, one a second; then it ends by itself."""

START_TIMEOUT_S = 120.0
_ADDRESS = "exercise_visitor"
_NOT_STARTED = Reason(
    "the exercise was not started: no visitor has called",
    fix=f'# run lab.start_exercise("{ID}") in the notebook',
)
_NO_LINE = Reason("your answer is no line of tap: it has no src=… and tls=…")
_MESHED = Reason("in this line tls=true: its client is meshed")
_STRANGER = Reason("this request came from {source}; the visitor's address is {visitor}")


def _start(lab: LabContext) -> Step:
    """A client without a proxy asks `web` in its own cluster, once a second for three minutes."""
    kubernetes = lab.kubernetes(EAST)
    with progress(f"Starting {VISITOR} in east") as shown:
        make_namespace(lab, EAST)
        if _phase(lab) not in ("Running", "missing"):
            kubernetes.delete("v1", "Pod", VISITOR, NAMESPACE)
            wait_gone(kubernetes, "v1", "Pod", VISITOR, NAMESPACE, timeout_s=START_TIMEOUT_S)
        if _phase(lab) == "missing":
            lab.install(EAST, [_pod()])
        wait_for(
            lambda: (_phase(lab) == "Running", f"{VISITOR} is {_phase(lab)}"),
            what=f"{VISITOR} to run",
            timeout_s=START_TIMEOUT_S,
            fix=f"kubectl --context east -n {NAMESPACE} describe pod {VISITOR}",
            report=shown,
        )
    address = str(kubernetes.require("v1", "Pod", VISITOR, NAMESPACE)["status"]["podIP"])
    lab.folder.remember(**{_ADDRESS: address})
    return Step(
        f"{VISITOR} asks web-svc from {NAMESPACE} of east, once a second.",
        by_hand=(f"kubectl --context east -n {NAMESPACE} get pods -o wide",),
        facts={"address": address},
    )


def _phase(lab: LabContext) -> str:
    pod = lab.kubernetes(EAST).get("v1", "Pod", VISITOR, NAMESPACE)
    return "missing" if pod is None else str((pod.get("status") or {}).get("phase", "Pending"))


def _pod() -> Object:
    ask = f"curl -s -o /dev/null -m 5 http://web-svc.{EMOJIVOTO}/api/list"
    line = f"i=0; while [ $i -lt {ASKS} ]; do {ask}; i=$((i+1)); sleep 1; done"
    container = {"name": "curl", "image": IMAGE, "command": ["sh", "-c", line]}
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
    }
    metadata = {"name": VISITOR, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _look(lab: LabContext) -> Finding:
    visitor = lab.folder.recall().get(_ADDRESS)
    if not visitor:
        return _NOT_STARTED.seen()
    answer = answer_of(lab, ID)
    if answer is None:
        return NOT_ANSWERED.seen()
    source = re.search(r"\bsrc=([\w.:\[\]-]+):\d+", str(answer))
    tls = re.search(r"\btls=(\S+)", str(answer))
    if source is None or tls is None:
        return _NO_LINE.seen()
    if tls[1] == "true":
        return _MESHED.seen()
    if source[1] != visitor:
        return _STRANGER.seen(source=source[1], visitor=visitor)
    return passed(f"tap shows tls={tls[1]} for {visitor}, which is {VISITOR}")


def silence(lab: LabContext) -> None:
    """End a visitor that still calls: it would be measured, too."""
    kubernetes = lab.kubernetes(EAST)
    if kubernetes.get("v1", "Pod", VISITOR, NAMESPACE) is None:
        return
    with progress(f"Ending the exercise's {VISITOR} in east"):
        kubernetes.delete("v1", "Pod", VISITOR, NAMESPACE)
        wait_gone(kubernetes, "v1", "Pod", VISITOR, NAMESPACE, timeout_s=START_TIMEOUT_S)


def _undo(lab: LabContext) -> None:
    drop_namespace(lab, EAST)
    lab.folder.forget(_ADDRESS)


EXERCISES = (
    Exercise(
        Check(
            id=ID,
            title="you have seen a request that is not mutual TLS, and know whose it is",
            clusters=(EAST,),
            proves="without a policy a mesh lets unmeshed clients in, and tap shows who they are",
            fix=HINTS,
            look=_look,
            reasons=(_NOT_STARTED, NOT_ANSWERED, _NO_LINE, _MESHED, _STRANGER),
        ),
        start=_start,
        undo=_undo,
    ),
)
