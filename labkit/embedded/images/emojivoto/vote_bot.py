"""vote-bot: makes traffic. Every second it lists the emoji and votes for one of them.

In 15 % of the rounds it votes for the doughnut. It takes any HTTP status for an answer and never
ends by itself: a web that is away is logged and asked again a second later. It speaks HTTP on a
plain socket, kept open, because `http.client` alone would double its memory.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time

from labkit.embedded.images.runtime import log, proxy_address

PAUSE_S = 1.0
DOUGHNUT_SHARE = 0.15
ANSWER_TIMEOUT_S = 30.0
_DOUGHNUT = ":doughnut:"


class ConnectionLost(OSError):  # noqa: N818 - reads as what happened
    """The peer closed the connection before an answer was complete."""


class Client:
    """GET requests over one kept-alive connection.

    Args:
        host: `name:port` of web.
        host_header: what to send as Host instead.
    """

    def __init__(self, host: str, *, host_header: str = "") -> None:
        self._host = host
        self._header = host_header or host
        name, _, port = host.rpartition(":")
        self._address = proxy_address() or ((name, int(port)) if name else (port, 80))
        self._prefix = f"http://{host}" if proxy_address() else ""
        self._socket: socket.socket | None = None
        self._buffer = b""

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET.

        Raises:
            OSError: no connection, or no complete answer in time; the next call dials again.
        """
        reused = self._socket is not None
        try:
            return self._exchange(path)
        except ConnectionLost:
            self.close()
            if not reused:
                raise
            # A kept connection may end at any time; that says nothing about the server.
            return self._exchange(path)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._buffer = None, b""

    def _exchange(self, path: str) -> tuple[int, bytes]:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=ANSWER_TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = (
            f"GET {self._prefix}{path} HTTP/1.1\r\nHost: {self._header}\r\n"
            "User-Agent: Go-http-client/1.1\r\n\r\n"
        )
        try:
            self._socket.sendall(request.encode())
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ConnectionLost(str(error)) from error
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        try:
            status, length = int(first.split(" ")[1]), int(headers.get("content-length", "-1"))
        except (IndexError, ValueError) as error:
            self.close()
            raise ConnectionLost(f"not HTTP: {first[:80]}") from error
        body = self._body(length, chunked=headers.get("transfer-encoding") == "chunked")
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, body

    def _body(self, length: int, *, chunked: bool) -> bytes:
        if length >= 0:
            return self._take(length)
        if not chunked:
            raise ConnectionLost("an answer without a length")
        body = b""
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            body += self._take(size)
            self._take(2)
        self._until(b"\r\n")
        return body

    def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._receive()
        head, _, self._buffer = self._buffer.partition(end)
        return head

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._receive()
        body, self._buffer = self._buffer[:count], self._buffer[count:]
        return body

    def _receive(self) -> None:
        if self._socket is None:
            raise ConnectionLost("not connected")
        try:
            chunk = self._socket.recv(65536)
        except ConnectionResetError as error:
            raise ConnectionLost(str(error)) from error
        if not chunk:
            raise ConnectionLost("the server closed the connection")
        self._buffer += chunk


def _random() -> float:
    """Uniform in [0, 1); the `random` module would load OpenSSL."""
    return int.from_bytes(os.urandom(6), "big") / 2**48


def choose(listed: list[str]) -> str:
    """The emoji of one round."""
    if not listed or _random() < DOUGHNUT_SHARE:
        return _DOUGHNUT
    return listed[int(_random() * len(listed))]


def vote_once(client: Client) -> None:
    """One round: list, choose, vote."""
    _, body = client.get("/api/list")
    listed: list[str] = []
    with contextlib.suppress(ValueError, TypeError, KeyError):
        listed = [emoji["shortcode"] for emoji in json.loads(body)]
    if not listed:
        log(f"error: no list of emoji in the answer: {body[:120]!r}")
        return
    choice = choose(listed)
    sys.stdout.write(f"✔ Voting for {choice}\n")
    sys.stdout.flush()
    client.get(f"/api/vote?choice={choice}")


def main() -> None:
    """Vote once a second until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    host = os.environ.get("WEB_HOST", "")
    if not host:
        log("the environment variable WEB_HOST must be set, as web-svc.emojivoto:80")
        sys.exit(1)
    client = Client(host, host_header=os.environ.get("HOST_OVERRIDE", ""))
    while True:
        time.sleep(PAUSE_S)
        try:
            vote_once(client)
        except (OSError, ValueError) as error:
            client.close()
            log(f"error voting: {error}")


if __name__ == "__main__":
    main()
