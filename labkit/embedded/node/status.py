"""The status of a pod as the kubelet writes it, computed from the state of its containers.

Pure: states in, status out.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from labkit.embedded.node import timestamps

Kind = Literal["init", "sidecar", "app"]
Object = dict[str, Any]

_OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


@dataclass
class ContainerState:
    """What is known of one container. Exactly one of waiting, running, terminated holds."""

    name: str
    image: str
    kind: Kind
    waiting: tuple[str, str] = ("PodInitializing", "")
    """Reason and message."""
    running_at: str = ""
    terminated: Object | None = None
    last: Object | None = None
    """How the run before ended."""
    restarts: int = 0
    started: bool = False
    ready: bool = False
    container_id: str = ""
    finished: bool = False
    """Ended for good: nothing will start it again."""

    def wait_for(self, reason: str, message: str = "") -> None:
        """It does not run because of this."""
        if self.terminated:
            self.last = self.terminated
        self.waiting, self.running_at, self.terminated = (reason, message), "", None
        self.started = self.ready = False

    def run(self, container_id: str) -> None:
        """It runs now."""
        if self.terminated:
            self.last = self.terminated
        self.running_at, self.terminated = timestamps.now(), None
        self.container_id = container_id
        self.started = self.ready = False

    def end(self, exit_code: int, *, reason: str = "", message: str = "") -> None:
        """It ended."""
        usual = "Completed" if exit_code == 0 else "Error"
        now = timestamps.now()
        self.terminated = {
            "exitCode": exit_code,
            "reason": reason or usual,
            "startedAt": self.running_at or now,
            "finishedAt": now,
            "containerID": self.container_id,
        }
        if message:
            self.terminated["message"] = message
        self.running_at = ""
        self.started = False
        self.ready = self.kind == "init" and exit_code == 0

    @property
    def succeeded(self) -> bool:
        """It ended with exit code 0."""
        return self.terminated is not None and self.terminated["exitCode"] == 0

    def state(self) -> Object:
        """The API's ContainerState."""
        if self.terminated:
            return {"terminated": self.terminated}
        if self.running_at:
            return {"running": {"startedAt": self.running_at}}
        reason, message = self.waiting
        return {"waiting": {"reason": reason, **({"message": message} if message else {})}}

    def status(self) -> Object:
        """The API's ContainerStatus."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": image_id(self.image) if self.container_id else "",
            "containerID": self.container_id,
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
            "state": self.state(),
            "lastState": {"terminated": self.last} if self.last else {},
        }


def image_id(image: str) -> str:
    """A stable digest in the place of a real one."""
    repository = image.partition("@")[0].rsplit(":", 1)[0]
    return f"{repository}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def phase_of(states: Sequence[ContainerState], spec: Mapping[str, Any]) -> str:
    """The pod's phase."""
    apps = [state for state in states if state.kind == "app"]
    inits = [state for state in states if state.kind == "init"]
    if any(state.finished and not state.succeeded for state in inits):
        return "Failed"
    if all(state.finished for state in apps):
        return "Succeeded" if all(state.succeeded for state in apps) else "Failed"
    if not all(state.succeeded for state in inits):
        return "Pending"
    never_ran = [state for state in apps if not state.container_id]
    return "Pending" if never_ran and spec.get("containers") else "Running"


def pod_status(
    pod: Object, states: Sequence[ContainerState], *, pod_ip: str, host_ip: str, start_time: str
) -> Object:
    """The whole status of a pod.

    Args:
        pod: the pod as last seen; conditions of others are kept.
        states: of every container, in the order of the spec.
        pod_ip: its virtual address, empty before it has one.
        host_ip: the node's address.
        start_time: when the node took it.
    """
    spec = pod["spec"]
    phase = phase_of(states, spec)
    apps = [state for state in states if state.kind == "app"]
    others = [state for state in states if state.kind != "app"]
    status: Object = {
        "phase": phase,
        "conditions": _conditions(pod, states, phase=phase, has_sandbox=bool(pod_ip)),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": start_time,
        "qosClass": (pod.get("status") or {}).get("qosClass") or qos_class(spec),
        "containerStatuses": [state.status() for state in apps],
    }
    if others:
        status["initContainerStatuses"] = [state.status() for state in others]
    if pod_ip:
        status.update(podIP=pod_ip, podIPs=[{"ip": pod_ip}])
    if generation := pod["metadata"].get("generation"):
        status["observedGeneration"] = generation
    return status


def _conditions(
    pod: Object, states: Sequence[ContainerState], *, phase: str, has_sandbox: bool
) -> list[Object]:
    known = {item["type"]: item for item in (pod.get("status") or {}).get("conditions") or []}
    done = phase in ("Succeeded", "Failed")
    unready = [s.name for s in states if s.kind in ("app", "sidecar") and not s.ready]
    incomplete = [
        s.name
        for s in states
        if (s.kind == "init" and not s.succeeded) or (s.kind == "sidecar" and not s.started)
    ]
    if done:
        ready = (False, "PodCompleted" if phase == "Succeeded" else "PodFailed", "")
        initialized = (True, "PodCompleted", "") if phase == "Succeeded" else (True, "", "")
    else:
        text = f"containers with unready status: [{' '.join(unready)}]"
        ready = (False, "ContainersNotReady", text) if unready else (True, "", "")
        text = f"containers with incomplete status: [{' '.join(incomplete)}]"
        begun = known.get("Initialized", {}).get("status") == "True"
        waiting = bool(incomplete) and not begun
        initialized = (False, "ContainersNotInitialized", text) if waiting else (True, "", "")
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
    missing = [gate for gate in gates if known.get(gate, {}).get("status") != "True"]
    pod_ready = (False, "ReadinessGatesNotReady", "") if ready[0] and missing else ready
    wanted = {
        "PodReadyToStartContainers": (has_sandbox and not done, "", ""),
        "Initialized": initialized,
        "Ready": pod_ready,
        "ContainersReady": ready,
    }
    conditions = [_condition(name, wanted[name], known.get(name)) for name in _OWN_CONDITIONS]
    foreign = [item for name, item in known.items() if name not in wanted]
    if "PodScheduled" not in known:
        foreign.append(_condition("PodScheduled", (True, "", ""), None))
    return conditions + foreign


def _condition(name: str, verdict: tuple[bool, str, str], before: Object | None) -> Object:
    holds, reason, message = verdict
    status = "True" if holds else "False"
    same = before is not None and before.get("status") == status
    condition: Object = {
        "type": name,
        "status": status,
        "lastTransitionTime": before["lastTransitionTime"] if same and before else timestamps.now(),
    }
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def qos_class(spec: Mapping[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort."""
    found = [
        (item.get("resources") or {})
        for item in [*(spec.get("initContainers") or []), *spec["containers"]]
    ]
    if not any(item.get("requests") or item.get("limits") for item in found):
        return "BestEffort"
    full = all(
        {"cpu", "memory"} <= set(item.get("limits") or {})
        and (item.get("requests") or item["limits"]) == item["limits"]
        for item in found
    )
    return "Guaranteed" if full else "Burstable"
