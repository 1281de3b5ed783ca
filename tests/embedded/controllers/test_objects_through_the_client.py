"""Everything that the controllers write can be read by the official, strict Python client."""

import asyncio
from typing import Any

from kubernetes import client, config

NS = "shop"

LISTS = {
    client.CoreV1Api: [
        "list_pod_for_all_namespaces",
        "list_service_for_all_namespaces",
        "list_endpoints_for_all_namespaces",
        "list_event_for_all_namespaces",
        "list_namespace",
        "list_secret_for_all_namespaces",
        "list_config_map_for_all_namespaces",
        "list_service_account_for_all_namespaces",
    ],
    client.AppsV1Api: [
        "list_deployment_for_all_namespaces",
        "list_replica_set_for_all_namespaces",
    ],
    client.BatchV1Api: ["list_job_for_all_namespaces"],
    client.DiscoveryV1Api: ["list_endpoint_slice_for_all_namespaces"],
}


def read_all(kubeconfig: str) -> dict[str, int]:
    """The number of objects of each list."""
    counts = {}
    with config.new_client_from_config(kubeconfig) as api_client:
        for api, methods in LISTS.items():
            for method in methods:
                found = getattr(api(api_client), method)(_request_timeout=20)
                counts[method] = len(found.items)
    return counts


async def test_the_strict_client_reads_every_object(cluster, kubelet, apiserver):
    await cluster.add_namespace(NS)
    labels = {"app": "web"}
    pod_spec = {"containers": [{"name": "web", "image": "app:1"}]}
    template: dict[str, Any] = {"metadata": {"labels": labels}, "spec": pod_spec}
    bodies = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "empty"},
            "spec": {"selector": {"app": "nobody"}, "ports": [{"port": 80}]},
        },
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "count"},
            "spec": {"template": {"spec": {**pod_spec, "restartPolicy": "Never"}}},
        },
    ]
    for body in bodies:
        await cluster.create(body, NS)

    async def settled() -> bool:
        events = {e["reason"] for e in await cluster.items("v1", "events", NS)}
        slices = await cluster.items("discovery.k8s.io/v1", "endpointslices", NS)
        ready = [s for s in slices if s.get("endpoints")]
        return "Completed" in events and len(slices) == 2 and len(ready) == 1

    await cluster.eventually(settled)
    counts = await asyncio.to_thread(read_all, str(apiserver.kubeconfig))
    assert all(counts[name] for name in counts if "secret" not in name), counts
