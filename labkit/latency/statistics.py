"""Means, quantiles with intervals, shares with uncertainty: each with its n, or a refusal.

Quantile intervals are those of order statistics: they assume nothing of the distribution but
independent samples. A quantile that n cannot carry is not shown. Percentiles are never averaged.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, stats

from labkit.latency.histogram import Histogram

Samples = Sequence[float] | npt.NDArray[np.float64]

_BEYOND = 10
"""Samples that must lie beyond a quantile: p99 needs 1,000, p95 200, p50 20."""


@dataclass(frozen=True)
class Quantile:
    """A quantile of raw samples.

    Attributes:
        q: 0 to 1.
        value_ms: the sample quantile, also when n is too small to show it.
        low_ms: lower end of the interval; NaN when the samples cannot bound it.
        high_ms: upper end of the interval; NaN when the samples cannot bound it.
        n: samples.
        needed: samples that the quantile needs.
        confidence: of the interval, 0 to 1.
    """

    q: float
    value_ms: float
    low_ms: float
    high_ms: float
    n: int
    needed: int
    confidence: float

    @property
    def enough(self) -> bool:
        """Whether n carries this quantile."""
        return self.n >= self.needed

    @property
    def name(self) -> str:
        """As `p99`."""
        return f"p{self.q * 100:g}"

    def __str__(self) -> str:
        if not self.enough:
            return f"{self.name}: not enough samples (n={self.n}, needs {self.needed})"
        interval = f"[{self.low_ms:.1f}, {self.high_ms:.1f}]"
        return f"{self.name} = {self.value_ms:.1f} ms {interval} (n={self.n})"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; figures that n does not carry are null."""
        figures = {"value": self.value_ms, "low": self.low_ms, "high": self.high_ms}
        shown = {
            key: round(value, 3) if self.enough and math.isfinite(value) else None
            for key, value in figures.items()
        }
        return {**shown, "n": self.n, "needed": self.needed, "confidence": self.confidence}


@dataclass(frozen=True)
class Mean:
    """A mean.

    Attributes:
        value_ms: in ms.
        error_ms: its standard error; NaN when unknown.
        n: requests behind it.
        degrees: degrees of freedom of the error: how well that is known itself.
    """

    value_ms: float
    error_ms: float
    n: int
    degrees: float = math.inf

    @property
    def half_ms(self) -> float:
        """Half-width of the 95 % interval (Student's t); NaN when the error is unknown."""
        return float(stats.t.ppf(0.975, self.degrees)) * self.error_ms

    @property
    def low_ms(self) -> float:
        """Lower end of the 95 % interval; NaN when the error is unknown."""
        return self.value_ms - self.half_ms

    @property
    def high_ms(self) -> float:
        """Upper end of the 95 % interval; NaN when the error is unknown."""
        return self.value_ms + self.half_ms

    def __str__(self) -> str:
        error = "" if math.isnan(self.error_ms) else f" ± {self.half_ms:.1f}"
        return f"{self.value_ms:.1f}{error} ms (n={self.n})"


@dataclass(frozen=True)
class Share:
    """A part of a whole with its 95 % interval, all 0 to 1."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


def needed_for(q: float) -> int:
    """Return how many samples a quantile needs."""
    return math.ceil(_BEYOND / min(q, 1 - q) - 1e-9)


def quantile(samples_ms: Samples, q: float, *, confidence: float = 0.95) -> Quantile:
    """Return a quantile with its order-statistic interval.

    The interval's ends lie at fractional ranks between two samples (Hutson 1999), so that it
    holds the true quantile with the stated probability and not with some more.

    Args:
        samples_ms: raw samples, in any order.
        q: 0 to 1, both excluded.
        confidence: of the interval.

    Raises:
        ValueError: q is not between 0 and 1.

    Example:
        >>> str(quantile(range(1, 101), 0.5))
        'p50 = 50.5 ms [40.7, 60.3] (n=100)'
    """
    if not 0 < q < 1:
        raise ValueError(f"a quantile is between 0 and 1, not {q}")
    values = np.sort(np.asarray(samples_ms, dtype=float))
    n = len(values)
    if n == 0:
        return Quantile(q, math.nan, math.nan, math.nan, 0, needed_for(q), confidence)
    low, high = _bounding_ranks(n, q, confidence)
    return Quantile(
        q=q,
        value_ms=float(np.quantile(values, q)),
        low_ms=_at_rank(values, low),
        high_ms=_at_rank(values, high),
        n=n,
        needed=needed_for(q),
        confidence=confidence,
    )


@cache
def _bounding_ranks(n: int, q: float, confidence: float) -> tuple[float, float]:
    """Return the fractional ranks (from 1) that bound a quantile; NaN where n cannot bound it.

    P(x(r) <= quantile) is the Beta(r, n + 1 - r) distribution at q, for fractional ranks too.
    """
    tail = (1 - confidence) / 2

    def below(rank: float, wanted: float) -> float:
        return float(stats.beta.cdf(q, rank, n + 1 - rank)) - wanted

    ends = []
    for wanted in (1 - tail, tail):
        possible = below(1.0, wanted) >= 0 >= below(float(n), wanted)
        ends.append(optimize.brentq(below, 1.0, float(n), args=(wanted,)) if possible else math.nan)
    return float(ends[0]), float(ends[1])


def _at_rank(ordered: npt.NDArray[np.float64], rank: float) -> float:
    if math.isnan(rank):
        return math.nan
    whole = min(int(rank), len(ordered) - 1)
    low, high = ordered[max(0, whole - 1)], ordered[min(whole, len(ordered) - 1)]
    return float(low + (rank - whole) * (high - low))


def mean_of_samples(samples_ms: Samples) -> Mean:
    """Return the mean of raw samples with its standard error."""
    values = np.asarray(samples_ms, dtype=float)
    n = len(values)
    if n == 0:
        return Mean(math.nan, math.nan, 0)
    error = float(values.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return Mean(float(values.mean()), error, n, degrees=n - 1)


def increase(values: Sequence[float]) -> float:
    """Return how much a counter grew over its points; a fall is a restart from zero.

    Example:
        >>> increase([10, 15, 2, 4])
        9.0
    """
    growth = 0.0
    for before, after in itertools.pairwise(values):
        growth += after - before if after >= before else after
    return float(growth)


def increases(series: pd.DataFrame, kind: str, *, step_s: float = 0.0) -> pd.Series:
    """Return the growth of each counter of a kind from point to point.

    Args:
        series: counters of one vantage point, of any number of proxies.
        kind: `sum`, `count`, `success`, `failure`.
        step_s: take points at least this far apart. Points closer than the scrapes (10 s)
            repeat a value and then jump, which a rate would show as a saw.

    Returns:
        Growth by time of the later point, summed over proxies.
    """
    chosen = series[series["kind"] == kind].sort_values("time_s")
    if step_s > 0 and len(chosen):
        number = ((chosen["time_s"] - series["time_s"].min()) / step_s + 1e-9).astype("int64")
        chosen = chosen.assign(number=number).drop_duplicates(["series", "number"])
    grown = chosen.groupby("series")["value"].diff()
    restarted = grown < 0
    grown = grown.where(~restarted, chosen["value"])
    return grown.dropna().groupby(chosen["time_s"]).sum()


def viz_mean(series: pd.DataFrame) -> Mean:
    """Return the exact mean of a window, Δsum over Δcount, in ms.

    The standard error comes from the scrape intervals as batches, since counters hold no
    variance; with fewer than three batches it is unknown.

    Args:
        series: counters of one vantage point, cut to the window.
    """
    sums, counts = increases(series, "sum"), increases(series, "count")
    both = pd.DataFrame({"sum": sums, "count": counts}).dropna()
    both = both[both["count"] > 0]
    n = float(both["count"].sum())
    if n <= 0:
        return Mean(math.nan, math.nan, 0)
    mean = float(both["sum"].sum()) / n
    batches = len(both)
    if batches < 3:
        return Mean(mean, math.nan, round(n))
    residual = both["sum"] - mean * both["count"]  # ratio estimator
    variance = float((residual**2).sum()) * batches / (batches - 1) / n**2
    return Mean(mean, math.sqrt(variance), round(n), degrees=batches - 1)


SCRAPE_S = 10.0
"""viz' scrape interval in seconds."""


def mean_over_time(series: pd.DataFrame, *, step_s: float = SCRAPE_S) -> pd.DataFrame:
    """Return the mean of each scrape interval.

    Args:
        series: counters of one vantage point.
        step_s: seconds of an interval.

    Returns:
        Columns time_s (end of the interval), mean_ms, n; intervals without requests are left out.
    """
    both = pd.DataFrame(
        {
            "sum": increases(series, "sum", step_s=step_s),
            "n": increases(series, "count", step_s=step_s),
        }
    ).dropna()
    both = both[both["n"] > 0]
    table = pd.DataFrame({"time_s": both.index.to_numpy(dtype=float)})
    table["mean_ms"] = (both["sum"] / both["n"]).to_numpy()
    table["n"] = both["n"].to_numpy()
    return table


def traffic_over_time(series: pd.DataFrame, *, step_s: float = SCRAPE_S) -> pd.DataFrame:
    """Return requests per second and success of each scrape interval.

    Args:
        series: counters of one vantage point.
        step_s: seconds of an interval.

    Returns:
        Columns time_s, rps, success_rate (0 to 1, NaN without requests).
    """
    good = increases(series, "success", step_s=step_s)
    bad = increases(series, "failure", step_s=step_s)
    both = pd.DataFrame({"good": good, "bad": bad}).fillna(0.0).sort_index()
    times = both.index.to_series().astype("float64")
    total = both["good"] + both["bad"]
    table = pd.DataFrame({"time_s": times.to_numpy()})
    # The first growth has its beginning one interval before, which the index does not hold.
    table["rps"] = (total / times.diff().fillna(step_s)).to_numpy()
    table["success_rate"] = (both["good"] / total.where(total > 0)).to_numpy()
    return table.dropna(subset=["rps"]).reset_index(drop=True)


def viz_histogram(series: pd.DataFrame) -> Histogram:
    """Return the histogram of a window from the bucket counters of one vantage point."""
    buckets = series[series["kind"] == "bucket"].sort_values("time_s")
    grown: dict[float, float] = {}
    for _, counter in buckets.groupby(["series", "le_ms"]):
        bound = float(counter["le_ms"].iloc[0])
        grown[bound] = grown.get(bound, 0.0) + increase(counter["value"].to_list())
    return Histogram.of(grown)


def wan_share(source: Mean, target: Mean) -> Share:
    """Return the share of the source's mean that is not spent at the target.

    The difference of the source proxy's outbound mean and the target proxy's inbound mean is the
    WAN's round trip plus gateway and proxies.

    Args:
        source: outbound mean at the source proxy, WAN included.
        target: inbound mean at the target proxy, WAN not included.

    Returns:
        The share with a 95 % interval (delta method); the interval is NaN when an error is.
    """
    ratio = target.value_ms / source.value_ms if source.value_ms else math.nan
    variance = (target.error_ms / source.value_ms) ** 2 if source.value_ms else math.nan
    if source.value_ms:
        variance += (ratio * source.error_ms / source.value_ms) ** 2
    z = float(stats.t.ppf(0.975, min(source.degrees, target.degrees)))
    half = z * math.sqrt(variance) if variance >= 0 else math.nan
    share = 1 - ratio
    return Share(share, max(0.0, share - half), min(1.0, share + half))


def floor_warning(figures_ms: Mapping[str, float], floor_ms: float) -> list[str]:
    """Name every figure that light in fibre could not do.

    Args:
        figures_ms: name -> ms of a full round trip between the regions.
        floor_ms: the light floor of the pair.
    """
    return [
        f"{name} = {value:.1f} ms is below the light floor of {floor_ms:.1f} ms: "
        "impossible between these regions"
        for name, value in figures_ms.items()
        if value < floor_ms
    ]
