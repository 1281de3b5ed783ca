"""How exact is the WAN relay? Measured minus requested round trip, beside a direct connection.

Both paths end at the same echo server and are asked in turn within one run, so that a busy machine
disturbs both alike. Prints a Markdown table; the target is p50 ≤ 0.5 ms.

    python -m benchmarks relay
    python benchmarks/relay.py [--rtt 145.9] [--seconds 5]
"""

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import cast

import uvloop

from labkit.embedded.network.relay_control import RelayClient
from labkit.embedded.network.relay_pipes import RouteSpec

CONNECTIONS = 10
RATES = (50, 500)
RTTS_MS = [10.0, 145.9]
COLUMNS = (
    "requested RTT ms",
    "requests/s",
    "n",
    "direct p50 / p99 ms",
    "relay − requested p50 ms",
    "p99 ms",
    "min ms",
)


class Echo(asyncio.Protocol):
    """Sends everything back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self.transport.write(data)


@dataclass
class Pinger(asyncio.Protocol):
    """Sends numbered pings of 8 bytes and notes when each comes back."""

    sent: dict[int, float] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    rest: bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self.transport = cast("asyncio.Transport", transport)

    def ping(self, number: int) -> None:
        """Send one."""
        self.sent[number] = perf_counter()
        self.transport.write(number.to_bytes(8, "big"))

    def data_received(self, data: bytes) -> None:
        """Note what came back."""
        now = perf_counter()
        data = self.rest + data
        whole = len(data) // 8 * 8
        for at in range(0, whole, 8):
            self.times.append(now - self.sent.pop(int.from_bytes(data[at : at + 8], "big")))
        self.rest = data[whole:]


async def connect(port: int) -> list[Pinger]:
    """Open the connections of one path."""
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(Pinger, "127.0.0.1", port) for _ in range(CONNECTIONS)]
    return [pinger for _, pinger in made]


async def measure(
    paths: list[list[Pinger]], *, rate: int, seconds: float, settle: float
) -> list[list[float]]:
    """Open-loop pings at `rate` per second on every path, side by side: milliseconds by path."""
    for pinger in itertools.chain(*paths):
        pinger.ping(0)
    await asyncio.sleep(settle)
    for pinger in itertools.chain(*paths):
        pinger.times.clear()
    began = perf_counter()
    for number in range(1, int(rate * seconds) + 1):
        await asyncio.sleep(max(0.0, began + number / rate - perf_counter()))
        for pingers in paths:
            pingers[number % CONNECTIONS].ping(number)
    await asyncio.sleep(settle)
    return [[t * 1000 for pinger in pingers for t in pinger.times] for pingers in paths]


def percentile(values: list[float], share: float) -> float:
    """A quantile by linear interpolation."""
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


def row(rtt: float, rate: int, direct: list[float], relayed: list[float]) -> str:
    """One line of the table."""
    extra = [value - rtt for value in relayed]
    cells = (
        f"{rtt:g}",
        f"{rate}",
        f"{len(extra)}",
        f"{percentile(direct, 0.5):.2f} / {percentile(direct, 0.99):.2f}",
        f"{percentile(extra, 0.5):+.2f}",
        f"{percentile(extra, 0.99):+.2f}",
        f"{min(extra):+.2f}",
    )
    return "| " + " | ".join(cells) + " |"


async def bench(client: RelayClient, target: int, rtts: list[float], seconds: float) -> None:
    """Print the table."""
    print("| " + " | ".join(COLUMNS) + " |")
    print("| " + " | ".join("---:" for _ in COLUMNS) + " |")
    for rtt in rtts:
        route = RouteSpec(id=f"r{rtt}", targets=(f"127.0.0.1:{target}",), rtt_ms=rtt)
        port = int((await client.put(route))["listen"].rpartition(":")[2])
        for rate in RATES:
            paths = [await connect(target), await connect(port)]
            settle = 3 * rtt / 1000 + 0.3
            direct, relayed = await measure(paths, rate=rate, seconds=seconds, settle=settle)
            print(row(rtt, rate, direct, relayed), flush=True)
            for pinger in itertools.chain(*paths):
                pinger.transport.close()


async def measure_relay(rtts: list[float], seconds: float) -> None:
    """Start an echo server and a relay, and measure."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    target = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        control = Path(folder, "relay.sock")
        relay = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "labkit.embedded.network.relay", "--control", str(control)
        )
        async with RelayClient(control) as client:
            while not await client.healthy():
                await asyncio.sleep(0.02)
            await bench(client, target, rtts, seconds)
        relay.terminate()
        await relay.wait()
    server.close()


def run(*, quick: bool) -> None:
    """Print the table."""
    print("\n### WAN relay (target: relay − requested p50 ≤ 0.5 ms)\n", flush=True)
    uvloop.run(measure_relay(RTTS_MS, 2.0 if quick else 5.0))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="measured minus requested round trip")
    parser.add_argument("--rtt", type=float, action="append", help="ms; may be given again")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    options = parser.parse_args()
    uvloop.run(measure_relay(options.rtt or RTTS_MS, options.seconds))


if __name__ == "__main__":
    main()
