"""Which pods go to which nodes, and why not; Jobs on top."""

from typing import Any

import pytest

from labkit.embedded.controllers.scheduler import why_not
from labkit.embedded.kube import path_of

NS = "shop"


def pod(name: str = "one", **spec: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "a", "image": "app:1"}], **spec}
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {}}


def node(*, ready: str = "True", labels: dict[str, str] | None = None, **spec: Any) -> Any:
    status = {"conditions": [{"type": "Ready", "status": ready}], "allocatable": {"pods": "2"}}
    return {"metadata": {"name": "n", "labels": labels or {}}, "spec": spec, "status": status}


TAINT = {"key": "dedicated", "value": "lab", "effect": "NoSchedule"}
IN_ZONE = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
            ]
        }
    }
}


@pytest.mark.parametrize(
    ("candidate", "offer", "reason"),
    [
        (pod(), node(), ""),
        (pod(), node(ready="False"), "node(s) were not ready"),
        (pod(), node(unschedulable=True), "node(s) were unschedulable"),
        (pod(), node(taints=[TAINT]), "node(s) had untolerated taint {dedicated: lab}"),
        (pod(tolerations=[TAINT]), node(taints=[TAINT]), ""),
        (pod(tolerations=[{"operator": "Exists"}]), node(taints=[TAINT]), ""),
        (
            pod(nodeSelector={"zone": "a"}),
            node(labels={"zone": "b"}),
            "node(s) didn't match Pod's node affinity/selector",
        ),
        (pod(affinity=IN_ZONE), node(labels={"zone": "a"}), ""),
        (pod(affinity=IN_ZONE), node(), "node(s) didn't match Pod's node affinity/selector"),
    ],
)
def test_a_node_is_fit_or_the_reason_is_told(candidate, offer, reason):
    assert why_not(candidate, offer, used=1) == reason


def test_a_full_node_takes_no_more():
    assert why_not(pod(), node(), used=2) == "Too many pods"


async def test_a_pod_without_nodes_waits_and_says_so_until_one_comes(cluster):
    await cluster.add_namespace(NS)
    await cluster.create(pod(), NS)
    path = path_of("v1", "pods", NS, "one")

    async def told() -> bool:
        conditions = (await cluster.kube.get(path))["status"].get("conditions") or []
        found = [(c["status"], c.get("reason"), c.get("message")) for c in conditions]
        return found == [("False", "Unschedulable", "no nodes available to schedule pods")]

    await cluster.eventually(told)

    async def event() -> bool:
        events = await cluster.items("v1", "events", NS)
        return [e["reason"] for e in events] == ["FailedScheduling"]

    await cluster.eventually(event)
    await cluster.add_node("late")

    async def bound() -> bool:
        return (await cluster.kube.get(path))["spec"].get("nodeName") == "late"

    await cluster.eventually(bound)


async def test_pods_of_other_schedulers_are_left_alone(cluster, kubelet):
    await cluster.add_namespace(NS)
    await cluster.create(pod("foreign", schedulerName="none"), NS)
    await cluster.create(pod("mine"), NS)

    async def bound() -> bool:
        pods = {p["metadata"]["name"]: p["spec"].get("nodeName") for p in await cluster.pods(NS)}
        return bool(pods["mine"]) and not pods["foreign"]

    await cluster.eventually(bound)


async def test_a_job_runs_until_its_completions(cluster, kubelet):
    await cluster.add_namespace(NS)
    template = {"spec": {"containers": [{"name": "a", "image": "app:1"}], "restartPolicy": "Never"}}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "count"},
        "spec": {"completions": 2, "template": template},
    }
    await cluster.create(job, NS)

    async def complete() -> bool:
        status = (await cluster.kube.get(path_of("batch/v1", "jobs", NS, "count")))["status"]
        done = [c["type"] for c in status.get("conditions") or [] if c["status"] == "True"]
        return status.get("succeeded") == 2 and "Complete" in done

    await cluster.eventually(complete)
