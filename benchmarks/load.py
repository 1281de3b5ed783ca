"""The load generator: does it keep its plan, and how fast can it be on one core?

It runs as a process against a server in another one that answers at once. Cores of the generator
are its CPU time over its time; a rate at which it needs a whole core is its limit.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.measuring import print_table
from labkit.chapters.load import LATE_US, read_results

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
LATE_TARGET = 0.01


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


def attack(port: int, rate: int, seconds: int, *, keepalive: bool = True) -> tuple[str, float]:
    """Results as CSV, and the CPU seconds that they cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    flags = [f"-rate={rate}/1s", f"-duration={seconds}s", "-max-body=0"]
    done = subprocess.run(
        [sys.executable, "-m", MODULE, "attack", *flags, f"-keepalive={str(keepalive).lower()}"],
        input=f"GET http://127.0.0.1:{port}/\n",
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    results = (json.loads(line) for line in done.stdout.splitlines())
    from labkit.embedded.images.vegeta import to_csv

    return "\n".join(",".join(map(str, to_csv(result))) for result in results), cpu


def run(*, quick: bool) -> None:
    """Print the table."""
    seconds = 3 if quick else 10
    rows = []
    with server() as port:
        _, start_cpu = attack(port, 1, 1)
        for rate in RATES:
            began = time.perf_counter()
            text, cpu = attack(port, rate, seconds)
            took = time.perf_counter() - began
            plan = read_results(text.splitlines(), rate=rate, seconds=seconds)
            late = sum((request.late_us or 0) > LATE_US for request in plan) / len(plan)
            lost = sum(request.outcome != "response" for request in plan)
            each_ms = 1000 * (cpu - start_cpu) / len(plan)
            rows.append(
                (
                    f"{rate:,}",
                    f"{len(plan):,}",
                    f"{late:.2%}",
                    f"≤ {LATE_TARGET:.0%}: {'yes' if late <= LATE_TARGET else 'NO'}"
                    if rate <= 1_000
                    else "-",
                    lost,
                    f"{each_ms:.3f}",
                    f"{1000 / each_ms:,.0f}",
                    f"{took:.1f}",
                )
            )
    print_table(
        f"Load generator, {seconds} s each",
        (
            *("requests/s", "n", f"more than {LATE_US / 1000:g} ms late", "target", "lost"),
            *("CPU ms each", "requests/s on one core", "s in all"),
        ),
        rows,
    )
