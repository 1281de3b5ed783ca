"""Components serve applications on sockets, and a newer one takes a unix socket over."""

import asyncio
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from labkit.embedded.envoy.xds import XdsServer
from labkit.embedded.serving import served


@pytest.fixture
def path() -> Iterator[Path]:
    """A path short enough for a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="lk"))
    yield folder / "x.sock"
    shutil.rmtree(folder)


def naming(name: str) -> web.Application:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(name)

    app = web.Application()
    app.router.add_get("/", answer)
    return app


async def ask(path: Path) -> str:
    connector = aiohttp.UnixConnector(path=str(path))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://x/") as response,
    ):
        return str(await response.json())


async def test_a_newer_server_takes_a_unix_socket_over_and_keeps_it(path: Path) -> None:
    async with AsyncExitStack() as newer:
        async with served(naming("old"), path=path):
            assert await ask(path) == "old"
            await newer.enter_async_context(served(naming("new"), path=path))
            assert await ask(path) == "new"
        assert await ask(path) == "new"
    assert not path.exists()


async def test_only_its_user_can_reach_a_unix_socket_and_a_dead_one_is_replaced(path: Path) -> None:
    path.touch()
    async with served(naming("a"), path=path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await ask(path) == "a"
    assert list(path.parent.iterdir()) == []


async def test_the_addresses_that_are_listened_on_are_told(path: Path) -> None:
    async with (
        served(naming("a"), ["127.0.0.1:0"], path=path) as (address,),
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}/") as response,
    ):
        assert await response.json() == "a"


async def test_an_xds_server_leaves_the_socket_of_its_successor_alone(path: Path) -> None:
    old, new = XdsServer(path, hold_s=0.1), XdsServer(path, hold_s=0.1)
    await old.start()
    await new.start()
    await old.stop()
    _, writer = await asyncio.open_unix_connection(str(path))
    writer.close()
    await writer.wait_closed()
    await new.stop()
    assert not path.exists()
