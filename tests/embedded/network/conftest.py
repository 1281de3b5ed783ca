import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from labkit.embedded.network.relay_control import RelayClient
from labkit.embedded.network.relay_pipes import RouteSpec


@pytest.fixture
def short_dir():
    with tempfile.TemporaryDirectory(prefix="lk", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
async def relay(short_dir: Path) -> AsyncIterator[RelayClient]:
    """A real relay process and the client of its control socket."""
    control = short_dir / "relay.sock"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "labkit.embedded.network.relay", "--control", str(control)
    )
    client = RelayClient(control)
    async with asyncio.timeout(30):
        while not await client.healthy():
            await asyncio.sleep(0.02)
    yield client
    await client.close()
    process.terminate()
    assert await process.wait() == 0


class EchoServer:
    """Echoes; remembers how many connections it has had."""

    def __init__(self) -> None:
        self.connections = 0
        self.address = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write(b"<end>")
            writer.write_eof()
        with contextlib.suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()


@pytest.fixture
async def echo() -> AsyncIterator[EchoServer]:
    server = EchoServer()
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield server
    listener.close()
    await listener.wait_closed()


@pytest.fixture
def route(relay: RelayClient, echo: EchoServer):
    """Make a route to the echo server; returns host and port to connect to."""

    async def make(**values) -> tuple[str, int]:
        made = await relay.put(RouteSpec(**{"id": "r", "targets": (echo.address,), **values}))
        host, _, port = made["listen"].rpartition(":")
        return host, int(port)

    return make
