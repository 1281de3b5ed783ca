"""The channels of exec and attach on one WebSocket: `v5.channel.k8s.io` and its elder, v4.

The first byte of a message is the channel. At the end, the error channel carries a Status.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDOUT, STDERR = 1, 2
_STDIN, _ERROR, _RESIZE, _CLOSE = 0, 3, 4, 255
SUCCESS: dict[str, Any] = {"metadata": {}, "status": "Success"}


@dataclass(frozen=True)
class Input:
    """Bytes for stdin."""

    data: bytes


@dataclass(frozen=True)
class InputEnd:
    """The client closes stdin (v5 only)."""


@dataclass(frozen=True)
class Resize:
    """The client's window has this size, in characters."""

    width: int
    height: int


Message = Input | InputEnd | Resize


class Channels:
    """The server's side of one prepared WebSocket."""

    def __init__(self, stream: web.WebSocketResponse) -> None:
        self._stream = stream

    async def begin(self) -> None:
        """An empty message on stdout, which real servers send first."""
        await self.send(STDOUT, b"")

    async def send(self, channel: int, data: bytes) -> None:
        """Send bytes.

        Raises:
            ConnectionError: the client has left.
        """
        await self._stream.send_bytes(bytes([channel]) + data)

    async def end(self, status: dict[str, Any]) -> None:
        """Send the final Status and close."""
        await self.send(_ERROR, json.dumps(status).encode())
        await self._stream.close()

    async def messages(self) -> AsyncIterator[Message]:
        """What the client sends, until it leaves; rubbish is passed over."""
        async for message in self._stream:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
            found = _read(data)
            if found is not None:
                yield found


def _read(data: bytes) -> Message | None:
    if not data:
        return None
    if data[0] == _STDIN:
        return Input(data[1:])
    if data[0] == _CLOSE and data[1:] == bytes([_STDIN]):
        return InputEnd()
    if data[0] == _RESIZE:
        return _size(data[1:])
    return None


def _size(text: bytes) -> Resize | None:
    try:
        size = json.loads(text)
        width, height = int(size["Width"]), int(size["Height"])
    except (ValueError, TypeError, KeyError):
        return None
    if not (0 < width < 65536 and 0 < height < 65536):
        return None
    return Resize(width, height)
