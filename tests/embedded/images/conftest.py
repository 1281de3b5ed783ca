"""Programs of pods as subprocesses, on random ports, told about them as a node tells."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

PACKAGE = "labkit.embedded.images"
TIMEOUT_S = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(look: Callable[[], object]) -> object:
    end = time.monotonic() + TIMEOUT_S
    seen: object = None
    while time.monotonic() < end:
        try:
            seen = look()
        except (OSError, ValueError) as error:
            seen = error
        else:
            if seen:
                return seen
        time.sleep(0.02)
    pytest.fail(f"not seen in {TIMEOUT_S} s; last: {seen}")


@dataclass
class Program:
    """A running program and the real address of each of its ports."""

    process: subprocess.Popen
    addresses: dict[int, str]

    def address(self, port: int) -> str:
        return self.addresses[port]


def environment(ports: dict[int, str], env: dict[str, str]) -> dict[str, str]:
    listen = {str(port): address for port, address in ports.items()}
    return {"PATH": os.environ["PATH"], "LABKIT_LISTEN": json.dumps(listen), **env}


@contextlib.contextmanager
def program(module: str, *ports: int, **env: str) -> Iterator[Program]:
    addresses = {port: f"127.0.0.1:{free_port()}" for port in ports}
    process = subprocess.Popen(
        [sys.executable, "-m", f"{PACKAGE}.{module}"],
        env=environment(addresses, env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for address in addresses.values():
            host, port = address.split(":")
            eventually(lambda at=(host, int(port)): _connects(at))
        yield Program(process, addresses)
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _connects(address: tuple[str, int]) -> bool:
    socket.create_connection(address, timeout=1).close()
    return True


@dataclass
class Recorder:
    """An HTTP server that answers everything and remembers what it was asked."""

    address: str = ""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    connections: set[tuple[str, int]] = field(default_factory=set)
    status: int = 200
    body: bytes = b'[{"shortcode": ":joy:", "unicode": "x"}]'


@contextlib.contextmanager
def recording() -> Iterator[Recorder]:
    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            recorder.requests.append((self.command, self.path, dict(self.headers)))
            recorder.connections.add(self.client_address)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(recorder.status)
            self.send_header("Content-Length", str(len(recorder.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(recorder.body)

        do_GET = do_POST = do_PUT = do_HEAD = answer  # noqa: N815 - the base class wants it

        def do_CONNECT(self) -> None:
            recorder.requests.append((self.command, self.path, dict(self.headers)))
            self.close_connection = True
            if recorder.status != 200:
                self.send_response(recorder.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=5) as other:
                self.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                threading.Thread(target=_pump, args=(other, self.connection), daemon=True).start()
                _pump(self.connection, other)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    recorder.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


@dataclass(frozen=True)
class Answer:
    status: int
    body: str
    headers: dict[str, str]

    def json(self) -> object:
        return json.loads(self.body)


def fetch(url: str) -> Answer:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return Answer(response.status, response.read().decode(), dict(response.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode(), dict(error.headers))


class Tools:
    """What the tests of this folder share."""

    program = staticmethod(program)
    recording = staticmethod(recording)
    eventually = staticmethod(eventually)
    environment = staticmethod(environment)
    fetch = staticmethod(fetch)


@pytest.fixture(scope="session")
def tools() -> type[Tools]:
    return Tools


@dataclass(frozen=True)
class Emojivoto:
    """The three servers of emojivoto, web reaching its backends directly."""

    web: Program
    emoji: Program
    voting: Program

    def get(self, path: str) -> Answer:
        return fetch(f"http://{self.web.address(8080)}{path}")


@pytest.fixture(scope="session")
def emojivoto() -> Iterator[Emojivoto]:
    ports = {"GRPC_PORT": "8080", "PROM_PORT": "8801"}
    with (
        program("emojivoto.emoji", 8080, 8801, **ports) as emoji,
        program("emojivoto.voting", 8080, 8801, **ports) as voting,
        program(
            "emojivoto.web",
            8080,
            WEB_PORT="8080",
            EMOJISVC_HOST=emoji.address(8080),
            VOTINGSVC_HOST=voting.address(8080),
            INDEX_BUNDLE="dist/index_bundle.js",
        ) as web,
    ):
        yield Emojivoto(web, emoji, voting)
