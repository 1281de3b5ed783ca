"""Routes of the relay: a listener, its connections, and the two pipes of each.

It deliberately knows nothing of who asks for a route: :mod:`labkit.embedded.network.relay_control`
does that.
"""

import asyncio
import contextlib
import logging
import socket
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any, cast

from labkit.embedded.network.relay_clock import Alarms
from labkit.embedded.network.relay_pipes import Delay, Pipe, RouteSpec, RouteStats

logger = logging.getLogger(__name__)


class _End(asyncio.Protocol):
    """One socket of a connection: what it reads goes to ``out``, ``into`` writes to it."""

    def __init__(self, connection: "Connection", *, out: Pipe, into: Pipe) -> None:
        self._connection = connection
        self._out = out
        self._into = into

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        socket_transport = cast("asyncio.Transport", transport)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._out.source = socket_transport
        self._into.sink = socket_transport
        self._connection.attached(socket_transport)
        self._into.kick()

    def data_received(self, data: bytes) -> None:
        self._out.feed(data)

    def eof_received(self) -> bool:
        self._out.feed(None)
        return True  # keep the other direction open

    def pause_writing(self) -> None:
        self._into.writable(state=False)

    def resume_writing(self) -> None:
        self._into.writable(state=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost(exc)


class Connection:
    """A client's connection and the one to a target, with a pipe each way."""

    def __init__(self, route: "Route", number: int) -> None:
        self._route = route
        self._loop = asyncio.get_running_loop()
        self._began = perf_counter()
        rtt = route.spec.rtt_ms / 1000
        seed = f"{route.spec.seed}/{route.spec.id}/{number}"
        # The client's first bytes could leave it one round trip after it began to connect, the
        # target learns of the connection half a round trip after that.
        self._up = Pipe(
            Delay(route, seed + "/up", upward=True),
            route,
            not_before=self._began + 1.5 * rtt,
            upward=True,
        )
        self._down = Pipe(
            Delay(route, seed + "/down", upward=False),
            route,
            not_before=self._began + 2 * rtt,
            upward=False,
        )
        self._up.on_finished = self._down.on_finished = self._close_when_finished
        self._transports: list[asyncio.Transport] = []
        self._dial: asyncio.Task[None] | None = None
        self._dead = False

    def client_protocol(self) -> asyncio.Protocol:
        """The protocol of the accepted socket; dials a target at once."""
        return _End(self, out=self._up, into=self._down)

    def attached(self, transport: asyncio.Transport) -> None:
        """A socket is there; the first one is the client's."""
        self._transports.append(transport)
        if self._dead:
            transport.abort()
        elif self._dial is None:
            self._route.opened(self)
            self._dial = self._loop.create_task(self._dial_target(), name=self._route.spec.id)

    async def _dial_target(self) -> None:
        for target in self._route.next_targets():
            host, _, port = target.rpartition(":")
            with contextlib.suppress(OSError):
                await self._loop.create_connection(
                    lambda: _End(self, out=self._down, into=self._up), host, int(port)
                )
                return
        self._route.stats.refused += 1
        wait = self._began + self._route.spec.rtt_ms / 1000 - perf_counter()
        await asyncio.sleep(max(0.0, wait))
        while self._route.spec.blackhole:  # noqa: ASYNC110 - the refusal does not come back either
            await asyncio.sleep(0.05)
        self.abort()

    def lost(self, exc: Exception | None) -> None:
        """A socket is gone. A reset reaches the other side half a round trip later."""
        if not self._dead and not (self._up.finished and self._down.finished):
            logger.debug("%s: connection lost: %s", self._route.spec.id, exc)
            self._loop.call_later(self._route.spec.rtt_ms / 2000, self.abort)

    def kick(self) -> None:
        """The route changed: look at both directions again."""
        self._up.kick()
        self._down.kick()

    def _close_when_finished(self) -> None:
        if self._up.finished and self._down.finished:
            for transport in self._transports:
                transport.close()
            self._end()

    def abort(self) -> None:
        """Reset both sides."""
        if not self._dead:
            for transport in self._transports:
                transport.abort()
            self._end()

    def _end(self) -> None:
        self._dead = True
        self._up.cancel()
        self._down.cancel()
        if self._dial is not None and self._dial is not asyncio.current_task():
            self._dial.cancel()
        self._route.closed(self)


@dataclass(eq=False)
class Route:
    """A listener and its connections."""

    spec: RouteSpec
    alarms: Alarms
    stats: RouteStats = field(default_factory=RouteStats)
    _server: asyncio.Server | None = None
    _connections: set[Connection] = field(default_factory=set)
    _turn: int = 0

    async def start(self) -> None:
        """Listen; afterwards ``spec.listen`` holds the real port.

        Raises:
            OSError: the port is taken.
        """
        host, _, port = self.spec.listen.rpartition(":")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._accept, host, int(port), backlog=1024, reuse_address=True
        )
        real = self._server.sockets[0].getsockname()[1]
        self.spec = RouteSpec(**{**asdict(self.spec), "listen": f"127.0.0.1:{real}"})

    async def stop(self) -> None:
        """Close the listener and reset every connection."""
        if self._server:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()

    def change(self, spec: RouteSpec) -> None:
        """Apply new values to the bytes that come from now on; ``listen`` stays."""
        self.spec = RouteSpec(**{**asdict(spec), "listen": self.spec.listen})
        for connection in list(self._connections):
            connection.kick()

    def next_targets(self) -> list[str]:
        """Every target, beginning with the next in turn."""
        targets = list(self.spec.targets)
        start = self._turn % len(targets) if targets else 0
        self._turn += 1
        return targets[start:] + targets[:start]

    def opened(self, connection: Connection) -> None:
        """Count a connection."""
        self._connections.add(connection)
        self.stats.open += 1

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        if connection in self._connections:
            self._connections.discard(connection)
            self.stats.open -= 1

    def describe(self) -> dict[str, Any]:
        """The route and its figures, as the control socket shows them."""
        return {**asdict(self.spec), "stats": asdict(self.stats)}

    def _accept(self) -> asyncio.Protocol:
        self.stats.connections += 1
        return Connection(self, self.stats.connections).client_protocol()
