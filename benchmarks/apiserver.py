"""How quick is the Kubernetes API? Raw HTTP over one, and eight, kept-alive TLS connections.

It measures cluster `west` of a fresh `labkit up --bare`, with its controllers and nodes beside it
in the daemon. The pods name a scheduler that does not exist, so none of them starts. With a
kubeconfig a server at hand is measured in the same way, in a namespace of its own, and printed
beside it:

    python -m benchmarks apiserver
    python -m benchmarks.apiserver --kubeconfig FILE --context NAME [--pods 1000]

A figure of the watch is the time from sending a create to the event, in each of fifty watchers that
share one client process (`raw_client`). "With 10,000" is measured when there are that many
ConfigMaps.
"""

import argparse
import asyncio
import json
import secrets
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.measuring import Home, cpu_by_kind, met, print_table, temporary_home
from benchmarks.raw_client import Connection, Server

CONNECTIONS = 8
LISTS = 15
WATCHERS = 50
WATCHED_WRITES = 100
PAUSE_S = 0.02
FEW, MANY, FEWER_MANY = 100, 10_000, 2_000
IDLE_S = 20.0
SETTLE_S = 5.0
TARGETS = {
    "create": "≥ 455/s, p50 ≤ 2.0 ms",
    "get": "≥ 1000/s, p50 ≤ 0.95 ms",
    "list": "1,000 pods ≤ 22 ms",
    "create, 8 connections": "≥ 1200/s",
    "get, 8 connections": "≥ 1900/s",
    "watch": "p50 ≤ 4 ms, p99 ≤ 24 ms",
    "flat": "as with 100",
}


@dataclass(frozen=True)
class Row:
    """One line: what was asked, how often, and how long it took (milliseconds)."""

    key: str
    title: str
    n: int
    rate: float
    p50_ms: float
    p99_ms: float


def pod(name: str) -> dict[str, Any]:
    """A pod that nobody schedules, about 2.1 KB when stored."""
    limits = {"cpu": "1", "memory": "1Gi"}
    container = {"name": "main", "image": "nginx", "ports": [{"containerPort": 80}]}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {
            "schedulerName": "nobody",
            "containers": [container | {"resources": {"limits": limits}}],
        },
    }


def measure(server: Server, pods: int, many: int = MANY) -> list[Row]:
    """The rows of one server; its namespace is deleted at the end."""
    first = server.connect()
    namespace = f"bench-{secrets.token_hex(4)}"
    first.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    path = f"/api/v1/namespaces/{namespace}/pods"
    try:
        _wait_for_account(first, namespace)
        rows = [
            _row("create", [first.ask("POST", path, pod(f"p{n}"))[0] for n in range(pods)]),
            _row("get", [first.ask("GET", f"{path}/p{n}")[0] for n in range(pods)]),
        ]
        lists = [first.ask("GET", path) for _ in range(LISTS)]
        size = f"list, {pods} pods, {len(lists[0][1]) / 1e6:.1f} MB"
        rows.append(_row("list", [taken for taken, _ in lists], title=size))
        rows += _eight(server, path, pods)
        rows.append(_row("watch", uvloop.run(_watched(server, path)), title=_WATCH_TITLE))
        rows += _flat(server, f"/api/v1/namespaces/{namespace}/configmaps", many)
    finally:
        first.ask("DELETE", f"/api/v1/namespaces/{namespace}")
    return rows


_WATCH_TITLE = f"write to event, {WATCHERS} watchers"


async def _watched(server: Server, path: str) -> list[float]:
    """Seconds from sending a create to its event, for every watcher and write."""
    version = json.loads(server.connect().ask("GET", f"{path}?limit=1")[1])["metadata"]
    query = f"watch=true&resourceVersion={version['resourceVersion']}"
    sent: dict[bytes, float] = {}
    taken: list[float] = []

    def arrived(line: bytes) -> None:
        now = time.perf_counter()
        if line.startswith(b'{"type":"ADDED"'):
            taken.append(now - sent[line.split(b'"name":"', 1)[1].split(b'"', 1)[0]])

    def write() -> None:
        connection = server.connect()
        for number in range(WATCHED_WRITES):
            name = f"w{number}"
            sent[name.encode()] = time.perf_counter()
            connection.ask("POST", path, pod(name))
            time.sleep(PAUSE_S)

    watches = [await server.watch(f"{path}?{query}", arrived) for _ in range(WATCHERS)]
    await asyncio.to_thread(write)
    give_up = time.monotonic() + 30
    while len(taken) < WATCHERS * WATCHED_WRITES:
        if time.monotonic() > give_up:
            raise RuntimeError(f"{len(taken)} of {WATCHERS * WATCHED_WRITES} events arrived")
        await asyncio.sleep(0.05)
    for watch in watches:
        watch.transport.abort()
    return taken


def _flat(server: Server, path: str, many: int) -> list[Row]:
    """Creates and gets of ConfigMaps when there are few, and when there are many."""
    connection = server.connect()

    def create(first: int, number: int, asking: Connection) -> list[float]:
        bodies = [(f"m{n}", n) for n in range(first, first + number)]
        return [
            asking.ask("POST", path, {"metadata": {"name": name}, "data": {"n": str(n)}})[0]
            for name, n in bodies
        ]

    def rows(first: int) -> list[Row]:
        made = create(first, FEW, connection)
        read = [connection.ask("GET", f"{path}/m{n}")[0] for n in range(first, first + FEW)]
        there = f"with {first + FEW:,} ConfigMaps"
        return [
            _row("flat", made, title=f"create {there}"),
            _row("flat", read, title=f"get {there}"),
        ]

    found = rows(0)
    each = (many - 2 * FEW) // CONNECTIONS
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        starts = range(FEW, FEW + each * CONNECTIONS, each)
        list(threads.map(lambda first: create(first, each, server.connect()), starts))
    return found + rows(FEW + each * CONNECTIONS)


def _wait_for_account(connection: Connection, namespace: str) -> None:
    """Pods need the namespace's default account, which a controller makes."""
    give_up = time.monotonic() + 30
    while True:
        try:
            connection.ask("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
        except RuntimeError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
        else:
            return


def _eight(server: Server, path: str, pods: int) -> list[Row]:
    connections = [server.connect() for _ in range(CONNECTIONS)]
    each = range(pods // CONNECTIONS)

    def create(number: int) -> list[float]:
        ask = connections[number].ask
        return [ask("POST", path, pod(f"c{number}-{n}"))[0] for n in each]

    def get(number: int) -> list[float]:
        return [connections[number].ask("GET", f"{path}/c{number}-{n}")[0] for n in each]

    rows = []
    for name, work in (("create, 8 connections", create), ("get, 8 connections", get)):
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            started = time.perf_counter()
            taken = [value for part in threads.map(work, range(CONNECTIONS)) for value in part]
            rows.append(_row(name, taken, wall=time.perf_counter() - started))
    return rows


def _row(key: str, taken: list[float], *, wall: float = 0.0, title: str = "") -> Row:
    p50 = statistics.median(taken) * 1000
    p99 = statistics.quantiles(taken, n=100, method="inclusive")[98] * 1000
    return Row(key, title or key, len(taken), len(taken) / (wall or sum(taken)), p50, p99)


def _cells(row: Row) -> tuple[str, ...]:
    rate = "" if row.key == "watch" else f"{row.rate:.0f}"  # many watchers wait at once
    return (rate, f"{row.p50_ms:.2f}", f"{row.p99_ms:.2f}")


def show(measured: dict[str, list[Row]]) -> None:
    """Print the rows of one server, or of several side by side."""
    columns = [
        f"{name}: {what}" for name in measured for what in ("per second", "p50 ms", "p99 ms")
    ]
    lines = []
    for same in zip(*measured.values(), strict=True):
        cells = [cell for row in same for cell in _cells(row)]
        lines.append((same[0].title, same[0].n, *cells, TARGETS[same[0].key]))
    print_table("Kubernetes API", ("request", "n", *columns, "target"), lines)


def _standing(home: Home) -> None:
    """Print what the daemon holds, and what the whole lab burns when nobody asks anything."""
    share = sum(one.percent for one in cpu_by_kind(home, IDLE_S).values())
    processes = home.facts("status")["processes"]
    daemon = next(process["pss_mb"] for process in processes if process["name"] == "daemon")
    held = "daemon (both API servers, controllers, nodes), MB"
    rows = [
        (held, f"{daemon:.0f}", met(daemon, 120)),
        (
            f"CPU of {len(processes)} processes over {IDLE_S:.0f} s, % of a core",
            f"{share:.1f}",
            met(share, 5),
        ),
    ]
    print_table("A lab of two empty clusters, idle", ("what", "measured", "target"), rows)


def run(*, quick: bool) -> None:
    """Print the tables of the embedded cloud."""
    show(_embedded(pods=200 if quick else 1000, many=FEWER_MANY if quick else MANY))


def _embedded(*, pods: int, many: int) -> dict[str, list[Row]]:
    with temporary_home() as home:
        home.labkit("up", "--bare")
        time.sleep(SETTLE_S)
        _standing(home)
        kubeconfig = next(home.folder.glob("*/kubeconfig"))
        return {"embedded": measure(Server(kubeconfig, "west"), pods, many)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description="requests of the embedded Kubernetes API and of a server at hand, side by side"
    )
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--context", required=True)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--objects", type=int, default=MANY, help="ConfigMaps for the last rows")
    options = parser.parse_args()
    theirs = measure(Server(options.kubeconfig, options.context), options.pods, options.objects)
    ours = _embedded(pods=options.pods, many=options.objects)
    show({**ours, options.context: theirs})


if __name__ == "__main__":
    main()
