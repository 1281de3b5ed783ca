"""Rotation under load, dead Envoys, taken ports, a destination that comes late."""

import asyncio
import os
import signal
from datetime import timedelta

import aiohttp
import pytest

from labkit.embedded.envoy.process import arguments
from labkit.embedded.mesh import proxy


@pytest.mark.slow
async def test_rotating_certificates_under_load_fails_no_request(two_clusters, mesh) -> None:
    lab = await two_clusters(run=False)
    for cluster in (lab.west, lab.east):
        cluster.lifetime = timedelta(seconds=3)
    pods = [(lab.west, lab.bot), (lab.east, lab.gateway), (lab.east, lab.web)]
    await asyncio.gather(*(cluster.run(pod) for cluster, pod in pods))
    statuses: list[int] = []
    loop = asyncio.get_running_loop()
    end = loop.time() + 7

    async def client(http: aiohttp.ClientSession) -> None:
        url, via = "http://web-svc-east.emojivoto/", f"http://{lab.bot.egress}"
        while loop.time() < end:
            async with http.get(url, proxy=via) as response:
                statuses.append(response.status)

    async with aiohttp.ClientSession() as http:
        await asyncio.gather(*(client(http) for _ in range(4)))
    assert len(statuses) > 50
    assert set(statuses) == {200}
    for _, pod in pods:
        assert sum("Certified" in line for line in pod.node.lines) >= 3


async def test_a_certificate_is_renewed_after_seventy_percent_of_its_life(
    make_cluster, mesh
) -> None:
    west = await make_cluster("west")
    west.lifetime = timedelta(seconds=3)
    bot = west.add_pod("vote-bot")
    await west.publish()
    await west.run(bot)

    async def renewed() -> bool:
        return sum("Certified" in line for line in bot.node.lines) >= 2

    await mesh.until(renewed)
    async with mesh.admin_of(bot) as admin:
        served = await admin.text("/certs") or ""
    assert "expiration_time" in served


async def test_a_killed_envoy_ends_the_container_and_a_restart_serves_again(
    two_clusters, mesh
) -> None:
    lab = await two_clusters()
    os.kill(lab.bot.node.processes[-1].pid, signal.SIGKILL)
    assert lab.bot.task is not None
    code = await asyncio.wait_for(lab.bot.task, 20)
    assert code == 128 + signal.SIGKILL
    await lab.west.run(lab.bot)
    status, _, _ = await mesh.fetch(lab.bot, "http://web-svc-east.emojivoto/")
    assert status == 200


async def test_a_killed_gateway_is_felt_and_forgotten(two_clusters, mesh) -> None:
    lab = await two_clusters()
    url = "http://web-svc-east.emojivoto/"
    assert (await mesh.fetch(lab.bot, url))[0] == 200
    os.kill(lab.gateway.node.processes[-1].pid, signal.SIGKILL)
    await asyncio.wait_for(lab.gateway.task, 20)
    assert (await mesh.fetch(lab.bot, url))[0] == 502
    await lab.east.run(lab.gateway)

    async def back() -> bool:
        return (await mesh.fetch(lab.bot, url))[0] == 200

    await mesh.until(back)


async def test_a_taken_port_keeps_the_proxy_unready_then_ends_it_with_the_reason(
    make_cluster, mesh, monkeypatch
) -> None:
    monkeypatch.setattr(proxy, "BIND_GRACE_S", 0.5)
    west = await make_cluster("west")
    bot = west.add_pod("vote-bot")
    host, port = bot.egress.split(":")
    squatter = await asyncio.start_server(lambda _r, _w: None, host, int(port))
    await west.publish()
    await west.run(bot, wait=False)
    assert bot.task is not None
    assert await asyncio.wait_for(bot.task, 20) == 98
    assert any(bot.egress in line and "port taken" in line for line in bot.node.lines)
    squatter.close()


async def test_a_proxy_waits_for_identity_and_destination(make_cluster, mesh) -> None:
    west = await make_cluster("west")
    bot = west.add_pod("vote-bot")
    await west.xds.stop()
    await west.run(bot, wait=False)
    await asyncio.sleep(0.1)
    assert not await mesh.is_ready(bot)
    await west.xds.start()
    await west.publish()
    await mesh.until(lambda: mesh.is_ready(bot))


async def test_a_proxy_leaves_nothing_behind(make_cluster, mesh) -> None:
    west = await make_cluster("west")
    bot = west.add_pod("vote-bot")
    await west.publish()
    await west.run(bot)
    assert bot.task is not None
    bot.task.cancel()
    await asyncio.gather(bot.task, return_exceptions=True)
    assert bot.node.processes[-1].returncode == 0
    left = {path.name for path in west.run_dir.iterdir() if path.is_socket() or path.is_fifo()}
    assert left == {"destination.sock", "identity.sock"}


async def test_shutdown_ends_the_proxy_with_success(make_cluster, mesh) -> None:
    west = await make_cluster("west")
    bot = west.add_pod("vote-bot")
    await west.publish()
    await west.run(bot)
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"http://{bot.sockets[4191]}/shutdown") as response,
    ):
        assert response.status == 200
    assert bot.task is not None
    assert await asyncio.wait_for(bot.task, 20) == 0


def test_the_arguments_keep_old_listeners_short_lived(tmp_path) -> None:
    words = arguments(tmp_path / "boot.json")
    assert "--disable-hot-restart" in words
    assert words[words.index("--drain-strategy") + 1] == "immediate"
