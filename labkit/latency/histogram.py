"""What a Prometheus histogram can say of a quantile, and what it cannot.

Linkerd's latency buckets are wide: every path of one ocean's width falls into one of them.
Interpolation inside a bucket then invents the quantiles (150 / 195 / 199 ms for any path between
101 and 199 ms). So a quantile from buckets is a bracket here, and figures that are products of
the interpolation are found and named.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LINKERD_BOUNDS_MS: tuple[float, ...] = (
    *(1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500),
    *(1_000, 2_000, 3_000, 4_000, 5_000, 10_000, 20_000, 30_000, 40_000, 50_000),
    math.inf,
)
"""Upper bounds of `response_latency_ms`."""

_USUAL = (0.50, 0.95, 0.99)


@dataclass(frozen=True)
class Bracket:
    """The bucket that holds a quantile: all that the histogram knows.

    Attributes:
        q: the quantile, 0 to 1.
        low_ms: lower bound (excluded).
        high_ms: upper bound (included), inf for the last bucket.
    """

    q: float
    low_ms: float
    high_ms: float

    @property
    def bounds(self) -> tuple[float, float]:
        """Both bounds."""
        return self.low_ms, self.high_ms

    def __str__(self) -> str:
        high = "∞" if math.isinf(self.high_ms) else f"{self.high_ms:g}"
        return f"p{self.q * 100:g} in ({self.low_ms:g}, {high}] ms"


@dataclass(frozen=True)
class Histogram:
    """Requests by bucket over a window.

    Attributes:
        bounds_ms: upper bounds, ascending, the last one inf.
        cumulative: requests at or below each bound.
    """

    bounds_ms: tuple[float, ...]
    cumulative: tuple[float, ...]

    @classmethod
    def of(cls, cumulative: Mapping[float, float]) -> "Histogram":
        """Make a histogram from `le` (ms) -> requests at or below it.

        Counters that reset inside the window may leave small dips; they are levelled up, as
        Prometheus does.
        """
        bounds = tuple(sorted(cumulative))
        level, levels = 0.0, []
        for bound in bounds:
            level = max(level, cumulative[bound])
            levels.append(level)
        return cls(bounds, tuple(levels))

    @classmethod
    def from_samples(
        cls, samples_ms: Sequence[float], bounds_ms: Sequence[float] = LINKERD_BOUNDS_MS
    ) -> "Histogram":
        """Sort samples into buckets, as a proxy does."""
        counts = {bound: float(sum(x <= bound for x in samples_ms)) for bound in bounds_ms}
        return cls.of(counts)

    @property
    def n(self) -> float:
        """Requests in all."""
        return self.cumulative[-1] if self.cumulative else 0.0

    def bracket(self, q: float) -> Bracket | None:
        """Return the bucket that holds a quantile; None without requests."""
        index = self._bucket(q)
        if index is None:
            return None
        return Bracket(q, self._low(index), self.bounds_ms[index])

    def brackets(self, quantiles: Mapping[str, float]) -> dict[str, list[float | None]]:
        """Bounds in ms of the bucket of each quantile, as plain values.

        Args:
            quantiles: name -> q.

        Returns:
            Low and high; high is None for the last bucket, both are without requests.
        """
        found = {name: self.bracket(q) for name, q in quantiles.items()}
        return {
            name: [None, None]
            if bracket is None
            else [bracket.low_ms, None if math.isinf(bracket.high_ms) else bracket.high_ms]
            for name, bracket in found.items()
        }

    def interpolated(self, q: float) -> float | None:
        """Return what `histogram_quantile` says: linear inside the bucket, an invention.

        Returns:
            ms; the last finite bound when the quantile is in the last bucket; None without
            requests.
        """
        index = self._bucket(q)
        if index is None:
            return None
        low, high = self._low(index), self.bounds_ms[index]
        if math.isinf(high):
            return low
        below = self.cumulative[index - 1] if index else 0.0
        inside = self.cumulative[index] - below
        return low + (high - low) * (q * self.n - below) / inside if inside else high

    def _bucket(self, q: float) -> int | None:
        if not self.cumulative or self.n <= 0:
            return None
        rank = q * self.n
        return next(i for i, count in enumerate(self.cumulative) if count >= rank and count > 0)

    def _low(self, index: int) -> float:
        return self.bounds_ms[index - 1] if index else 0.0


def artefacts(
    histogram: Histogram, *, shown: Mapping[float, float] | None = None, label: str = "viz"
) -> list[str]:
    """Name the figures that the buckets invent.

    Args:
        histogram: over the window.
        shown: quantile -> figure in ms, as some tool shows it; by default the interpolated ones.
        label: what to call the source.

    Returns:
        One sentence a finding; empty when the buckets resolve the quantiles.
    """
    brackets = {q: histogram.bracket(q) for q in _USUAL}
    known = {q: bracket for q, bracket in brackets.items() if bracket is not None}
    if not known:
        return []
    found = []
    for low_ms, high_ms in dict.fromkeys(bracket.bounds for bracket in known.values()):
        together = [q for q, bracket in known.items() if bracket.bounds == (low_ms, high_ms)]
        if len(together) > 1:
            high = "∞" if math.isinf(high_ms) else f"{high_ms:g}"
            figures = " / ".join(f"{histogram.interpolated(q) or 0.0:.0f}" for q in together)
            found.append(
                f"{label}: {_listed(together)} lie in one bucket ({low_ms:g}, {high}] ms; "
                f"the interpolated {figures} ms is an artefact of its bounds"
            )
    for q, figure in (shown or {}).items():
        inside = known.get(q) or histogram.bracket(q)
        if inside is not None and is_interpolation(figure, inside):
            found.append(
                f"{label}: p{q * 100:g} = {figure:g} ms equals lo + q·(hi − lo) of its bucket "
                f"({inside.low_ms:g}, {inside.high_ms:g}] ms: not a measurement"
            )
    return found


def _listed(quantiles: Sequence[float]) -> str:
    """As `p50, p95 and p99`."""
    names = [f"p{q * 100:g}" for q in quantiles]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def is_interpolation(figure_ms: float, bracket: Bracket, *, tolerance_ms: float = 0.05) -> bool:
    """Whether a figure is just lo + q·(hi − lo) of its bucket: the mark of an empty statistic."""
    if math.isinf(bracket.high_ms):
        return False
    invented = bracket.low_ms + bracket.q * (bracket.high_ms - bracket.low_ms)
    return abs(figure_ms - invented) <= tolerance_ms
