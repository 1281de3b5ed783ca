"""port-forward as the Python client speaks it: channels of a WebSocket, two for each port."""

import asyncio
import contextlib
from typing import Protocol

from aiohttp import WSMsgType, web

from labkit.embedded.node import spdy_forward

PROTOCOL = "v4.channel.k8s.io"
_CHUNK = 32 * 1024


class Target(Protocol):
    """The pod that is forwarded to."""

    uid: str

    def locate(self, port: int) -> str | None:
        """Real socket of a port."""


class PortForward:
    """One WebSocket of a port-forward: a connection for each port.

    Port number i of the request has data channel 2i and error channel 2i+1.
    """

    def __init__(self, stream: web.WebSocketResponse, worker: Target, ports: list[int]) -> None:
        self._stream = stream
        self._worker = worker
        self._ports = ports
        self._writers: dict[int, asyncio.StreamWriter] = {}

    async def run(self) -> None:
        """Copy bytes until either side ends."""
        tasks = []
        for index, port in enumerate(self._ports):
            prefix = port.to_bytes(2, "little")
            await self._stream.send_bytes(bytes([2 * index]) + prefix)
            await self._stream.send_bytes(bytes([2 * index + 1]) + prefix)
        for index, port in enumerate(self._ports):
            reader = await self._connect(index, port)
            if reader is not None:
                tasks.append(asyncio.create_task(self._copy_out(index, reader)))
        copying_in = asyncio.create_task(self._copy_in())
        try:
            if tasks:
                done = asyncio.ensure_future(asyncio.wait(tasks))
                await asyncio.wait((copying_in, done), return_when=asyncio.FIRST_COMPLETED)
                done.cancel()
        finally:
            for task in [*tasks, copying_in]:
                task.cancel()
            for writer in self._writers.values():
                writer.close()
            with contextlib.suppress(ConnectionError):
                await self._stream.close()

    async def _connect(self, index: int, port: int) -> asyncio.StreamReader | None:
        address = self._worker.locate(port)
        try:
            if address is None:
                raise ConnectionRefusedError("nothing in the pod declares this port")
            host, _, real = address.rpartition(":")
            reader, self._writers[index] = await asyncio.open_connection(host, int(real))
        except OSError:
            text = spdy_forward.refusal(port, self._worker.uid)
            await self._stream.send_bytes(bytes([2 * index + 1]) + text)
            return None
        return reader

    async def _copy_out(self, index: int, reader: asyncio.StreamReader) -> None:
        channel = bytes([2 * index])
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                await self._stream.send_bytes(channel + data)

    async def _copy_in(self) -> None:
        async for message in self._stream:
            if message.type is WSMsgType.BINARY:
                data: bytes = message.data
            elif message.type is WSMsgType.TEXT:
                data = message.data.encode()
            else:
                return
            writer = self._writers.get(data[0] // 2) if data and data[0] % 2 == 0 else None
            if writer is not None and len(data) > 1:
                writer.write(data[1:])
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
