"""Rate limits as token buckets: a burst at once, then a steady rate."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """So many at once, and so many a second afterwards."""

    burst: float
    per_s: float


class Buckets:
    """One bucket for each key, as an address or a learner.

    Args:
        limit: of each bucket.
        most: buckets that are remembered; the full ones are forgotten first, then the oldest.
        clock: seconds that only grow.
    """

    def __init__(
        self, limit: Limit, *, most: int = 5000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._most = most
        self._clock = clock
        self._filled: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> float:
        """Take one.

        Returns:
            0 when there was one, else the seconds after which there will be.
        """
        now = self._clock()
        level, seen = self._filled.pop(key, (self._limit.burst, now))
        level = min(self._limit.burst, level + (now - seen) * self._limit.per_s)
        enough = level >= 1
        self._filled[key] = (level - 1 if enough else level, now)
        if len(self._filled) > self._most:
            self._forget(now)
        return 0.0 if enough else (1 - level) / self._limit.per_s

    def _forget(self, now: float) -> None:
        full_after_s = self._limit.burst / self._limit.per_s
        self._filled = {k: v for k, v in self._filled.items() if now - v[1] < full_after_s}
        while len(self._filled) > self._most:
            del self._filled[next(iter(self._filled))]
