"""Time series in memory: what Prometheus keeps between two scrapes and a question.

Samples are held in two flat arrays per series, because a lab of two dozen proxies has thousands
of series and six hours of them must fit beside the proxies. There is no disk: as in Linkerd's
viz, the history is gone when the process ends.

One thread appends; others may read at the same time. That is safe because a value is stored
before its timestamp, and a retention cut replaces both arrays together instead of shifting them.
"""

import re
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Labels = tuple[tuple[str, str], ...]
"""Label names and values, sorted by name; `__name__` is the metric's name."""

RETENTION_MS = 6 * 3600 * 1000
"""How long samples are kept: Linkerd's viz sets `--storage.tsdb.retention.time=6h`."""

_STALE_BITS = 0x7FF0000000000002
STALE: float = struct.unpack("<d", struct.pack("<Q", _STALE_BITS))[0]
"""Prometheus' marker for "this series has ended": a NaN with a payload of its own."""

MatchOperator = Literal["=", "!=", "=~", "!~"]


def is_stale(value: float) -> bool:
    """True for the staleness marker, false for every number and for an ordinary NaN."""
    return value != value and struct.unpack("<Q", struct.pack("<d", value))[0] == _STALE_BITS  # noqa: PLR0124 - true of NaN only


def make_labels(labels: Mapping[str, str]) -> Labels:
    """Labels in their stored form. An empty value means that the label does not exist."""
    return tuple(sorted((name, value) for name, value in labels.items() if value))


@lru_cache(maxsize=512)
def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(f"(?:{expression})", re.DOTALL)


@dataclass(frozen=True)
class Matcher:
    """One condition of a selector: `name op "value"`; regular expressions match the whole value.

    Raises:
        re.error: the regular expression is not valid.
    """

    name: str
    operator: MatchOperator
    value: str

    def __post_init__(self) -> None:
        if self.operator in ("=~", "!~"):
            _pattern(self.value)

    def accepts(self, value: str) -> bool:
        """True if a label's value ("" for a missing label) satisfies the condition."""
        if self.operator == "=":
            return value == self.value
        if self.operator == "!=":
            return value != self.value
        found = _pattern(self.value).fullmatch(value) is not None
        return found is (self.operator == "=~")


class Series:
    """The samples of one label set, oldest first.

    Attributes:
        labels: all labels, `__name__` included.
        samples: timestamps (Unix, milliseconds) and values, read together as one snapshot.
    """

    __slots__ = ("labels", "samples")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.samples: tuple[array[int], array[float]] = (array("q"), array("d"))

    def append(self, at_ms: int, value: float) -> bool:
        """Add a sample; false (and nothing changed) if it is not newer than the last one."""
        times, values = self.samples
        if times and at_ms <= times[-1]:
            return False
        values.append(value)
        times.append(at_ms)
        return True

    def cut(self, before_ms: int) -> None:
        """Forget the samples older than a moment."""
        times, values = self.samples
        first = bisect_right(times, before_ms - 1)
        if first:
            self.samples = (times[first:], values[first:])

    def at(self, moment_ms: int, lookback_ms: int) -> float | None:
        """The newest value in (moment - lookback, moment]; None if missing or stale."""
        times, values = self.samples
        index = bisect_right(times, moment_ms) - 1
        if index < 0 or times[index] <= moment_ms - lookback_ms or is_stale(values[index]):
            return None
        return values[index]

    def between(self, start_ms: int, end_ms: int) -> tuple[Sequence[int], Sequence[float]]:
        """Timestamps and values in [start, end] without staleness markers."""
        times, values = self.samples
        first, last = bisect_right(times, start_ms - 1), bisect_right(times, end_ms)
        found_times, found = times[first:last], values[first:last]
        if any(map(is_stale, found)):
            kept = [(t, v) for t, v in zip(found_times, found, strict=True) if not is_stale(v)]
            return [t for t, _ in kept], [v for _, v in kept]
        return found_times, found


class Database:
    """All series, found by the name of their metric and then by matchers."""

    def __init__(self, *, retention_ms: int = RETENTION_MS) -> None:
        self.retention_ms = retention_ms
        self._by_name: dict[str, dict[Labels, Series]] = {}

    def __iter__(self) -> Iterator[Series]:
        for group in list(self._by_name.values()):
            yield from list(group.values())

    def series(self, labels: Labels) -> Series:
        """The series of a label set; created if it does not exist."""
        group = self._by_name.setdefault(dict(labels).get("__name__", ""), {})
        found = group.get(labels)
        if found is None:
            found = group[labels] = Series(labels)
        return found

    def append(self, labels: Labels, at_ms: int, value: float) -> bool:
        """Add one sample; see `Series.append`."""
        return self.series(labels).append(at_ms, value)

    def select(self, matchers: Iterable[Matcher]) -> list[Series]:
        """Series whose labels satisfy all matchers."""
        conditions = list(matchers)
        name = next((m for m in conditions if m.name == "__name__" and m.operator == "="), None)
        if name is not None:
            candidates = list(self._by_name.get(name.value, {}).values())
            conditions.remove(name)
        else:
            candidates = list(self)
        if not conditions:
            return candidates
        return [series for series in candidates if _accepts(conditions, series.labels)]

    def expire(self, now_ms: int) -> None:
        """Forget samples older than the retention, and series without any."""
        limit = now_ms - self.retention_ms
        for name, group in list(self._by_name.items()):
            for labels, series in list(group.items()):
                series.cut(limit)
                if not series.samples[0]:
                    del group[labels]
            if not group:
                del self._by_name[name]


def _accepts(matchers: Sequence[Matcher], labels: Labels) -> bool:
    values = dict(labels)
    return all(matcher.accepts(values.get(matcher.name, "")) for matcher in matchers)
