"""Real kubectl drives rollouts: status, restart, undo, history, scale, pause, describe."""

import asyncio
from typing import Any

import pytest

NS = "shop"


@pytest.fixture
def kubectl(cluster, kubelet, apiserver, kubectl_command):
    async def run(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            str(kubectl_command),
            *("--kubeconfig", str(apiserver.kubeconfig), "-n", NS),
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    return run


async def rolled_out(kubectl: Any) -> None:
    text = await kubectl("rollout", "status", "deploy/web", "--timeout=30s")
    assert 'deployment "web" successfully rolled out' in text


async def test_a_learners_rollouts(cluster, kubectl):
    await cluster.add_namespace(NS)
    await kubectl("create", "deployment", "web", "--image=app:1", "--replicas=2")
    await rolled_out(kubectl)

    await kubectl("set", "env", "deployment/web", "X=1")
    await rolled_out(kubectl)
    await kubectl("rollout", "restart", "deploy/web")
    await rolled_out(kubectl)
    history = (await kubectl("rollout", "history", "deploy/web")).split()
    assert [word for word in history if word.isdigit()] == ["1", "2", "3"]

    assert "rolled back" in await kubectl("rollout", "undo", "deploy/web", "--to-revision=1")
    await rolled_out(kubectl)
    env = await kubectl("set", "env", "deploy/web", "--list")
    assert "X=1" not in env

    await kubectl("scale", "deploy/web", "--replicas=4")
    await rolled_out(kubectl)
    assert (await kubectl("get", "deploy", "web", "--no-headers")).split()[:4] == [
        *("web", "4/4", "4", "4"),
    ]


async def test_describe_tells_the_story(cluster, kubectl):
    await cluster.add_namespace(NS)
    await kubectl("create", "deployment", "web", "--image=app:1")
    await rolled_out(kubectl)

    async def told() -> bool:
        text = await kubectl("describe", "deploy", "web")
        words = ("ScalingReplicaSet", "from 0 to 1", "NewReplicaSetAvailable", "(1/1 replicas")
        return all(word in text for word in words)

    await cluster.eventually(told)

    async def pod_told() -> bool:
        text = await kubectl("describe", "pod", "-l", "app=web")
        return "Successfully assigned shop/web-" in text and "default-scheduler" in text

    await cluster.eventually(pod_told)


async def test_a_paused_deployment_resumes(cluster, kubectl):
    await cluster.add_namespace(NS)
    await kubectl("create", "deployment", "web", "--image=app:1")
    await rolled_out(kubectl)
    await kubectl("rollout", "pause", "deploy/web")
    await kubectl("set", "image", "deploy/web", "app=app:2")
    await kubectl("rollout", "resume", "deploy/web")
    await rolled_out(kubectl)
    images = {pod["spec"]["containers"][0]["image"] for pod in await cluster.pods(NS)}
    assert "app:2" in images
