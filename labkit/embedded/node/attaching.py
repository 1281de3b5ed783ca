"""attach: the streams of a container's own process, on the channels of a WebSocket.

What the container writes from now on goes to the client; what the client types goes to the
container's stdin, when its spec has one. stdout and stderr come together, as in the log.
"""

import asyncio
import contextlib

from labkit.embedded.node.channels import STDOUT, SUCCESS, Channels, Input, Resize
from labkit.embedded.node.containers import Running
from labkit.embedded.node.logs import ContainerLog

_WAITING_CHUNKS = 1024
"""A client that reads slower than the container writes loses its connection, not our memory."""


class Attach:
    """One attach.

    Args:
        channels: of the prepared WebSocket.
        running: the started container.
        log: of this run of the container.
        stdin: whether the client sends input and the container's spec has a stdin.
        once: whether the container's stdin ends with this client (`stdinOnce`).
    """

    def __init__(
        self,
        channels: Channels,
        *,
        running: Running,
        log: ContainerLog,
        stdin: bool,
        once: bool,
    ) -> None:
        self._channels = channels
        self._running = running
        self._log = log
        self._stdin = stdin
        self._once = once
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(_WAITING_CHUNKS)
        self._overrun = asyncio.Event()

    async def run(self, ended: asyncio.Event) -> None:
        """Copy until the container ends or the client leaves."""
        self._log.listeners.add(self._hear)
        copying = asyncio.create_task(self._copy())
        leaving = [
            asyncio.create_task(ended.wait()),
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._overrun.wait()),
        ]
        try:
            await self._channels.begin()
            await asyncio.wait([copying, *leaving], return_when=asyncio.FIRST_COMPLETED)
            if ended.is_set() and not self._overrun.is_set():
                self._hear(b"")
                await copying
                await self._channels.end(SUCCESS)
        except ConnectionError:
            pass
        finally:
            self._log.listeners.discard(self._hear)
            for task in (copying, *leaving):
                task.cancel()
            await asyncio.gather(copying, *leaving, return_exceptions=True)
            if self._stdin and self._once:
                await self._running.end_input()

    def _hear(self, data: bytes) -> None:
        try:
            self._waiting.put_nowait(data)
        except asyncio.QueueFull:
            self._overrun.set()

    async def _copy(self) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await self._waiting.get():
                await self._channels.send(STDOUT, data)

    async def _listen(self) -> None:
        async for message in self._channels.messages():
            if isinstance(message, Resize):
                self._running.resize(message.width, message.height)
            elif not self._stdin:
                continue
            elif isinstance(message, Input):
                await self._running.type(message.data)
            elif self._once:
                await self._running.end_input()
