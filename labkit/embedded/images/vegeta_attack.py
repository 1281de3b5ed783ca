"""An attack at a constant rate: an open model, whatever the answers do.

The k-th request is due k intervals after the beginning. Each is sent at its time, on an idle
connection or on a new one, however many are under way; a sender that is behind sends at once and
never shifts the plan. Timestamps are those of the sending, so that the plan's lateness can be told
from them and from the sequence numbers.

Connections are those of aiohttp's client (its protocol and parser), without its sessions: what they
do around each request (cookies, redirects, tracing) costs more than the request. Deliberately
absent: any waiting for answers before the next request is due.
"""

import argparse
import asyncio
import gc
import json
import os
import signal
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import aiohttp
import uvloop
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from labkit.embedded.images.vegeta import Target, timestamp
from labkit.embedded.network.promptness import be_prompt
from labkit.embedded.network.relay_clock import Alarms

_AGENT = "Go-http-client/1.1"
_INFORMATIONAL = range(100, 200)


@dataclass(frozen=True)
class _Request:
    """A target, ready to be sent.

    Attributes:
        target: what it was made of.
        host, port: where to connect to: the target's own, or the proxy's.
        head: the request's first bytes, up to its number.
    """

    target: Target
    host: str
    port: int
    head: bytes


def _prepared(target: Target, options: argparse.Namespace, proxy: str | None) -> _Request:
    """The request of a target; a proxy is asked by the whole URL.

    Raises:
        ValueError: the URL has no host.
    """
    url = URL(target.url)
    place = URL(proxy) if proxy else url
    if url.host is None or place.host is None or place.port is None:
        raise ValueError(f"bad target: {target.url[:80]}")
    fields = {"Host": url.host_port_subcomponent, "User-Agent": _AGENT, **dict(target.headers)}
    if options.name:
        fields["X-Vegeta-Attack"] = options.name
    if not options.keepalive:
        fields["Connection"] = "close"
    asked = str(url.with_fragment(None)) if proxy else url.raw_path_qs
    lines = [f"{target.method} {asked} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return _Request(target, place.host, place.port, "\r\n".join([*lines, ""]).encode())


class _Attack:
    def __init__(
        self, targets: Sequence[Target], options: argparse.Namespace, output: IO[str]
    ) -> None:
        proxy = os.environ.get("http_proxy") or None
        self._requests = [_prepared(target, options, proxy) for target in targets]
        self._options = options
        self._output = output
        self._running: set[asyncio.Task[None]] = set()
        self._idle: dict[tuple[str, int], list[ResponseHandler]] = {}
        self._began = time.perf_counter()
        self._began_ns = time.time_ns()
        self._seq = 0
        self._stopped = False

    async def run(self) -> None:
        """Until the last answer."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        alarms = Alarms()
        gc.freeze()  # a collection over all modules would make sends late
        self._began, self._began_ns = time.perf_counter(), time.time_ns()
        await self._send_all(alarms)
        if self._running:
            await asyncio.wait(self._running)
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        alarms.close()

    async def _send_all(self, alarms: Alarms) -> None:
        interval = 1 / self._options.rate
        hits = round(self._options.rate * self._options.duration) or None
        woken = asyncio.Event()
        while not self._stopped and (hits is None or self._seq < hits):
            due = self._began + (self._seq + 1) * interval
            if due > time.perf_counter():
                woken.clear()
                alarms.at(due, woken.set)
                await woken.wait()
            while len(self._running) >= self._options.max_workers:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(self._hit(self._seq))
            self._seq += 1
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            if due < time.perf_counter():
                await asyncio.sleep(0)  # no pause until the next one: answers are read all the same

    def _stop(self) -> None:
        self._stopped = True

    async def _hit(self, seq: int) -> None:
        request = self._requests[seq % len(self._requests)]
        target = request.target
        sent = time.perf_counter()
        result: dict[str, Any] = {
            "attack": self._options.name,
            "seq": seq,
            "code": 0,
            "timestamp": timestamp(self._began_ns + round((sent - self._began) * 1e9)),
            "latency": 0,
            "bytes_out": 0,
            "bytes_in": 0,
            "error": "",
            "body": None,
            "method": target.method,
            "url": target.url,
            "headers": {},
        }
        try:
            async with asyncio.timeout(self._options.timeout or None):
                await self._exchange(request, result)
        except TimeoutError:
            result["error"] = (
                f'{target.method.title()} "{target.url}": context deadline exceeded '
                "(Client.Timeout exceeded while awaiting headers)"
            )
        except (aiohttp.ClientError, OSError) as error:
            result["error"] = f'{target.method.title()} "{target.url}": {error}'
        result["latency"] = round((time.perf_counter() - sent) * 1e9)
        self._output.write(json.dumps(result, separators=(",", ":")) + "\n")

    async def _exchange(self, request: _Request, result: dict[str, Any]) -> None:
        connection, kept = await self._connection(request)
        try:
            try:
                await self._ask(connection, request, result)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not kept or result["code"]:
                    raise
                # The server ended it while nobody used it: a new one, as every client does.
                connection = await self._connect(request)
                await self._ask(connection, request, result)
        except BaseException:
            connection.close()
            raise
        if connection.should_close or not self._options.keepalive:
            connection.close()
        else:
            self._idle.setdefault((request.host, request.port), []).append(connection)

    async def _connection(self, request: _Request) -> tuple[ResponseHandler, bool]:
        """A connection, and whether it was used before."""
        idle = self._idle.get((request.host, request.port))
        while idle:
            connection = idle.pop()
            if connection.is_connected():
                return connection, True
        return await self._connect(request), False

    async def _connect(self, request: _Request) -> ResponseHandler:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: ResponseHandler(loop), request.host, request.port
        )
        return connection

    async def _ask(
        self, connection: ResponseHandler, request: _Request, result: dict[str, Any]
    ) -> None:
        connection.set_response_params(
            skip_payload=request.target.method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
        )
        if connection.transport is None:
            raise aiohttp.ServerDisconnectedError
        connection.transport.write(request.head + b"X-Vegeta-Seq: %d\r\n\r\n" % result["seq"])
        message, payload = await connection.read()
        while message.code in _INFORMATIONAL:
            message, payload = await connection.read()
        result["code"] = message.code
        body = await payload.read()
        limit = self._options.max_body
        kept = body if limit < 0 else body[:limit]
        result["bytes_in"] = len(kept)
        result["body"] = b64encode(kept).decode() if kept else None
        result["headers"] = {name: [value] for name, value in message.headers.items()}
        if not 200 <= message.code < 400:
            result["error"] = f"{message.code} {message.reason}"


def attack(targets: Sequence[Target], options: argparse.Namespace, output: IO[str]) -> None:
    """Attack the targets in turn; one JSON line a result, in order of their ends.

    Args:
        targets: at least one.
        options: of `vegeta attack`.
        output: where results go.
    """

    async def main() -> None:
        await _Attack(targets, options, output).run()

    be_prompt()
    uvloop.run(main())
    output.flush()
