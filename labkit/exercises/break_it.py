"""Chapter 12: a service that nobody stands behind is found and mended."""

from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.manifests import Object
from labkit.clients.rollouts import wait_rollout
from labkit.context import EAST, LabContext
from labkit.display import Step
from labkit.exercises.answering import (
    HINTS,
    NAMESPACE,
    drop_namespace,
    idle_deployment,
    is_own,
    make_namespace,
)
from labkit.exercises.exercise import Exercise
from labkit.progress import progress

ID = "12.exercise-mend"
GUESTBOOK = "guestbook"
PORT = 8080
START_TIMEOUT_S = 120.0
_FAULT = {"app": "guest-book"}
"""What the service selects: nobody has that label."""

_NOT_STARTED = Reason(
    f"east has no service {GUESTBOOK} in {NAMESPACE}: the exercise was not started",
    fix=f'# run lab.start_exercise("{ID}") in the notebook',
)
_NOBODY = Reason(f"{GUESTBOOK} of east has no endpoint: who calls it reaches nobody")
_NOT_READY = Reason(f"{GUESTBOOK} leads to {{pods}}, which is not ready yet", coming=True)


def _start(lab: LabContext) -> Step:
    """A deployment that runs, and a service that does not find it; what is there stays as it is."""
    kubernetes = lab.kubernetes(EAST)
    with progress(f"Starting {GUESTBOOK} in east") as shown:
        make_namespace(lab, EAST)
        wanted = [
            ("apps/v1", "Deployment", idle_deployment(GUESTBOOK)),
            ("v1", "Service", _service()),
        ]
        missing = [
            item
            for api, kind, item in wanted
            if kubernetes.get(api, kind, GUESTBOOK, NAMESPACE) is None
        ]
        if missing:
            lab.install(EAST, missing)
        wait_rollout(kubernetes, NAMESPACE, [GUESTBOOK], timeout_s=START_TIMEOUT_S, report=shown)
    return Step(
        f"{GUESTBOOK} runs in {NAMESPACE} of east, and has a service.",
        by_hand=(f"kubectl --context east -n {NAMESPACE} get deploy,pods,svc",),
    )


def _service() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": GUESTBOOK, "namespace": NAMESPACE},
        "spec": {"selector": _FAULT, "ports": [{"port": 80, "targetPort": PORT}]},
    }


def _look(lab: LabContext) -> Finding:
    kubernetes = lab.kubernetes(EAST)
    if kubernetes.get("v1", "Service", GUESTBOOK, NAMESPACE) is None:
        return _NOT_STARTED.seen()
    found = kubernetes.get("v1", "Endpoints", GUESTBOOK, NAMESPACE) or {}
    subsets = found.get("subsets") or []
    ready, waiting = (
        [item["ip"] for subset in subsets for item in subset.get(which) or ()]
        for which in ("addresses", "notReadyAddresses")
    )
    if ready:
        return passed(f"{GUESTBOOK} leads to {', '.join(ready)}")
    return _NOT_READY.seen(pods=", ".join(waiting)) if waiting else _NOBODY.seen()


def _undo(lab: LabContext) -> None:
    """Remove the guestbook, and the namespace with it where no other exercise needs it."""
    kubernetes = lab.kubernetes(EAST)
    if kubernetes.get("v1", "Namespace", NAMESPACE) is None or not is_own(lab, EAST):
        return
    for api, kind in (("v1", "Service"), ("apps/v1", "Deployment")):
        kubernetes.delete(api, kind, GUESTBOOK, NAMESPACE)
    others = [
        pod
        for pod in kubernetes.list("v1", "Pod", NAMESPACE)
        if (pod["metadata"].get("labels") or {}).get("app") != GUESTBOOK
    ]
    if not others:
        drop_namespace(lab, EAST)


EXERCISES = (
    Exercise(
        Check(
            id=ID,
            title=f"{GUESTBOOK} of east leads to a pod that is ready",
            clusters=(EAST,),
            proves="you can find a fault that no alarm tells, and mend it",
            fix=HINTS,
            look=_look,
            reasons=(_NOT_STARTED, _NOBODY, _NOT_READY),
            limit_s=30.0,
        ),
        start=_start,
        undo=_undo,
    ),
)
