"""kubectl's port-forward: SPDY streams inside one WebSocket, a pair for each local connection.

The client opens an error stream and a data stream with the same request id. Bytes of the data
stream go to the pod's socket; each side may end its half alone. A failure is told on the error
stream, in the words of a real node.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

from labkit.embedded.node.spdy import (
    DATA,
    FIN,
    GOAWAY,
    PING,
    RST_STREAM,
    SYN_REPLY,
    SYN_STREAM,
    Decoder,
    Encoder,
    Frame,
    SpdyError,
)

logger = logging.getLogger(__name__)

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
_CHUNK = 32 * 1024
_QUEUED = 64

Locate = Callable[[int], str | None]


def refusal(port: int, pod: str) -> bytes:
    """What the error stream or channel says of a port that nobody listens on."""
    text = (
        f"error forwarding port {port} to pod {pod}, uid : failed to execute portforward in network"
        f" namespace of the pod: failed to connect to localhost:{port} inside namespace,"
        f" IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused"
    )
    return text.encode()


class SpdyForward:
    """One WebSocket of kubectl's port-forward.

    Args:
        stream: the prepared WebSocket.
        locate: a pod's port → its real socket.
        pod: its uid, for messages.
    """

    def __init__(self, stream: web.WebSocketResponse, locate: Locate, pod: str) -> None:
        self._stream = stream
        self._locate = locate
        self._pod = pod
        self._encoder = Encoder()
        self._sending = asyncio.Lock()
        self._waiting: dict[tuple[str, str], dict[str, int]] = {}
        self._connections: dict[int, _Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the client leaves."""
        decoder = Decoder()
        try:
            async for message in self._stream:
                if message.type is not WSMsgType.BINARY:
                    continue
                for frame in decoder.feed(message.data):
                    if frame.type == GOAWAY:
                        return
                    await self._take(frame)
        except (SpdyError, ConnectionError) as error:
            logger.info("a port-forward ended: %s", error)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            with contextlib.suppress(ConnectionError):
                await self._stream.close()

    async def _take(self, frame: Frame) -> None:
        if frame.type == SYN_STREAM:
            await self._open(frame)
        elif frame.type == PING:
            await self._send(frame)
        elif frame.type == RST_STREAM and (found := self._connections.get(frame.stream)):
            found.task.cancel()
        elif frame.type == DATA and (found := self._connections.get(frame.stream)):
            if frame.payload:
                await found.put(frame.payload)
            if frame.fin:
                await found.put(None)

    async def _open(self, frame: Frame) -> None:
        port, kind = frame.headers.get("port", ""), frame.headers.get("streamtype", "")
        if kind not in ("data", "error") or not port.isdigit() or not 0 < int(port) < 65536:
            await self._send(
                Frame(RST_STREAM, payload=frame.stream.to_bytes(4) + bytes([0, 0, 0, 1]))
            )
            return
        await self._send(Frame(SYN_REPLY, frame.stream))
        key = (port, frame.headers.get("requestid", ""))
        pair = self._waiting.setdefault(key, {})
        pair[kind] = frame.stream
        if len(pair) < 2:
            return
        del self._waiting[key]
        connection = _Connection(pair["data"], pair["error"], int(port))
        self._connections[pair["data"]] = connection
        connection.task = asyncio.create_task(
            self._forward(connection), name=f"port-forward {port} of {self._pod}"
        )
        self._tasks.add(connection.task)
        connection.task.add_done_callback(self._tasks.discard)

    async def _forward(self, connection: "_Connection") -> None:
        try:
            address = self._locate(connection.port)
            if address is None:
                raise ConnectionRefusedError("nothing in the pod declares this port")
            host, _, real = address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(real))
        except OSError:
            await self._send(Frame(DATA, connection.data, FIN))
            await self._send(Frame(DATA, connection.error, 0, refusal(connection.port, self._pod)))
        else:
            try:
                await connection.copy(reader, writer, self._send)
            finally:
                writer.close()
        finally:
            connection.gone = True
            self._connections.pop(connection.data, None)
        with contextlib.suppress(ConnectionError):
            await self._send(Frame(DATA, connection.error, FIN))

    async def _send(self, frame: Frame) -> None:
        async with self._sending:  # the compressor's order is the order on the wire
            await self._stream.send_bytes(self._encoder.encode(frame))


class _Connection:
    """One local connection: its two streams, and what waits to be written into the pod."""

    task: asyncio.Task[None]

    def __init__(self, data: int, error: int, port: int) -> None:
        self.data, self.error, self.port = data, error, port
        self.gone = False
        self._incoming: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUED)

    async def put(self, data: bytes | None) -> None:
        """Hand on bytes of the client, or its end (None); waits while the pod does not read."""
        while not self.gone:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._incoming.put(data)
                return

    async def copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        send: Callable[[Frame], Awaitable[None]],
    ) -> None:
        """Both ways; returns when the pod has ended its half."""
        copying_in = asyncio.create_task(self._copy_in(writer))
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(_CHUNK):
                    await send(Frame(DATA, self.data, 0, data))
            await send(Frame(DATA, self.data, FIN))
        finally:
            copying_in.cancel()

    async def _copy_in(self, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while (data := await self._incoming.get()) is not None:
                writer.write(data)
                await writer.drain()
            writer.write_eof()
