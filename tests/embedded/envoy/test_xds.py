"""The xDS server's answers, asked as an Envoy asks."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from labkit.embedded.envoy import xds as xds_module
from labkit.embedded.envoy.xds import XdsServer, pack


class Poller:
    """One Envoy process that asks for a kind."""

    def __init__(self, socket: Path, instance: str = "1") -> None:
        self._socket = socket
        self._instance = instance
        self.version = ""

    async def ask(self, kind: str = "clusters", names: tuple[str, ...] = ()) -> Any:
        """The resources' names of the answer; None for 304. The version is taken over."""
        answer = await self.peek(kind, names)
        if answer is None:
            return None
        self.version = answer["version_info"]
        return [resource["name"] for resource in answer["resources"]]

    async def peek(self, kind: str = "clusters", names: tuple[str, ...] = ()) -> Any:
        """The whole answer; the version is refused."""
        node = {"id": "pod", "metadata": {"instance": self._instance}}
        body = {"node": node, "version_info": self.version, "resource_names": list(names)}
        connector = aiohttp.UnixConnector(path=str(self._socket))
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.post(f"http://xds/v3/discovery:{kind}", json=body) as response,
        ):
            if response.status == 304:
                return None
            assert response.status == 200
            return await response.json()


@pytest.fixture
def envoy(xds: XdsServer, run_dir: Path) -> Poller:
    return Poller(run_dir / "xds.sock")


async def test_a_poll_is_held_until_something_changes(xds: XdsServer, envoy: Poller) -> None:
    xds.publish("pod", {"clusters": [{"name": "a"}]})
    assert await envoy.ask() == ["a"]
    waiting = asyncio.create_task(envoy.ask())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert xds.publish("pod", {"clusters": [{"name": "a"}, pack({"name": "b"})]})
    assert await waiting == ["a", "b"]


async def test_equal_resources_wake_nobody_and_time_ends_with_304(
    xds: XdsServer, envoy: Poller
) -> None:
    xds.publish("pod", {"clusters": [{"name": "a"}]})
    await envoy.ask()
    waiting = asyncio.create_task(envoy.ask())
    await asyncio.sleep(0.05)
    assert not xds.publish("pod", {"clusters": [{"name": "a"}]})
    assert await waiting is None


async def test_named_resources_come_when_all_of_them_exist(xds: XdsServer, envoy: Poller) -> None:
    waiting = asyncio.create_task(envoy.ask("secrets", ("leaf",)))
    await asyncio.sleep(0.05)
    xds.publish("pod", {"secrets": [{"name": "anchors"}]})
    await asyncio.sleep(0.05)
    assert not waiting.done()
    xds.publish("pod", {"secrets": [{"name": "anchors"}, {"name": "leaf"}]})
    assert await waiting == ["leaf"]


async def test_a_refused_version_is_noted_and_offered_again_later(
    xds: XdsServer, envoy: Poller, monkeypatch
) -> None:
    monkeypatch.setattr(xds_module, "OFFER_AGAIN_S", 0.1)
    xds.publish("pod", {"clusters": [{"name": "a"}]})
    await envoy.peek()
    assert await envoy.ask() == ["a"]
    assert ("pod", "clusters") in xds.rejected
    assert await envoy.ask() is None
    assert xds.rejected == {}


async def test_a_restarted_envoy_is_answered_at_once(
    xds: XdsServer, envoy: Poller, run_dir: Path
) -> None:
    xds.publish("pod", {"clusters": [{"name": "a"}]})
    await envoy.ask()
    assert await Poller(run_dir / "xds.sock", instance="2").ask() == ["a"]
    assert xds.rejected == {}


async def test_taken_waits_for_the_version_an_envoy_uses(xds: XdsServer, envoy: Poller) -> None:
    assert await xds.taken("pod", "clusters", timeout_s=0.1)
    xds.publish("pod", {"clusters": [{"name": "a"}]})
    await envoy.ask()
    assert not await xds.taken("pod", "clusters", timeout_s=0.1)
    waiting = asyncio.create_task(xds.taken("pod", "clusters", timeout_s=5))
    await envoy.ask()
    assert await waiting


async def test_the_socket_is_private_and_an_unknown_kind_is_404(
    xds: XdsServer, run_dir: Path
) -> None:
    assert (run_dir / "xds.sock").stat().st_mode & 0o777 == 0o600
    connector = aiohttp.UnixConnector(path=str(run_dir / "xds.sock"))
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.post("http://xds/v3/discovery:nothing", json={}) as response,
    ):
        assert response.status == 404
