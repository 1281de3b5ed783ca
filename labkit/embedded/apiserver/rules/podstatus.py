"""What kubectl prints about a pod: READY, STATUS and RESTARTS, from its container statuses."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.embedded.apiserver.rules.ages import human_duration, parse_time

State = Mapping[str, Any]


@dataclass
class _Restarts:
    count: int = 0
    last: dt.datetime | None = None

    def add(self, status: State) -> None:
        self.count += status.get("restartCount") or 0
        ended = ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
        time = parse_time(ended)
        if time is not None and (self.last is None or time > self.last):
            self.last = time

    def text(self, now: dt.datetime) -> str:
        if not self.count or self.last is None:
            return str(self.count)
        return f"{self.count} ({human_duration((now - self.last).total_seconds())} ago)"


@dataclass
class PodSummary:
    """The three columns, ready to print."""

    ready: str
    status: str
    restarts: str


@dataclass
class _Summary:
    reason: str
    ready: int = 0
    initializing: bool = False
    restarts: _Restarts = field(default_factory=_Restarts)


def _condition(status: State, kind: str) -> bool:
    return any(
        c.get("type") == kind and c.get("status") == "True" for c in status.get("conditions") or ()
    )


def _ended(state: State, prefix: str) -> str:
    terminated = state["terminated"]
    if terminated.get("reason"):
        return f"{prefix}{terminated['reason']}"
    if terminated.get("signal"):
        return f"{prefix}Signal:{terminated['signal']}"
    return f"{prefix}ExitCode:{terminated.get('exitCode', 0)}"


def _init_containers(
    summary: _Summary, statuses: Iterable[State], sidecars: set[str], total: int
) -> _Restarts:
    sidecar_restarts = _Restarts()
    for index, status in enumerate(statuses):
        summary.restarts.add(status)
        state = status.get("state") or {}
        sidecar = status.get("name") in sidecars
        if sidecar:
            sidecar_restarts.add(status)
        waiting = (state.get("waiting") or {}).get("reason", "")
        if state.get("terminated") is not None and not state["terminated"].get("exitCode"):
            continue
        if sidecar and status.get("started"):
            summary.ready += bool(status.get("ready"))
            continue
        if state.get("terminated") is not None:
            summary.reason = _ended(state, "Init:")
        elif waiting and waiting != "PodInitializing":
            summary.reason = f"Init:{waiting}"
        else:
            summary.reason = f"Init:{index}/{total}"
        summary.initializing = True
        break
    return sidecar_restarts


def _containers(summary: _Summary, pod_status: State) -> None:
    running = False
    for status in reversed(pod_status.get("containerStatuses") or ()):
        summary.restarts.add(status)
        state = status.get("state") or {}
        if (state.get("waiting") or {}).get("reason"):
            summary.reason = state["waiting"]["reason"]
        elif state.get("terminated") is not None:
            summary.reason = _ended(state, "")
        elif status.get("ready") and state.get("running") is not None:
            running = True
            summary.ready += 1
    if summary.reason == "Completed" and running:
        summary.reason = "Running" if _condition(pod_status, "Ready") else "NotReady"


def summarise(pod: Mapping[str, Any], now: dt.datetime) -> PodSummary:
    """Returns what `kubectl get pods` shows of a pod."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    inits = spec.get("initContainers") or ()
    sidecars = {c["name"] for c in inits if c.get("restartPolicy") == "Always"}
    total = len(spec.get("containers") or ()) + len(sidecars)
    summary = _Summary(status.get("reason") or status.get("phase") or "Pending")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            summary.reason = "SchedulingGated"
    kept = _init_containers(
        summary, status.get("initContainerStatuses") or (), sidecars, len(inits)
    )
    if not summary.initializing or _condition(status, "Initialized"):
        summary.restarts = kept
        _containers(summary, status)
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            summary.reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            summary.reason = "Terminating"
    return PodSummary(f"{summary.ready}/{total}", summary.reason, summary.restarts.text(now))
