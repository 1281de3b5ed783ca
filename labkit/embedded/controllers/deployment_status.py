"""The status of a Deployment: counts and conditions, with Kubernetes' reasons and messages. Pure.

`kubectl rollout status` and every waiting program read these words.
"""

from collections.abc import Sequence

from labkit.embedded.controllers import objects, rollout
from labkit.embedded.kube import Object


def counts(deployment: Object, new: Object | None, sets: Sequence[Object]) -> Object:
    """The numbers of the status; zeros are left out, as the real API server leaves them out."""
    replicas = rollout.status_total(sets, "replicas")
    available = rollout.status_total(sets, "availableReplicas")
    numbers = {
        "replicas": replicas,
        "updatedReplicas": rollout.status_total([new], "replicas") if new else 0,
        "readyReplicas": rollout.status_total(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(replicas - available, 0),
    }
    status: Object = {"observedGeneration": deployment["metadata"].get("generation", 0)}
    status |= {name: count for name, count in numbers.items() if count}
    status["terminatingReplicas"] = rollout.status_total(sets, "terminatingReplicas")
    collisions = deployment.get("status", {}).get("collisionCount")
    if collisions:
        status["collisionCount"] = collisions
    return status


def condition(kind: str, status: str, reason: str, message: str) -> Object:
    """A fresh condition."""
    moment = objects.now()
    return {
        "type": kind,
        "status": status,
        "lastUpdateTime": moment,
        "lastTransitionTime": moment,
        "reason": reason,
        "message": message,
    }


def with_condition(conditions: Sequence[Object], fresh: Object) -> list[Object]:
    """Conditions with one replaced; unchanged when status and reason are the same."""
    known = next((c for c in conditions if c["type"] == fresh["type"]), None)
    same = known is not None and known["status"] == fresh["status"]
    if known is not None and same and known["reason"] == fresh["reason"]:
        return list(conditions)
    if known is not None and same:
        fresh = {**fresh, "lastTransitionTime": known["lastTransitionTime"]}
    return [*(c for c in conditions if c["type"] != fresh["type"]), fresh]


def availability(deployment: Object, status: Object) -> Object:
    """The Available condition."""
    _, unavailable = rollout.limits(deployment)
    minimum = rollout.replicas_of(deployment) - unavailable
    if status.get("availableReplicas", 0) >= minimum:
        text = "Deployment has minimum availability."
        return condition("Available", "True", "MinimumReplicasAvailable", text)
    text = "Deployment does not have minimum availability."
    return condition("Available", "False", "MinimumReplicasUnavailable", text)


def is_complete(deployment: Object, status: Object) -> bool:
    """Whether all wanted replicas are updated and available, and no others are there."""
    wanted = rollout.replicas_of(deployment)
    names = ("updatedReplicas", "replicas", "availableReplicas")
    return all(status.get(name, 0) == wanted for name in names)


def _has_progressed(before: Object, status: Object) -> bool:
    def old(item: Object) -> int:
        return int(item.get("replicas", 0)) - int(item.get("updatedReplicas", 0))

    return old(status) < old(before) or any(
        status.get(name, 0) > before.get(name, 0)
        for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )


def _set_name(deployment: Object, new: Object | None) -> str:
    if new is None:
        return f'Deployment "{deployment["metadata"]["name"]}"'
    return f'ReplicaSet "{new["metadata"]["name"]}"'


def with_progress(
    deployment: Object, status: Object, conditions: Sequence[Object], new: Object | None
) -> list[Object]:
    """Conditions with Progressing brought up to date."""
    if deployment["spec"].get("progressDeadlineSeconds") is None:
        return [c for c in conditions if c["type"] != "Progressing"]
    known = next((c for c in conditions if c["type"] == "Progressing"), None)
    before = deployment.get("status", {})
    name = _set_name(deployment, new)
    # A rollout that is over stays over: scaling afterwards is no progress.
    settled = (
        before.get("replicas", 0) == before.get("updatedReplicas", 0)
        and known is not None
        and known["reason"] == "NewReplicaSetAvailable"
    )
    if settled:
        return list(conditions)
    if is_complete(deployment, status):
        text = f"{name} has successfully progressed."
        fresh = condition("Progressing", "True", "NewReplicaSetAvailable", text)
        return with_condition(conditions, fresh)
    if _has_progressed(before, status):
        fresh = condition("Progressing", "True", "ReplicaSetUpdated", f"{name} is progressing.")
        others = [c for c in conditions if c["type"] != "Progressing"]
        if known is not None and known["status"] == "True":
            fresh["lastTransitionTime"] = known["lastTransitionTime"]
        return [*others, fresh]
    if known is not None and deadline_left_s(deployment, known) <= 0:
        text = f"{name} has timed out progressing."
        return with_condition(
            conditions, condition("Progressing", "False", "ProgressDeadlineExceeded", text)
        )
    return list(conditions)


def deadline_left_s(deployment: Object, progressing: Object) -> float:
    """Seconds until a rollout without progress counts as failed."""
    deadline = float(deployment["spec"].get("progressDeadlineSeconds") or 0)
    return deadline - objects.seconds_since(progressing.get("lastUpdateTime"))


def with_failure(conditions: Sequence[Object], sets: Sequence[Object]) -> list[Object]:
    """Conditions with the ReplicaFailure of a set taken over."""
    others = [c for c in conditions if c["type"] != "ReplicaFailure"]
    for item in sets:
        known = objects.condition_of(item, "ReplicaFailure")
        if known:
            failure = {**known, "lastUpdateTime": known["lastTransitionTime"]}
            mine = next((c for c in conditions if c["type"] == "ReplicaFailure"), None)
            return [*others, mine if mine and mine["message"] == known["message"] else failure]
    return others
