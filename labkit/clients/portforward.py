"""Port-forward to a pod as a socket and as an HTTP connection.

The official client's own port-forward discards what has arrived when the other side closes first,
so a short answer can be lost; this one reads frames as they come, on its caller's thread. It uses
the official client's WebSocket (its credentials and trust). Deliberately absent: several ports at
once and listening on a local port.
"""

import contextlib
import http.client
import io
from typing import Any, Self

_DATA, _ERROR = 0, 1
_PORT_FRAME = 3
"""Each channel opens with a frame of channel byte and port number."""


class ForwardedStream(io.RawIOBase):
    """The bytes of one forwarded port, over an open WebSocket (`v4.channel.k8s.io`).

    Behaves as the socket that `http.client` wants: `sendall`, `makefile`, `settimeout`, `close`.
    """

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket
        self._buffer = bytearray()
        self._opened: set[int] = set()
        self._ended = False
        self.error = ""

    def readable(self) -> bool:
        """True: it is a stream to read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what has come, waiting for a frame when there is nothing."""
        while not self._buffer and not self._ended:
            self._receive()
        if not self._buffer and self.error:
            raise ConnectionError(self.error)
        count = min(len(buffer), len(self._buffer))
        buffer[:count] = self._buffer[:count]
        del self._buffer[:count]
        return count

    def _receive(self) -> None:
        from websocket import (
            ABNF,
            WebSocketConnectionClosedException,
            WebSocketTimeoutException,
        )

        try:
            opcode, frame = self._websocket.recv_data_frame(True)
        except (WebSocketConnectionClosedException, ConnectionResetError):
            self._ended = True
            return
        except WebSocketTimeoutException as error:
            raise TimeoutError("nothing came in time") from error
        if opcode == ABNF.OPCODE_CLOSE:
            self._ended = True
        if opcode != ABNF.OPCODE_BINARY or not frame.data:
            return
        channel, payload = frame.data[0], frame.data[1:]
        if channel not in self._opened:
            self._opened.add(channel)
            if len(frame.data) == _PORT_FRAME:
                return
        if channel == _ERROR and payload:
            self.error = payload.decode(errors="replace")
            self._ended = True
        elif channel == _DATA:
            self._buffer += payload

    def sendall(self, data: bytes) -> None:
        """Send bytes to the port."""
        from websocket import WebSocketException

        try:
            self._websocket.send_binary(bytes([_DATA]) + bytes(data))
        except WebSocketException as error:
            raise ConnectionError(str(error)) from error

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """A buffered reader, as `http.client` asks for; closing it leaves the stream open."""
        return _Reader(self)

    def settimeout(self, seconds: float | None) -> None:
        """Limit of one read or write in seconds."""
        self._websocket.settimeout(seconds)

    def close(self) -> None:
        """Close the WebSocket, and with it the connection at the pod."""
        if not self.closed:
            with contextlib.suppress(Exception):
                self._websocket.send_close()  # an answer is not waited for
            self._websocket.shutdown()
        super().close()


class _Reader(io.BufferedReader):
    """A reader whose end does not end the stream, so that a connection can be kept alive."""

    def close(self) -> None:
        """Leave the stream open."""


class ForwardedConnection(http.client.HTTPConnection):
    """HTTP over a forwarded port."""

    def __init__(self, stream: ForwardedStream, *, port: int) -> None:
        super().__init__("localhost", port)
        self.stream = stream
        self.sock: Any = _Kept(stream)

    def connect(self) -> None:
        """Refuse: a forwarded port that ended is opened anew by its owner."""
        raise ConnectionError("the forwarded connection has ended")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()


class _Kept:
    """The stream without its `close`: `http.client` closes its socket before the body is read."""

    def __init__(self, stream: ForwardedStream) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> None:
        """Leave the stream open."""
