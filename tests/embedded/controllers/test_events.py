"""The stories that controllers tell about nodes and about pods that are refused."""

import asyncio
from typing import Any

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


async def test_each_node_is_registered_with_an_event(cluster, kubelet, apiserver, kubectl_command):
    async def told() -> bool:
        process = await asyncio.create_subprocess_exec(
            str(kubectl_command),
            *("--kubeconfig", str(apiserver.kubeconfig), "describe", "node", "node-b"),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        text = "Node node-b event: Registered Node node-b in Controller"
        return "RegisteredNode" in output.decode() and text in output.decode()

    await cluster.eventually(told)
    events = await cluster.items("v1", "events", "default")
    registered = [e for e in events if e["reason"] == "RegisteredNode"]
    assert sorted(e["involvedObject"]["name"] for e in registered) == ["node-a", "node-b"]
