"""The stories that controllers tell about nodes and about pods that are refused."""

import asyncio
import re
from typing import Any

import pytest

from labkit.embedded.kube import path_of

NS = "shop"


def replica_set() -> dict[str, Any]:
    labels = {"app": "web"}
    spec = {"serviceAccountName": "nobody", "containers": [{"name": "web", "image": "app:1"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


async def test_refused_pods_are_one_event_that_counts(cluster, kubelet):
    """The refusal names no generated name, so that each try says the same."""
    await cluster.add_namespace(NS)
    await cluster.create(replica_set(), NS)

    async def failures() -> list[dict[str, Any]]:
        events = await cluster.items("v1", "events", NS)
        return [event for event in events if event["reason"] == "FailedCreate"]

    async def tried_again() -> bool:
        return any(event["count"] > 2 for event in await failures())

    await cluster.eventually(tried_again)
    (event,) = await failures()
    assert event["type"] == "Warning"
    assert event["message"] == (
        'Error creating: pods "web-" is forbidden: error looking up service account'
        ' shop/nobody: serviceaccount "nobody" not found'
    )


@pytest.fixture
def describe(apiserver, kubectl_command):
    """`kubectl describe …` of the real kubectl."""

    async def describe(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            str(kubectl_command),
            *("--kubeconfig", str(apiserver.kubeconfig), "-n", NS, "describe", *arguments),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        return output.decode()

    return describe


async def test_a_pod_that_fits_nowhere_says_why_and_then_where(cluster, kubelet, describe):
    await cluster.add_namespace(NS)
    spec = {"nodeSelector": {"disk": "ssd"}, "containers": [{"name": "a", "image": "app:1"}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "picky"}, "spec": spec}
    await cluster.create(body, NS)
    why = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."

    async def refused() -> bool:
        text = await describe("pod", "picky")
        return bool(re.search(r"Warning +FailedScheduling .* default-scheduler +", text)) and (
            why in text
        )

    await cluster.eventually(refused)
    path = path_of("v1", "nodes", None, "node-b")
    await cluster.kube.patch(path, {"metadata": {"labels": {"disk": "ssd"}}})

    async def bound() -> bool:
        return f"Successfully assigned {NS}/picky to node-b" in await describe("pod", "picky")

    await cluster.eventually(bound)


async def test_each_node_is_registered_with_an_event(cluster, kubelet, describe):
    async def told() -> bool:
        output = await describe("node", "node-b")
        text = "Node node-b event: Registered Node node-b in Controller"
        return "RegisteredNode" in output and text in output

    await cluster.eventually(told)
    events = await cluster.items("v1", "events", "default")
    registered = [e for e in events if e["reason"] == "RegisteredNode"]
    assert sorted(e["involvedObject"]["name"] for e in registered) == ["node-a", "node-b"]
