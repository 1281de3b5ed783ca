import asyncio
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest

from labkit.embedded.kube import path_of

TALKER = {"name": "talker", "image": "test/parts:v1", "command": ["talk"]}
ECHO = {
    "name": "echo",
    "image": "test/parts:v1",
    "command": ["listen"],
    "ports": [{"containerPort": 8080}],
}


def ready(pod):
    conditions = pod["status"].get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


@pytest.fixture
async def kubelet(node, kube, apiserver) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with the kubelet's token whose base is the kubelet API."""
    import json

    found = await kube.get(path_of("v1", "nodes", None, node.agent.name))
    address = json.loads(found["metadata"]["annotations"]["network.labkit.dev/sockets"])["10250"]
    context = ssl.create_default_context(cafile=apiserver.ca_file)
    async with aiohttp.ClientSession(
        f"https://{address}",
        headers={"Authorization": "Bearer kubelet-token-of-the-tests"},
        connector=aiohttp.TCPConnector(ssl=context, force_close=True),
    ) as session:
        yield session


async def text(session, path, status=200):
    async with session.get(path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.text()


async def test_another_token_is_refused(kubelet):
    async with kubelet.get("/healthz", headers={"Authorization": "Bearer guess"}) as answer:
        assert answer.status == 401
    assert await text(kubelet, "/healthz") == "ok"


async def test_logs_can_be_cut_stamped_and_limited(node, kubelet, programs):
    await node.create({"containers": [TALKER]})
    await node.wait(ready)
    for number in range(5):
        programs.say(f"line {number}")
    path = "/containerLogs/default/web/talker"
    assert await text(kubelet, path) == "".join(f"line {n}\n" for n in range(5))
    assert await text(kubelet, f"{path}?tailLines=2") == "line 3\nline 4\n"
    assert await text(kubelet, f"{path}?tailLines=0") == ""
    assert await text(kubelet, f"{path}?limitBytes=6") == "line 0"
    stamped = await text(kubelet, f"{path}?tailLines=1&timestamps=true")
    assert stamped.endswith("Z line 4\n")
    assert await text(kubelet, f"{path}?sinceSeconds=3600&tailLines=1") == "line 4\n"
    assert await text(kubelet, f"{path}?sinceTime=2999-01-01T00:00:00Z") == ""
    assert "tailLines" in await text(kubelet, f"{path}?tailLines=x", 400)


async def test_followed_logs_arrive_as_they_are_written(node, kubelet, programs):
    await node.create({"containers": [TALKER]})
    await node.wait(ready)
    programs.say("before")
    async with kubelet.get("/containerLogs/default/web/talker?follow=true") as answer:
        assert await answer.content.readline() == b"before\n"
        for number in range(3):
            programs.say(f"after {number}")
            line = await asyncio.wait_for(answer.content.readline(), 5)
            assert line == b"after %d\n" % number
        await node.kube.delete(path_of("v1", "pods", "default", "web"))
        rest = await asyncio.wait_for(answer.content.read(), 10)
        assert rest == b""


async def test_the_log_of_the_run_before_can_be_read(node, kubelet):
    fails = {"name": "app", "image": "test/parts:v1", "command": ["fail"]}
    await node.create({"containers": [fails]})
    await node.wait(lambda pod: restarts(pod) >= 1)
    path = "/containerLogs/default/web/app?previous=true"
    assert await text(kubelet, path) == "about to fail\n"


async def test_logs_of_what_is_not_there_are_explained(node, kubelet):
    await node.create({"containers": [TALKER]})
    await node.wait(ready)
    assert "not running" in await text(kubelet, "/containerLogs/default/none/x", 404)
    assert "not available" in await text(kubelet, "/containerLogs/default/web/x", 404)
    path = "/containerLogs/default/web/talker?previous=true"
    assert "previous terminated container" in await text(kubelet, path, 400)


async def test_port_forward_carries_bytes_both_ways(node, kubelet):
    await node.create({"containers": [ECHO]})
    await node.wait(ready)
    async with kubelet.ws_connect(
        "/portForward/default/web?ports=8080", protocols=["v4.channel.k8s.io"]
    ) as stream:
        assert stream.protocol == "v4.channel.k8s.io"
        assert await stream.receive_bytes() == b"\x00\x90\x1f"
        assert await stream.receive_bytes() == b"\x01\x90\x1f"
        await stream.send_bytes(b"\x00hello")
        assert await asyncio.wait_for(stream.receive_bytes(), 5) == b"\x00hello"


async def test_a_port_that_nobody_listens_on_is_an_error_on_its_channel(node, kubelet):
    await node.create({"containers": [ECHO]})
    await node.wait(ready)
    async with kubelet.ws_connect(
        "/portForward/default/web?ports=9", protocols=["v4.channel.k8s.io"]
    ) as stream:
        await stream.receive_bytes()
        await stream.receive_bytes()
        message = await asyncio.wait_for(stream.receive_bytes(), 5)
        assert message[:1] == b"\x01"
        assert b"connection refused" in message


def restarts(pod):
    return sum(s["restartCount"] for s in pod["status"].get("containerStatuses") or [])
