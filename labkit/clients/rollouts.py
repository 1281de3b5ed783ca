"""Waits for what Kubernetes does by itself: rollouts, conditions, deletions.

Each wait says at the end what it saw last. Trouble that passes by itself (an API server that
restarts) does not end a wait. Deliberately absent: doing anything about what does not come.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from labkit.clients.kubernetes import Kubernetes, condition
from labkit.clients.manifests import Object
from labkit.errors import KubernetesError
from labkit.progress import Progress, wait_until

_SERVER_ERROR = 500
_WORKLOADS = "apps/v1"
Result = TypeVar("Result")


class Look:
    """Repeats a look at a cluster and keeps its last observation."""

    def __init__(self, look: Callable[[], tuple[bool, str]]) -> None:
        self._look = look
        self.seen = ""

    def __call__(self) -> bool:
        """One look; trouble of the server's counts as not yet."""
        try:
            done, self.seen = self._look()
        except KubernetesError as error:
            if error.status is not None and error.status < _SERVER_ERROR:
                raise
            done, self.seen = False, str(error)
        return done


def wait_for(
    look: Callable[[], tuple[bool, str]],
    *,
    what: str,
    timeout_s: float,
    fix: str = "",
    report: Progress | None = None,
    key: str = "",
    told: str = "",
) -> str:
    """Wait until a look says that it is so.

    Args:
        look: returns (holds, what was seen).
        what: what is awaited, as `web-svc-east to appear in west`.
        timeout_s: limit in seconds.
        fix: what to do when it does not come true.
        report: where to say so while waiting.
        key: which of several things the wait is about, as `west`.
        told: what is said to be awaited while waiting, where `key` says a part of it; else `what`.

    Returns:
        The last observation.

    Raises:
        WaitTimeout: with the last observation.
    """
    repeated = Look(look)
    wait_until(
        repeated,
        what=what,
        timeout_s=timeout_s,
        last_seen=lambda: repeated.seen,
        fix=fix,
        report=report,
        key=key,
        told=told,
    )
    return repeated.seen


def rollout_state(deployment: Object | None) -> tuple[bool, str]:
    """Whether a Deployment is rolled out, and its figures: what `kubectl rollout status` looks at.

    Args:
        deployment: the object, None when it does not exist.
    """
    if deployment is None:
        return False, "does not exist"
    spec, status = deployment["spec"], deployment.get("status") or {}
    wanted = spec.get("replicas", 1)
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 1):
        return False, "not yet seen by the controller"
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    available = status.get("availableReplicas", 0)
    seen = f"{available} of {wanted} available"
    if total > updated:
        seen += f", {total - updated} old"
    failing = condition(deployment, "ReplicaFailure")
    if failing == "True":
        seen += ", pods cannot be created"
    return updated == wanted == available and total == wanted, seen


def wait_rollout(
    cluster: Kubernetes,
    namespace: str,
    names: Iterable[str],
    *,
    timeout_s: float = 120.0,
    report: Progress | None = None,
) -> None:
    """Wait until Deployments are rolled out; those that are missing are named.

    Raises:
        WaitTimeout: with the state of each that is not ready, and of its pods.
    """
    wanted = tuple(names)

    def look() -> tuple[bool, str]:
        found = {
            item["metadata"]["name"]: item
            for item in cluster.list(_WORKLOADS, "Deployment", namespace)
        }
        states = {name: rollout_state(found.get(name)) for name in wanted}
        alike: dict[str, list[str]] = {}
        for name, (done, seen) in states.items():
            if not done:
                alike.setdefault(seen, []).append(name)
        missing = [f"{', '.join(names)}: {seen}" for seen, names in alike.items()]
        if missing:
            missing += troubles(cluster, namespace)
        return not missing, "; ".join(missing) or "all available"

    wait_for(
        look,
        what=f"{', '.join(wanted)} to be rolled out in {namespace} of {cluster.context}",
        timeout_s=timeout_s,
        fix=f"kubectl --context {cluster.context} -n {namespace} get pods,events",
        report=report,
        key=cluster.context,
        told=f"the rollout in {namespace}",
    )


def troubles(cluster: Kubernetes, namespace: str) -> list[str]:
    """What containers of a namespace wait for, as `web-1: ErrImagePull`, without the usual."""
    usual = {"PodInitializing", "ContainerCreating"}
    found: list[str] = []
    for pod in cluster.list("v1", "Pod", namespace):
        status = pod.get("status") or {}
        states = [
            *(status.get("initContainerStatuses") or []),
            *(status.get("containerStatuses") or []),
        ]
        for state in states:
            waiting = (state.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") and waiting["reason"] not in usual:
                found.append(f"{pod['metadata']['name']}: {waiting['reason']}")
    return found


def wait_for_account(
    cluster: Kubernetes, namespace: str, *, report: Progress | None = None, timeout_s: float = 60.0
) -> None:
    """Wait until a new namespace has its default service account: pods are refused before.

    Raises:
        WaitTimeout: there is none.
    """

    def look() -> tuple[bool, str]:
        there = cluster.get("v1", "ServiceAccount", "default", namespace) is not None
        return there, "it is there" if there else "it is missing"

    wait_for(
        look,
        what=f"the service account default of {namespace} in {cluster.context}",
        timeout_s=timeout_s,
        fix=f"kubectl --context {cluster.context} -n {namespace} get serviceaccounts",
        report=report,
        key=cluster.context,
        told=f"the service account default of {namespace}",
    )


def remove_namespace(
    cluster: Kubernetes, name: str, *, report: Progress, timeout_s: float = 180.0
) -> None:
    """Delete a namespace with all that is in it and wait until it is gone.

    Raises:
        WaitTimeout: it still exists; its finalizers are named.
    """
    report.update(f"removing {name}", key=cluster.context)
    cluster.delete("v1", "Namespace", name)
    wait_gone(cluster, "v1", "Namespace", name, timeout_s=timeout_s)
    report.update(f"{name} is gone", key=cluster.context)


def wait_gone(
    cluster: Kubernetes,
    api_version: str,
    kind: str,
    name: str,
    namespace: str | None = None,
    *,
    timeout_s: float = 60.0,
) -> None:
    """Wait until an object does not exist any more.

    Raises:
        WaitTimeout: it still exists; its finalizers are named.
    """

    def look() -> tuple[bool, str]:
        item = cluster.get(api_version, kind, name, namespace)
        if item is None:
            return True, "gone"
        held = item["metadata"].get("finalizers") or (item.get("spec") or {}).get("finalizers")
        return False, f"still there, finalizers {held or 'none'}"

    wait_for(look, what=f"{kind} {name} to be gone from {cluster.context}", timeout_s=timeout_s)
