"""One direction of a relayed connection: bytes go in now and come out when they are due.

Holds the model of the wide-area link (see :mod:`labkit.embedded.network.relay` for what it
models): what a route is told, when a chunk may leave, and the queue that keeps it until then.
It deliberately knows nothing of listeners and targets.
"""

import asyncio
import collections
import contextlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from labkit.embedded.network.relay_clock import Alarm, Alarms

JITTER_LAWS = ("normal", "pareto")
PARETO_SHAPE = 3.0
_PARETO_SCALE = math.sqrt((PARETO_SHAPE - 1) ** 2 * (PARETO_SHAPE - 2) / PARETO_SHAPE)
"""Scale of a Lomax distribution of this shape whose standard deviation is one."""

_EARLY_S = 0.00002
_HIGH_BYTES = 4 << 20  # held back per direction before the sender is asked to wait
_LOW_BYTES = 1 << 20
_SEGMENT_BYTES = 1460
_BATCH = 64  # chunks joined into one write


@dataclass(frozen=True)
class RouteSpec:
    """What a route does. All times in milliseconds of the whole round trip."""

    id: str
    targets: tuple[str, ...]
    """``127.0.0.1:N``, tried in turn starting from the next one."""
    listen: str = "127.0.0.1:0"
    """Where the route listens; port 0 lets the system choose."""
    rtt_ms: float = 0.0
    jitter_ms: float = 0.0
    """Standard deviation of the round trip."""
    jitter_law: str = "normal"
    """`normal`, or `pareto`: a one-sided heavy tail; see `Delay`."""
    loss: float = 0.0
    """Probability that a segment is lost, 0 … below 1."""
    blackhole: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        host, _, port = self.listen.rpartition(":")
        if host != "127.0.0.1" or not port.isdigit():
            raise ValueError(f"listen must be 127.0.0.1:PORT, not {self.listen!r}")
        for name in ("rtt_ms", "jitter_ms"):
            value = getattr(self, name)
            if not (0 <= value < 60_000 and math.isfinite(value)):
                raise ValueError(f"{name} must be 0 … 60000 milliseconds, not {value!r}")
        if self.jitter_law not in JITTER_LAWS:
            known = ", ".join(JITTER_LAWS)
            raise ValueError(f"jitter_law must be one of {known}, not {self.jitter_law!r}")
        if not 0 <= self.loss < 1:
            raise ValueError(f"loss must be at least 0 and below 1, not {self.loss!r}")
        if not isinstance(self.blackhole, bool):
            raise TypeError(f"blackhole must be true or false, not {self.blackhole!r}")


@dataclass
class RouteStats:
    """What went through a route since it was made."""

    connections: int = 0
    open: int = 0
    refused: int = 0
    bytes_up: int = 0
    """Bytes from clients to targets."""
    bytes_down: int = 0
    retransmissions: int = 0
    """Emulated ones."""


class Link(Protocol):
    """The part of a route that its pipes look at."""

    spec: RouteSpec
    stats: RouteStats
    alarms: Alarms


class Delay:
    """When a chunk that arrives now may leave: one direction of one connection.

    The two laws of jitter, both with the standard deviation `jitter_ms` of the whole round trip:

    * `normal`: around the delay, half of the variance each way, never less than no delay at all;
    * `pareto`: added to the delay, on the way up only, so that the round trip's own law is known:
      `rtt_ms` plus a Lomax distribution of shape 3. p99 lies 4.2 standard deviations above it.
    """

    def __init__(self, route: Link, seed: str, *, upward: bool) -> None:
        self._route = route
        self._upward = upward
        self._random = random.Random(seed)  # noqa: S311 - weather, not a secret

    def seconds(self, size: int) -> float:
        """One-way delay of a chunk of ``size`` bytes."""
        spec = self._route.spec
        delay = spec.rtt_ms / 2
        if spec.jitter_ms:
            delay = max(0.0, delay + self._jitter_ms(spec))
        if spec.loss:
            segments = max(1, math.ceil(size / _SEGMENT_BYTES))
            if self._random.random() < 1 - (1 - spec.loss) ** segments:
                self._route.stats.retransmissions += 1
                delay += max(200.0, 2 * spec.rtt_ms)
        return delay / 1000

    def _jitter_ms(self, spec: RouteSpec) -> float:
        if spec.jitter_law == "normal":
            return self._random.gauss(0.0, spec.jitter_ms / math.sqrt(2))
        if not self._upward:
            return 0.0
        return spec.jitter_ms * _PARETO_SCALE * (self._random.paretovariate(PARETO_SHAPE) - 1)


class Pipe:
    """One direction of a connection: a queue of (due, bytes), flushed by one timer.

    ``None`` in place of bytes is the end of the stream: the half-close travels like data.
    """

    def __init__(self, delay: Delay, route: Link, *, not_before: float, upward: bool) -> None:
        self._delay = delay
        self._route = route
        self._last_due = not_before
        self._upward = upward
        self._queue: collections.deque[tuple[float, bytes | None]] = collections.deque()
        self._held = 0
        self._timer: Alarm | None = None
        self._writable = True
        self._source_paused = False
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.finished = False
        self.on_finished: Callable[[], None] = lambda: None

    def feed(self, data: bytes | None) -> None:
        """Take bytes that came from the source (None: its end)."""
        # The bytes came a little before this process woke up to read them.
        came = perf_counter() - self._route.alarms.lead_s / 2
        due = max(self._last_due, came + self._delay.seconds(len(data or b"")))
        self._last_due = due
        self._queue.append((due, data))
        if data is not None:
            self._held += len(data)
            if self._held > _HIGH_BYTES and not self._source_paused and self.source:
                self._source_paused = True
                self.source.pause_reading()
        if self._timer is None:
            self._arm(due)

    def writable(self, *, state: bool) -> None:
        """The sink asks to stop or go on."""
        self._writable = state
        if state:
            self.kick()

    def kick(self) -> None:
        """Look at the queue again: the sink is there, writable, or a black hole was lifted."""
        if self._timer is None and self._queue:
            self._flush()

    def cancel(self) -> None:
        """Drop what is held."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()

    def _arm(self, due: float) -> None:
        self._timer = self._route.alarms.at(due, self._flush)

    def _flush(self) -> None:
        self._timer = None
        now = perf_counter() + _EARLY_S
        ready: list[bytes] = []
        while self._queue and self._queue[0][0] <= now and self._may_write():
            _, data = self._queue.popleft()
            if data is None:
                self._send(ready)
                self._finish()
                return
            ready.append(data)
            if len(ready) >= _BATCH:
                self._send(ready)
                ready = []
        self._send(ready)
        if self._queue and self._may_write() and self._timer is None:
            self._arm(self._queue[0][0])

    def _may_write(self) -> bool:
        return self.sink is not None and self._writable and not self._route.spec.blackhole

    def _send(self, chunks: list[bytes]) -> None:
        if not chunks or self.sink is None:
            return
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        stats = self._route.stats
        if self._upward:
            stats.bytes_up += len(data)
        else:
            stats.bytes_down += len(data)
        self._held -= len(data)
        if not self.sink.is_closing():
            self.sink.write(data)
        if self._source_paused and self._held < _LOW_BYTES and self.source:
            self._source_paused = False
            self.source.resume_reading()

    def _finish(self) -> None:
        if self.finished:
            return
        self.finished = True
        if self.sink and not self.sink.is_closing() and self.sink.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):
                self.sink.write_eof()
        self.on_finished()
