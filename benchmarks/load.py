"""The load generator: does it keep its plan, and how fast can it be on one core?

It runs as a process against a server in another one that answers at once, and then through an
Envoy as in a meshed pod (one worker, the sidecar's access log). Cores of the generator are its CPU
time over its time; a rate at which it needs a whole core is its limit. A request is late when it
was sent more than 5 ms after its time in the plan: from what the generator tells of its sends, as
for any vegeta. Whoever needs most CPU time for a request is the bottleneck; the table says who.
"""

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.measuring import print_table, word
from labkit.chapters.load import LATE_US, LoadRequest, read_results
from labkit.embedded.envoy import clusters, listeners, process, routes
from labkit.embedded.envoy.clusters import Protocol, Upstream
from labkit.embedded.mesh.access_log import outbound_fields

SERVER = """
import asyncio, uvloop
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok"
class Answering(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(ANSWER * data.count(b"\\r\\n\\r\\n"))
async def main():
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
uvloop.run(main())
"""
MODULE = "labkit.embedded.images.vegeta"
RATES = (500, 1_000, 2_000, 3_000)
LATE_TARGET, LATE_RATE = 0.01, 1_000
CORE_TARGET = 2_000
"""Requests per second that one core must be enough for."""

COLUMNS = (
    *("requests/s", "n", f"more than {LATE_US / 1000:g} ms late", "target", "lost"),
    *("p50 ms", "p99 ms", "CPU ms each", "requests/s on one core", "target", "bottleneck"),
)


@contextmanager
def server() -> Iterator[int]:
    """A server in a process of its own; yields its port."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextmanager
def sidecar(port: int) -> Iterator[tuple[int, Callable[[], float]]]:
    """An Envoy before the server, as a meshed pod's; yields its port and its CPU seconds so far."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        own = found.getsockname()[1]
        found.close()
        file = Path(folder) / "envoy.json"
        file.write_text(json.dumps(_configuration(own, port)))
        envoy = subprocess.Popen(
            process.arguments(file), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_for(own)
            yield own, lambda: sum(psutil.Process(envoy.pid).cpu_times()[:2])
        finally:
            envoy.kill()
            envoy.wait()


def _configuration(own: int, port: int) -> dict[str, object]:
    everything = routes.virtual_host("all", ["*"], [routes.forward("target")])
    manager = listeners.http_manager(
        "outbound",
        routes=routes.route_configuration("outbound", [everything]),
        access_log=[listeners.json_access_log(os.devnull, outbound_fields())],
    )
    chains = [listeners.filter_chain([manager])]
    target = clusters.cluster("target", [Upstream(f"127.0.0.1:{port}")], protocol=Protocol.HTTP1)
    made = {
        "listeners": [_inline(listeners.listener("outbound", f"127.0.0.1:{own}", chains))],
        "clusters": [_inline(target)],
    }
    return {"node": {"id": "bench", "cluster": "bench"}, "static_resources": made}


def _inline(made: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in made.items() if name != "@type"}


def _wait_for(port: int, timeout_s: float = 30.0) -> None:
    give_up = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        else:
            return


def attack(
    port: int, rate: int, seconds: int, *, keepalive: bool = True, proxy: int | None = None
) -> tuple[str, float]:
    """Results as CSV, and the CPU seconds that they cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    flags = [f"-rate={rate}/1s", f"-duration={seconds}s", "-max-body=0"]
    done = subprocess.run(
        [sys.executable, "-m", MODULE, "attack", *flags, f"-keepalive={str(keepalive).lower()}"],
        input=f"GET http://127.0.0.1:{port}/\n",
        env=os.environ | ({"http_proxy": f"http://127.0.0.1:{proxy}"} if proxy else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    results = (json.loads(line) for line in done.stdout.splitlines())
    from labkit.embedded.images.vegeta import to_csv

    return "\n".join(",".join(map(str, to_csv(result))) for result in results), cpu


def _row(
    rate: int, plan: list[LoadRequest], cpu: float, others: dict[str, float]
) -> tuple[object, ...]:
    n = len(plan)
    late = sum((request.late_us or 0) > LATE_US for request in plan) / n
    known = sorted(request.latency_us for request in plan if request.latency_us is not None)
    each = {"generator": 1000 * cpu / n} | {name: 1000 * s / n for name, s in others.items()}
    per_core = 1000 / each["generator"]
    slowest = max(each, key=lambda name: each[name])
    return (
        f"{rate:,}",
        f"{n:,}",
        f"{late:.2%}",
        f"≤ {LATE_TARGET:.0%}: {word(late <= LATE_TARGET)}" if rate == LATE_RATE else "-",
        sum(request.outcome != "response" for request in plan),
        *(f"{known[int(q * len(known))] / 1000:.2f}" for q in (0.5, 0.99)),
        ", ".join(f"{name} {ms:.3f}" for name, ms in each.items()),
        f"{per_core:,.0f}",
        f"≥ {CORE_TARGET:,}: {word(per_core >= CORE_TARGET)}" if rate >= CORE_TARGET else "-",
        f"{slowest}, {1000 / each[slowest]:,.0f}/s",
    )


def run(*, quick: bool) -> None:
    """Print both tables."""
    seconds = 3 if quick else 10
    alone, beside = [], []
    with server() as port, sidecar(port) as (proxy, envoy_cpu):
        _, start_cpu = attack(port, 1, 1)
        for rate in RATES:
            text, cpu = attack(port, rate, seconds)
            plan = read_results(text.splitlines(), rate=rate, seconds=seconds)
            alone.append(_row(rate, plan, cpu - start_cpu, {}))
        for rate in RATES[:3]:
            before = envoy_cpu()
            text, cpu = attack(port, rate, seconds, proxy=proxy)
            plan = read_results(text.splitlines(), rate=rate, seconds=seconds)
            beside.append(_row(rate, plan, cpu - start_cpu, {"Envoy": envoy_cpu() - before}))
    print_table(f"Load generator alone, {seconds} s each", COLUMNS, alone)
    print_table(f"Through its sidecar's Envoy, {seconds} s each", COLUMNS, beside)
