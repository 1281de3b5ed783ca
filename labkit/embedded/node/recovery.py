"""The state with which a pod's containers begin: new, or taken up after the daemon was killed.

Nothing of an earlier run is adopted. What the API server still says about it becomes
``lastState`` and one restart more, as after the reboot of a real node.
"""

from collections.abc import Mapping
from typing import Any

from labkit.embedded.node import timestamps
from labkit.embedded.node.status import ContainerState, Kind

Object = dict[str, Any]


def containers_by_kind(spec: Mapping[str, Any]) -> list[tuple[Object, Kind]]:
    """Every container of a spec with its kind, init containers first."""
    inits: list[tuple[Object, Kind]] = [
        (item, "sidecar" if item.get("restartPolicy") == "Always" else "init")
        for item in spec.get("initContainers") or []
    ]
    return inits + [(item, "app") for item in spec["containers"]]


def first_state(pod: Object, spec: Mapping[str, Any], kind: Kind) -> ContainerState:
    """The state a container begins with: after a crash of the daemon, one restart more."""
    inits = pod["spec"].get("initContainers")
    state = ContainerState(name=spec["name"], image=spec["image"], kind=kind)
    state.wait_for("PodInitializing" if inits else "ContainerCreating")
    old = pod.get("status") or {}
    before = next(
        (
            item
            for field in ("containerStatuses", "initContainerStatuses")
            for item in old.get(field) or []
            if item["name"] == spec["name"]
        ),
        None,
    )
    if not before:
        return state
    state.restarts = int(before.get("restartCount") or 0)
    if old.get("phase") in ("Succeeded", "Failed"):
        return state  # it only keeps its logs
    then = before.get("state") or {}
    if "running" in then or "terminated" in then:  # otherwise its restart had not happened yet
        state.restarts += 1
    state.last = then.get("terminated") or (before.get("lastState") or {}).get("terminated")
    if "running" in then:
        state.last = {
            "exitCode": 137,
            "reason": "Error",
            "message": "the node was stopped",
            "startedAt": then["running"].get("startedAt"),
            "finishedAt": timestamps.now(),
            "containerID": before.get("containerID", ""),
        }
    return state
