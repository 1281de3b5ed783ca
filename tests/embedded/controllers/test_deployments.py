"""Deployments, through ReplicaSets and the scheduler, to Ready pods."""

from typing import Any

from labkit.embedded.kube import path_of

NS = "shop"


def deployment(
    name: str, *, replicas: int = 2, image: str = "app:1", **spec: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "containers": [
                        {
                            "name": name,
                            "image": image,
                            "ports": [{"name": "http", "containerPort": 8080}],
                        }
                    ]
                },
            },
            **spec,
        },
    }


async def read(cluster: Any, name: str = "web") -> dict[str, Any]:
    return await cluster.kube.get(path_of("apps/v1", "deployments", NS, name))


async def finished(cluster: Any, *, replicas: int = 2, name: str = "web") -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        item = await read(cluster, name)
        status = item["status"]
        counts = [status.get(k, 0) for k in ("replicas", "updatedReplicas", "availableReplicas")]
        current = status.get("observedGeneration") == item["metadata"]["generation"]
        return item if current and counts == [replicas] * 3 else None

    return await cluster.eventually(look)


async def sets_of(cluster: Any) -> list[dict[str, Any]]:
    return await cluster.items("apps/v1", "replicasets", NS)


async def create(cluster: Any, **options: Any) -> None:
    await cluster.add_namespace(NS)
    await cluster.create(deployment("web", **options), NS)


async def patch(cluster: Any, spec: dict[str, Any]) -> None:
    path = path_of("apps/v1", "deployments", NS, "web")
    await cluster.kube.patch(path, {"spec": spec}, kind="strategic")


def image(name: str) -> dict[str, Any]:
    return {"template": {"spec": {"containers": [{"name": "web", "image": name}]}}}


async def test_a_deployment_becomes_available(cluster, kubelet):
    await create(cluster)
    item = await finished(cluster)
    assert item["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    status = item["status"]
    assert status["readyReplicas"] == 2
    assert "unavailableReplicas" not in status

    async def reasons() -> bool:
        now = (await read(cluster))["status"]["conditions"]
        found = {c["type"]: (c["status"], c["reason"]) for c in now}
        return found == {
            "Available": ("True", "MinimumReplicasAvailable"),
            "Progressing": ("True", "NewReplicaSetAvailable"),
        }

    await cluster.eventually(reasons)


async def test_pods_are_spread_over_the_nodes(cluster, kubelet):
    await create(cluster, replicas=4)
    await finished(cluster, replicas=4)
    pods = await cluster.pods(NS)
    nodes = sorted(pod["spec"]["nodeName"] for pod in pods)
    assert nodes == ["node-a", "node-a", "node-b", "node-b"]


async def test_a_new_template_is_rolled_out_and_the_old_set_kept_empty(cluster, kubelet):
    await create(cluster)
    await finished(cluster)
    await patch(cluster, image("app:2"))

    async def rolled() -> bool:
        sizes = {
            s["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: s["spec"]["replicas"]
            for s in await sets_of(cluster)
        }
        return sizes == {"1": 0, "2": 2}

    await cluster.eventually(rolled)
    item = await finished(cluster)
    assert item["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


async def test_a_rollout_that_never_gets_ready_keeps_the_old_pods(cluster, kubelet):
    await create(cluster)
    await finished(cluster)
    await patch(cluster, image(kubelet.broken))

    async def stuck() -> bool:
        status = (await read(cluster))["status"]
        return status.get("updatedReplicas") == 1 and status.get("unavailableReplicas") == 1

    await cluster.eventually(stuck)
    item = await read(cluster)
    assert item["status"]["availableReplicas"] == 2
    await patch(cluster, image("app:1"))
    item = await finished(cluster)
    assert item["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


async def test_recreate_ends_all_old_pods_before_the_first_new_one(cluster, kubelet):
    await create(cluster, strategy={"type": "Recreate"})
    await finished(cluster)
    await patch(cluster, image("app:2"))

    async def renewed() -> bool:
        pods = await cluster.pods(NS)
        images = {pod["spec"]["containers"][0]["image"] for pod in pods}
        assert len(images) <= 1, "old and new at the same time"
        return images == {"app:2"} and len(pods) == 2

    await cluster.eventually(renewed)


async def test_scaling_up_and_down(cluster, kubelet):
    await create(cluster, replicas=1)
    await finished(cluster, replicas=1)
    await patch(cluster, {"replicas": 5})
    await finished(cluster, replicas=5)
    await patch(cluster, {"replicas": 0})
    await finished(cluster, replicas=0)
    assert len(await sets_of(cluster)) == 1


async def test_history_is_limited(cluster, kubelet):
    await create(cluster, replicas=1, revisionHistoryLimit=1)
    await finished(cluster, replicas=1)
    for number in (2, 3, 4):
        await patch(cluster, image(f"app:{number}"))
        await finished(cluster, replicas=1)

    async def forgotten() -> bool:
        revisions = {
            s["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            for s in await sets_of(cluster)
        }
        return revisions == {"3", "4"}

    await cluster.eventually(forgotten)


async def test_a_paused_deployment_does_not_roll(cluster, kubelet):
    await create(cluster, replicas=1)
    await finished(cluster, replicas=1)
    await patch(cluster, {"paused": True, **image("app:2")})

    async def paused() -> bool:
        conditions = (await read(cluster))["status"]["conditions"]
        return any(c["reason"] == "DeploymentPaused" for c in conditions)

    await cluster.eventually(paused)
    assert len(await sets_of(cluster)) == 1
    await patch(cluster, {"paused": False})

    async def rolled() -> bool:
        return len(await sets_of(cluster)) == 2

    await cluster.eventually(rolled)
    await finished(cluster, replicas=1)


async def test_a_deleted_pod_comes_back(cluster, kubelet):
    await create(cluster, replicas=1)
    await finished(cluster, replicas=1)
    [pod] = await cluster.pods(NS)
    await cluster.kube.delete(path_of("v1", "pods", NS, pod["metadata"]["name"]))

    async def replaced() -> bool:
        pods = await cluster.pods(NS)
        return len(pods) == 1 and pods[0]["metadata"]["uid"] != pod["metadata"]["uid"]

    await cluster.eventually(replaced)
    await finished(cluster, replicas=1)


async def test_the_story_is_told_by_events(cluster, kubelet):
    await create(cluster)
    await finished(cluster)

    async def told() -> bool:
        events = await cluster.items("v1", "events", NS)
        reasons = [event["reason"] for event in events]
        return sorted(reasons) == [
            "ScalingReplicaSet",
            "Scheduled",
            "Scheduled",
            "SuccessfulCreate",
            "SuccessfulCreate",
        ]

    await cluster.eventually(told)


async def test_deleting_a_deployment_takes_its_sets_and_pods_along(cluster, kubelet):
    await create(cluster)
    await finished(cluster)
    await cluster.kube.delete(path_of("apps/v1", "deployments", NS, "web"))

    async def gone() -> bool:
        pods = await cluster.pods(NS)
        return not pods and not await sets_of(cluster)

    await cluster.eventually(gone)
