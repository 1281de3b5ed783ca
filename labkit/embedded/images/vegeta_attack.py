"""An attack at a constant rate: an open model, whatever the answers do.

The k-th request is due k intervals after the beginning. Each is sent at its time, on an idle
connection or on a new one, however many are under way; a sender that is behind sends at once and
never shifts the plan. Timestamps are those of the sending, so that the plan's lateness can be told
from them and from the sequence numbers. Deliberately absent: any waiting for answers before the
next request is due.
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
from typing import IO, Any

import aiohttp
import uvloop

from labkit.embedded.images.vegeta import Target, timestamp
from labkit.embedded.network.relay_clock import Alarms


class _Attack:
    def __init__(
        self, targets: Sequence[Target], options: argparse.Namespace, output: IO[str]
    ) -> None:
        self._targets = targets
        self._options = options
        self._output = output
        self._running: set[asyncio.Task[None]] = set()
        self._proxy = os.environ.get("http_proxy") or None
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
        connector = aiohttp.TCPConnector(
            limit=0, force_close=not self._options.keepalive, use_dns_cache=True
        )
        timeout = aiohttp.ClientTimeout(total=self._options.timeout or None)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        ) as session:
            gc.freeze()  # a collection over all modules would make sends late
            self._began, self._began_ns = time.perf_counter(), time.time_ns()
            await self._send_all(session, alarms)
            if self._running:
                await asyncio.wait(self._running)
        alarms.close()

    async def _send_all(self, session: aiohttp.ClientSession, alarms: Alarms) -> None:
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
            task = asyncio.create_task(self._hit(session, self._seq))
            self._seq += 1
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            if due < time.perf_counter():
                await asyncio.sleep(0)  # no pause until the next one: answers are read all the same

    def _stop(self) -> None:
        self._stopped = True

    async def _hit(self, session: aiohttp.ClientSession, seq: int) -> None:
        target = self._targets[seq % len(self._targets)]
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
            await self._exchange(session, target, result)
        except TimeoutError:
            result["error"] = (
                f'{target.method.title()} "{target.url}": context deadline exceeded '
                "(Client.Timeout exceeded while awaiting headers)"
            )
        except (aiohttp.ClientError, OSError) as error:
            result["error"] = f'{target.method.title()} "{target.url}": {error}'
        result["latency"] = round((time.perf_counter() - sent) * 1e9)
        self._output.write(json.dumps(result, separators=(",", ":")) + "\n")

    async def _exchange(
        self, session: aiohttp.ClientSession, target: Target, result: dict[str, Any]
    ) -> None:
        headers = [*target.headers, ("X-Vegeta-Seq", str(result["seq"]))]
        if self._options.name:
            headers.append(("X-Vegeta-Attack", self._options.name))
        async with session.request(
            target.method, target.url, headers=headers, proxy=self._proxy, allow_redirects=False
        ) as response:
            body = await response.read()
            limit = self._options.max_body
            kept = body if limit < 0 else body[:limit]
            result["code"] = response.status
            result["bytes_in"] = len(kept)
            result["body"] = b64encode(kept).decode() if kept else None
            result["headers"] = {name: [value] for name, value in response.headers.items()}
            if not 200 <= response.status < 400:
                result["error"] = f"{response.status} {response.reason}"


def attack(targets: Sequence[Target], options: argparse.Namespace, output: IO[str]) -> None:
    """Attack the targets in turn; one JSON line a result, in order of their ends.

    Args:
        targets: at least one.
        options: of `vegeta attack`.
        output: where results go.
    """

    async def main() -> None:
        await _Attack(targets, options, output).run()

    uvloop.run(main())
    output.flush()
