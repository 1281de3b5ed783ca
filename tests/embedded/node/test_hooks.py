"""postStart and preStop hooks, and grpc probes."""

import asyncio

import grpc
import pytest

from labkit.embedded.kube import path_of

APP = {"name": "app", "image": "test/parts:v1", "command": ["sleeper"]}


def running(pod):
    states = pod["status"].get("containerStatuses") or [{}]
    return "running" in (states[0].get("state") or {})


def shell(script):
    return {"exec": {"command": ["sh", "-c", script]}}


async def events(node, reason):
    """The messages of all events with a reason, as soon as there is one."""
    async with asyncio.timeout(20):
        while True:
            found = (await node.kube.list(path_of("v1", "events", "default")))["items"]
            if messages := [item["message"] for item in found if item["reason"] == reason]:
                return messages
            await asyncio.sleep(0.02)


async def test_a_container_is_ready_after_its_post_start_hook(node, tmp_path):
    mark = tmp_path / "mark"
    hook = shell(f"while ! test -e {mark}; do sleep 0.02; done")
    await node.create({"containers": [{**APP, "lifecycle": {"postStart": hook}}]})
    pod = await node.wait(running)
    assert not pod["status"]["containerStatuses"][0]["ready"]
    mark.touch()
    await node.wait(lambda pod: pod["status"]["containerStatuses"][0]["ready"])


async def test_a_failed_post_start_hook_ends_the_container(node):
    await node.create(
        {
            "restartPolicy": "Never",
            "containers": [{**APP, "lifecycle": {"postStart": shell("exit 1")}}],
        }
    )
    await node.wait(lambda pod: pod["status"].get("phase") in ("Failed", "Succeeded"))
    assert await events(node, "FailedPostStartHook") == ["PostStartHook failed"]
    assert await events(node, "Killing") == ["FailedPostStartHook"]


async def test_a_pre_stop_hook_runs_before_the_end_and_within_the_grace(node, tmp_path, programs):
    marks = tmp_path / "order"
    await node.create(
        {"containers": [{**APP, "lifecycle": {"preStop": shell(f"echo x > {marks}")}}]}
    )
    await node.wait(running)
    await node.kube.delete(path_of("v1", "pods", "default", "web"))
    await node.wait_gone()
    assert marks.read_text() == "x\n"


async def test_a_pre_stop_hook_that_hangs_is_given_up(node):
    spec = {"containers": [{**APP, "lifecycle": {"preStop": shell("sleep 600")}}]}
    await node.create({**spec, "terminationGracePeriodSeconds": 1})
    await node.wait(running)
    await node.kube.delete(path_of("v1", "pods", "default", "web"))
    await node.wait_gone()
    assert await events(node, "FailedPreStopHook") == ["PreStopHook failed"]


class Health:
    """A grpc server with the standard health service."""

    def __init__(self) -> None:
        self.answers = {b"": b"\x08\x01"}

    async def start(self) -> str:
        async def check(request, context):
            if request not in self.answers:
                await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
            return self.answers[request]

        method = grpc.unary_unary_rpc_method_handler(check)
        handler = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method})
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((handler,))
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return f"127.0.0.1:{port}"

    async def stop(self) -> None:
        await self._server.stop(0)


@pytest.fixture
async def health():
    server = Health()
    server.address = await server.start()
    yield server
    await server.stop()


async def test_grpc_probes_ask_the_health_service(health):
    from labkit.embedded.node.probes import try_probe

    async def probe(**declared):
        spec = {"grpc": {"port": 50051, **declared}, "timeoutSeconds": 20}
        return await try_probe(spec, lambda _: health.address, pod_ip="10.244.0.9")

    assert (await probe()).ok
    health.answers[b""] = b"\x08\x02"
    result = await probe()
    assert (result.ok, result.message) == (
        False,
        'service unhealthy (responded with "NOT_SERVING")',
    )
    assert "NOT_FOUND" in (await probe(service="other")).message
    health.answers[b"\x0a\x05other"] = b"\x08\x01"
    assert (await probe(service="other")).ok


async def test_a_grpc_probe_of_a_closed_port_is_refused():
    from labkit.embedded.node.probes import try_probe

    result = await try_probe(
        {"grpc": {"port": 50051}, "timeoutSeconds": 20},
        lambda _: "127.0.0.1:9",
        pod_ip="10.244.0.9",
    )
    assert result.ok is False
    assert "connection refused" in result.message
