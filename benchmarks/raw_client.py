"""A lean client of a Kubernetes API server, real or embedded: bytes out, bytes in.

It runs on the same machine as what is measured, so every millisecond of its own would be one of
the server's. It takes nothing of an answer apart that a figure does not need.
"""

import asyncio
import base64
import json
import socket
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml


class Server:
    """One API server as a kubeconfig names it."""

    def __init__(self, kubeconfig: Path, context: str) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        chosen = _named(config["contexts"], context)["context"]
        cluster = _named(config["clusters"], chosen["cluster"])["cluster"]
        user = _named(config["users"], chosen["user"])["user"]
        self._address = urlsplit(cluster["server"])
        self._tls = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority"))
        self._headers = {"Content-Type": "application/json"}
        if "token" in user:
            self._headers["Authorization"] = f"Bearer {user['token']}"
        else:
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(_pem(user, "client-certificate") + "\n" + _pem(user, "client-key"))
                file.flush()
                self._tls.load_cert_chain(file.name)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return str(self._address.hostname), self._address.port or 443

    @property
    def tls(self) -> ssl.SSLContext:
        """What a connection to it trusts and shows."""
        return self._tls

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The bytes of a request."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.address[0]}"]
        lines += [f"{name}: {value}" for name, value in self._headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def watch(self, path: str, on_event: Callable[[bytes], None]) -> "Watch":
        """A watch from now on; the head of its answer has been read."""
        watch = Watch(on_event)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: watch, *self.address, ssl=self._tls)
        transport.write(self.request("GET", path))
        await watch.begun
        return watch

    def connect(self) -> "Connection":
        """A connection of its own."""
        return Connection(self)


class Watch(asyncio.Protocol):
    """One watch: calls `on_event` with each line, and does as little else as it can."""

    def __init__(self, on_event: Callable[[bytes], None]) -> None:
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: Any = None
        self._on_event = on_event
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Some bytes came."""
        data = self._rest + data
        if not self.begun.done():
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = head
            elif b" 200 " in head.split(b"\r\n")[0]:
                self.begun.set_result(None)
            else:
                self.begun.set_exception(RuntimeError(f"a watch was refused: {head[:200]!r}"))
        *lines, self._rest = data.split(b"\n")
        for line in lines:  # sizes and ends of chunks are among them
            if line.startswith(b"{"):
                self._on_event(line)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended."""
        if not self.begun.done():
            self.begun.set_exception(exc or RuntimeError("a watch ended before it began"))


class Connection:
    """One kept-alive connection: bytes out, bytes in, so that the server is what is measured."""

    def __init__(self, server: Server) -> None:
        self._server = server
        plain = socket.create_connection(server.address)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = server.tls.wrap_socket(plain, server_hostname=server.address[0])
        self._file = self._socket.makefile("rb", buffering=2**16)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[float, bytes]:
        """Seconds and the body of an answer; RuntimeError for a refusal."""
        data = b"" if body is None else json.dumps(body).encode()
        request = self._server.request(method, path, data)
        started = time.perf_counter()
        self._socket.sendall(request)
        status, content = self._answer()
        taken = time.perf_counter() - started
        if status >= 400:
            raise RuntimeError(f"{method} {path}: {status} {content[:300]!r}")
        return taken, content

    def ask_json(self, method: str, path: str, body: Any = None) -> Any:
        """The value of an answer."""
        return json.loads(self.ask(method, path, body)[1])

    def _answer(self) -> tuple[int, bytes]:
        read = self._file.readline
        status = int(read().split(b" ", 2)[1])
        length = 0
        chunked = False
        while (line := read().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line[15:])
            chunked = chunked or line == b"transfer-encoding: chunked"
        if not chunked:
            return status, self._file.read(length)
        parts = []
        while size := int(read(), 16):
            parts.append(self._file.read(size))
            read()
        read()
        return status, b"".join(parts)


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)


def _pem(holder: dict[str, Any], field: str) -> str:
    if f"{field}-data" in holder:
        return base64.b64decode(holder[f"{field}-data"]).decode()
    return Path(holder[field]).read_text()
