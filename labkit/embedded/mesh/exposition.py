"""Counters and histograms, and Prometheus' text format.

`prometheus_client` is not used for writing: it forces its own suffixes and needs all label names
of a metric in advance, while Linkerd's series of one metric differ in their labels.

The text of a series is kept until it counts again: a proxy is scraped every ten seconds, and most
of what it has ever counted is as it was.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Labels = tuple[tuple[str, str], ...]

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def series(name: str, labels: Labels, value: float) -> str:
    """One line of the text format."""
    text = repr(value) if isinstance(value, float) and not value.is_integer() else str(int(value))
    if not labels:
        return f"{name} {text}"
    inside = ",".join(f'{key}="{value.translate(_ESCAPES)}"' for key, value in labels)
    return f"{name}{{{inside}}} {text}"


def bound_text(bound: float) -> str:
    """A bucket's `le`: bare integers, as Linkerd prints them."""
    return str(int(bound)) if float(bound).is_integer() else str(bound)


@dataclass
class Counter:
    """A counter (or gauge) with any labels."""

    name: str
    help: str
    kind: str = "counter"
    values: dict[Labels, float] = field(default_factory=dict)
    _shown: dict[Labels, str] = field(default_factory=dict)

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Count."""
        self.values[labels] = self.values.get(labels, 0) + amount
        self._shown.pop(labels, None)

    def lines(self) -> Iterator[str]:
        """The metric in text format; nothing when it has no series."""
        if not self.values:
            return
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.values.items():
            text = self._shown.get(labels)
            if text is None:
                text = self._shown[labels] = series(self.name, labels, value)
            yield text


@dataclass
class Histogram:
    """A histogram with exact counts and an exact sum; bounds are inclusive."""

    name: str
    help: str
    bounds: Sequence[float]
    values: dict[Labels, list[float]] = field(default_factory=dict)
    _shown: dict[Labels, str] = field(default_factory=dict)

    def observe(self, labels: Labels, value: float) -> None:
        """Count a value."""
        counts = self.values.get(labels)
        if counts is None:
            # One count per bucket, +Inf included, then the sum.
            counts = self.values[labels] = [0] * (len(self.bounds) + 2)
        counts[bisect_left(self.bounds, value)] += 1
        counts[-1] += value
        self._shown.pop(labels, None)

    def lines(self) -> Iterator[str]:
        """The metric in text format; nothing when it has no series."""
        if not self.values:
            return
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} histogram"
        for labels, counts in self.values.items():
            text = self._shown.get(labels)
            if text is None:
                text = self._shown[labels] = "\n".join(self._series(labels, counts))
            yield text

    def _series(self, labels: Labels, counts: Sequence[float]) -> Iterator[str]:
        total = 0.0
        for bound, count in zip((*self.bounds, None), counts[:-1], strict=True):
            total += count
            le = "+Inf" if bound is None else bound_text(bound)
            yield series(f"{self.name}_bucket", (*labels, ("le", le)), total)
        yield series(f"{self.name}_sum", labels, counts[-1])
        yield series(f"{self.name}_count", labels, total)
