"""Chapter 05: a workload without a proxy joins the mesh."""

from labkit.chapters.emojivoto import has_proxy
from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.manifests import Object
from labkit.clients.rollouts import wait_rollout
from labkit.context import WEST, LabContext
from labkit.display import Step, Table
from labkit.exercises.answering import (
    HINTS,
    NAMESPACE,
    VISITOR,
    drop_namespace,
    idle_deployment,
    make_namespace,
)
from labkit.exercises.exercise import Exercise
from labkit.progress import progress

ID = "05.exercise-mesh"
INJECT = "linkerd.io/inject"
START_TIMEOUT_S = 120.0
_NOT_STARTED = Reason(
    f"west has no deployment {VISITOR} in {NAMESPACE}: the exercise was not started",
    fix=f'# run lab.start_exercise("{ID}") in the notebook',
)
_UNMESHED = Reason(
    "{pods} has no proxy, and neither its template nor its namespace has the annotation "
    f"{INJECT}=enabled"
)
_OLDER = Reason(
    "{pods} has no proxy although it is annotated: proxies are added when a pod is created",
    coming=True,
)
_NOT_READY = Reason("{pods} has a proxy and is not ready yet", coming=True)


def _start(lab: LabContext) -> Step:
    """A deployment without a proxy; one that is there already stays as it is."""
    with progress(f"Starting {VISITOR} in west") as shown:
        make_namespace(lab, WEST)
        kubernetes = lab.kubernetes(WEST)
        if kubernetes.get("apps/v1", "Deployment", VISITOR, NAMESPACE) is None:
            lab.install(WEST, [idle_deployment(VISITOR)])
        wait_rollout(kubernetes, NAMESPACE, [VISITOR], timeout_s=START_TIMEOUT_S, report=shown)
    rows = [
        {"pod": pod["metadata"]["name"], "proxy": "yes" if has_proxy(pod) else "no"}
        for pod in _pods(lab)
    ]
    return Step(
        f"{VISITOR} runs in {NAMESPACE} of west.",
        by_hand=(f"kubectl --context west -n {NAMESPACE} get pods",),
        table=Table.of(rows),
    )


def _pods(lab: LabContext) -> list[Object]:
    """Pods of the deployment that are not about to go."""
    return [
        pod
        for pod in lab.kubernetes(WEST).list("v1", "Pod", NAMESPACE)
        if (pod["metadata"].get("labels") or {}).get("app") == VISITOR
        and not pod["metadata"].get("deletionTimestamp")
    ]


def _look(lab: LabContext) -> Finding:
    deployment = lab.kubernetes(WEST).get("apps/v1", "Deployment", VISITOR, NAMESPACE)
    if deployment is None:
        return _NOT_STARTED.seen()
    pods = _pods(lab)
    bare = [pod["metadata"]["name"] for pod in pods if not has_proxy(pod)]
    if bare or not pods:
        asked = _asks_for_a_proxy(lab, deployment)
        return (_OLDER if asked else _UNMESHED).seen(pods=", ".join(bare) or f"{VISITOR}'s pod")
    unready = [pod["metadata"]["name"] for pod in pods if not _is_ready(pod)]
    if unready:
        return _NOT_READY.seen(pods=", ".join(unready))
    return passed(f"{len(pods)} of {len(pods)} pods of {VISITOR} have a proxy and are ready")


def _asks_for_a_proxy(lab: LabContext, deployment: Object) -> bool:
    namespace = lab.kubernetes(WEST).require("v1", "Namespace", NAMESPACE)
    template = deployment["spec"]["template"].get("metadata") or {}
    return any(
        ((item.get("annotations") or {}).get(INJECT) in ("enabled", "ingress"))
        for item in (template, namespace["metadata"])
    )


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _undo(lab: LabContext) -> None:
    drop_namespace(lab, WEST)


EXERCISES = (
    Exercise(
        Check(
            id=ID,
            title=f"every pod of {VISITOR} has a proxy",
            clusters=(WEST,),
            proves="you can bring a workload of your own into the mesh",
            fix=HINTS,
            look=_look,
            reasons=(_NOT_STARTED, _UNMESHED, _OLDER, _NOT_READY),
            limit_s=60.0,
        ),
        start=_start,
        undo=_undo,
    ),
)
