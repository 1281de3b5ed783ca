"""How a Job goes on or ends: when the next pod may come, and what its conditions say.

Functions of a Job and its pods; nothing here reads or writes the API.
"""

from collections.abc import Sequence

from labkit.embedded.controllers import objects
from labkit.embedded.kube import Object

DEFAULT_BACKOFF_LIMIT = 6
FIRST_DELAY_S = 10.0
LAST_DELAY_S = 600.0
"""Between the end of a pod that failed and the start of the next: 10 s, 20 s, 40 s … 10 min."""


def wait_s(pods: Sequence[Object]) -> float:
    """Seconds until another pod may be created; 0 when none of the last ones failed."""
    ended = [pod for pod in pods if _phase(pod) in ("Succeeded", "Failed")]
    failures, last = 0, ""
    for pod in sorted(ended, key=_ended_at, reverse=True):
        if _phase(pod) == "Succeeded":
            break
        failures, last = failures + 1, last or _ended_at(pod)
    if not failures:
        return 0.0
    delay_s = min(FIRST_DELAY_S * 2.0 ** min(failures - 1, 10), LAST_DELAY_S)
    return max(0.0, delay_s - objects.seconds_since(last))


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", ""))


def _ended_at(pod: Object) -> str:
    """When a pod ended: by its containers, by its condition, or since it exists."""
    states = [c.get("state", {}) for c in pod.get("status", {}).get("containerStatuses") or ()]
    times = [(state.get("terminated") or {}).get("finishedAt") or "" for state in states]
    if times and all(times):
        return max(times)
    ready = objects.condition_of(pod, "Ready")
    found = ready.get("lastTransitionTime") if ready.get("status") == "False" else ""
    return str(found or pod["metadata"].get("creationTimestamp", ""))


def failure(job: Object, pods: Sequence[Object], active: Sequence[Object]) -> tuple[str, str]:
    """Reason and message of a Job that has failed; empty while it goes on."""
    spec = job["spec"]
    limit = spec.get("backoffLimit", DEFAULT_BACKOFF_LIMIT)
    failed = sum(_phase(pod) == "Failed" for pod in pods)
    if failed > limit or _restarted_too_often(spec, active, limit):
        return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    left_s = deadline_s(job)
    if left_s is not None and left_s <= 0:
        return "DeadlineExceeded", "Job was active longer than specified deadline"
    return "", ""


def _restarted_too_often(spec: Object, active: Sequence[Object], limit: int) -> bool:
    """Whether containers that are restarted in their pods have used up the limit."""
    if spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(
        container.get("restartCount", 0)
        for pod in active
        for part in ("initContainerStatuses", "containerStatuses")
        for container in pod.get("status", {}).get(part) or ()
    )
    return bool(restarts >= max(limit, 1))


def deadline_s(job: Object) -> float | None:
    """Seconds until a Job has been active for too long; None when it may take any time."""
    limit, start = job["spec"].get("activeDeadlineSeconds"), job.get("status", {}).get("startTime")
    if limit is None or not start or job["spec"].get("suspend"):
        return None
    return float(limit) - objects.seconds_since(start)


def ending(kinds: tuple[str, str], reason: str, message: str) -> list[Object]:
    """The two conditions of a Job that has ended: what was decided, and that it is over."""
    moment = objects.now()
    return [
        {
            "type": kind,
            "status": "True",
            "lastProbeTime": moment,
            "lastTransitionTime": moment,
            "reason": reason,
            "message": message,
        }
        for kind in kinds
    ]
