"""Two runs compared: each figure as a difference with its interval, and a permutation test.

Two numbers side by side say nothing of whether they differ. The interval of a difference is put
together from the intervals of its two sides (the method of variance estimates recovery of Zou and
Donner), so that it is as distribution-free as they are: for means by Student's t, for quantiles by
order statistics. The test asks how often a split of the pooled samples by chance alone makes a
difference as large as the one seen. Deliberately absent: a verdict.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from labkit.latency import statistics
from labkit.latency.statistics import Samples

FIGURES = ("mean", "p50", "p95", "p99")
"""What is compared by default."""

_RESAMPLES = 9_999
_FEWEST = 999
_WORK = 40_000_000
"""Samples that one test may shuffle: the more samples, the fewer resamples, down to 999."""


@dataclass(frozen=True)
class Difference:
    """A figure of run B minus that of run A; positive: B is slower.

    Attributes:
        figure: `mean`, or a quantile as `p95`.
        difference_ms: NaN when one side has no figure.
        low_ms: lower end of the 95 % interval; NaN when a side cannot bound it.
        high_ms: upper end.
        n_a: samples of A.
        n_b: samples of B.
        p_value: of the two-sided permutation test; NaN without a test.
        note: why there is no figure; empty when there is one.
    """

    figure: str
    difference_ms: float
    low_ms: float
    high_ms: float
    n_a: int
    n_b: int
    p_value: float = math.nan
    note: str = ""

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low_ms > 0 or self.high_ms < 0

    def __str__(self) -> str:
        if self.note:
            return f"{self.figure}: {self.note}"
        interval = f"[{self.low_ms:+.1f}, {self.high_ms:+.1f}]"
        test = f", p={self.p_value:.3g}" if math.isfinite(self.p_value) else ""
        counts = f"n={self.n_a} / {self.n_b}"
        return f"{self.figure}: {self.difference_ms:+.1f} ms {interval} ({counts}{test})"


@dataclass(frozen=True)
class _Side:
    value_ms: float
    low_ms: float
    high_ms: float
    n: int
    needed: int

    @property
    def enough(self) -> bool:
        return self.n >= self.needed


def difference(
    a_ms: Samples, b_ms: Samples, *, figure: str = "mean", seed: int | None = 1
) -> Difference:
    """Compare one figure of two runs.

    Args:
        a_ms: raw samples of run A, repetitions pooled.
        b_ms: raw samples of run B.
        figure: `mean`, or a quantile as `p50` or `p99.9`.
        seed: of the permutation test; None leaves the test out.

    Raises:
        ValueError: no such figure.
    """
    one, two = _side(a_ms, figure), _side(b_ms, figure)
    if not (one.enough and two.enough):
        needed = max(one.needed, two.needed)
        note = f"not enough samples (n={min(one.n, two.n)}, needs {needed})"
        return Difference(figure, math.nan, math.nan, math.nan, one.n, two.n, note=note)
    low, high = _interval(one, two)
    p_value = math.nan if seed is None else _test(a_ms, b_ms, figure=figure, seed=seed)
    return Difference(figure, two.value_ms - one.value_ms, low, high, one.n, two.n, p_value)


def difference_of_means(a: statistics.Mean, b: statistics.Mean, *, figure: str) -> Difference:
    """Compare two means that have no raw samples behind them, as viz' are; there is no test."""
    if math.isnan(a.value_ms) or math.isnan(b.value_ms):
        return Difference(figure, math.nan, math.nan, math.nan, a.n, b.n, note="not measured")
    low, high = _interval(_of_mean(a), _of_mean(b))
    return Difference(figure, b.value_ms - a.value_ms, low, high, a.n, b.n)


def differences(
    a_ms: Samples,
    b_ms: Samples,
    *,
    source: str,
    figures: Sequence[str] = FIGURES,
    seed: int | None = 1,
) -> pd.DataFrame:
    """Compare several figures of two runs, as the forest plot draws them.

    Args:
        a_ms: raw samples of run A, repetitions pooled.
        b_ms: raw samples of run B.
        source: of the samples, as `tap` or `load`.
        figures: `mean`, and quantiles as `p95`.
        seed: of the permutation test; None leaves the test out.

    Returns:
        Columns figure, source, difference_ms, low_ms, high_ms, n_a, n_b, p_value, note.
    """
    found = (difference(a_ms, b_ms, figure=figure, seed=seed) for figure in figures)
    return table([(source, one) for one in found])


def table(rows: Sequence[tuple[str, Difference]]) -> pd.DataFrame:
    """Put differences into a table; each with its source."""
    names = ["figure", "source", "difference_ms", "low_ms", "high_ms", "n_a", "n_b", "p_value"]
    return pd.DataFrame(
        [{"source": source, **asdict(one)} for source, one in rows], columns=[*names, "note"]
    )


def _quantile_of(figure: str) -> float | None:
    """0 to 1, None for the mean."""
    if figure == "mean":
        return None
    try:
        return round(float(figure.removeprefix("p")) / 100, 9)
    except ValueError:
        raise ValueError(f"a figure is `mean` or a quantile as `p95`, not {figure!r}") from None


def _side(samples_ms: Samples, figure: str) -> _Side:
    q = _quantile_of(figure)
    if q is None:
        return _of_mean(statistics.mean_of_samples(samples_ms))
    found = statistics.quantile(samples_ms, q)
    return _Side(found.value_ms, found.low_ms, found.high_ms, found.n, found.needed)


def _of_mean(mean: statistics.Mean) -> _Side:
    return _Side(mean.value_ms, mean.low_ms, mean.high_ms, mean.n, needed=2)


def _interval(a: _Side, b: _Side) -> tuple[float, float]:
    value = b.value_ms - a.value_ms
    return (
        value - math.hypot(b.value_ms - b.low_ms, a.high_ms - a.value_ms),
        value + math.hypot(b.high_ms - b.value_ms, a.value_ms - a.low_ms),
    )


def _test(a_ms: Samples, b_ms: Samples, *, figure: str, seed: int) -> float:
    q = _quantile_of(figure)

    def statistic(a: Any, b: Any, axis: int = -1) -> npt.NDArray[np.float64]:
        if q is None:
            return np.asarray(np.mean(b, axis=axis) - np.mean(a, axis=axis))
        return np.asarray(np.quantile(b, q, axis=axis) - np.quantile(a, q, axis=axis))

    values = (np.asarray(a_ms, dtype=float), np.asarray(b_ms, dtype=float))
    n = sum(map(len, values))
    result = stats.permutation_test(
        values,
        statistic,
        permutation_type="independent",
        vectorized=True,
        n_resamples=max(_FEWEST, min(_RESAMPLES, _WORK // n)),
        batch=max(1, 2_000_000 // n),
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)
