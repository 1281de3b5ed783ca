"""The arithmetic of PromQL's functions on plain numbers.

Counter functions extrapolate to the edges of the window exactly as Prometheus does, because the
lab compares its figures with those of real clusters. Nothing here knows labels or series.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

Times = Sequence[int]
"""Unix milliseconds, ascending."""
Values = Sequence[float]
Window = tuple[int, int]
"""First and last moment of the range, Unix milliseconds."""

_MARGIN = 1.1
"""A first or last sample within 1.1 average gaps of the edge counts as reaching the edge."""


def _extrapolated(
    times: Times, values: Values, window: Window, *, counter: bool, rate: bool
) -> float | None:
    if len(values) < 2:
        return None
    change = values[-1] - values[0]
    if counter:
        change += sum(before for before, after in pairwise(values) if after < before)
    sampled = (times[-1] - times[0]) / 1000
    gap = sampled / (len(values) - 1)
    to_start = (times[0] - window[0]) / 1000
    to_end = (window[1] - times[-1]) / 1000
    if counter and change > 0 and values[0] >= 0:
        # A counter cannot have been below zero: do not extrapolate past its start.
        to_start = min(to_start, sampled * (values[0] / change))
    reach = sampled
    for distance in (to_start, to_end):
        reach += distance if distance < gap * _MARGIN else gap / 2
    factor = reach / sampled
    if rate:
        factor /= (window[1] - window[0]) / 1000
    return change * factor


def rate(times: Times, values: Values, window: Window) -> float | None:
    """Increase per second of a counter."""
    return _extrapolated(times, values, window, counter=True, rate=True)


def increase(times: Times, values: Values, window: Window) -> float | None:
    """Increase of a counter over the window."""
    return _extrapolated(times, values, window, counter=True, rate=False)


def delta(times: Times, values: Values, window: Window) -> float | None:
    """Change of a gauge over the window."""
    return _extrapolated(times, values, window, counter=False, rate=False)


def irate(times: Times, values: Values, _window: Window) -> float | None:
    """Increase per second of a counter between its last two samples."""
    if len(values) < 2 or times[-1] == times[-2]:
        return None
    change = values[-1] if values[-1] < values[-2] else values[-1] - values[-2]
    return change / ((times[-1] - times[-2]) / 1000)


def idelta(_times: Times, values: Values, _window: Window) -> float | None:
    """Change of a gauge between its last two samples."""
    return values[-1] - values[-2] if len(values) > 1 else None


def _over(reduce: Callable[[Values], float]) -> Callable[[Times, Values, Window], float | None]:
    def over_time(_times: Times, values: Values, _window: Window) -> float | None:
        return reduce(values) if values else None

    return over_time


def _extreme(sign: int) -> Callable[[Values], float]:
    def extreme(values: Values) -> float:
        numbers = [value for value in values if not math.isnan(value)]
        return (max if sign > 0 else min)(numbers) if numbers else math.nan

    return extreme


RANGE_FUNCTIONS: Mapping[str, Callable[[Times, Values, Window], float | None]] = {
    "rate": rate,
    "increase": increase,
    "delta": delta,
    "irate": irate,
    "idelta": idelta,
    "sum_over_time": _over(math.fsum),
    "avg_over_time": _over(lambda values: math.fsum(values) / len(values)),
    "min_over_time": _over(_extreme(-1)),
    "max_over_time": _over(_extreme(1)),
    "count_over_time": _over(lambda values: float(len(values))),
    "last_over_time": _over(lambda values: values[-1]),
    "changes": _over(lambda values: float(sum(a != b for a, b in pairwise(values)))),
    "resets": _over(lambda values: float(sum(b < a for a, b in pairwise(values)))),
}
"""Functions of a range vector: (timestamps, values, window) to a value or None (no result)."""

MAPPED_FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "abs": abs,
    "ceil": lambda value: float(math.ceil(value)) if math.isfinite(value) else value,
    "floor": lambda value: float(math.floor(value)) if math.isfinite(value) else value,
}
"""Functions applied to each sample of an instant vector."""

FUNCTIONS = frozenset({"histogram_quantile", "time", "vector", "scalar", "sort", "sort_desc"}) | {
    *RANGE_FUNCTIONS,
    *MAPPED_FUNCTIONS,
}
"""All supported functions."""


def quantile_of_buckets(quantile: float, buckets: Sequence[tuple[float, float]]) -> float:
    """A quantile from cumulative buckets, interpolated inside its bucket.

    Args:
        quantile: between 0 and 1; outside it the result is -Inf or +Inf.
        buckets: (upper bound, cumulative count), in any order.

    Returns:
        The estimate; NaN without a +Inf bucket, without observations or with fewer than two
        buckets.
    """
    if math.isnan(quantile):
        return math.nan
    if not 0 <= quantile <= 1:
        return math.copysign(math.inf, quantile)
    bounds, counts = _merged(buckets)
    if len(bounds) < 2 or bounds[-1] != math.inf or counts[-1] == 0 or math.isnan(counts[-1]):
        return math.nan
    rank = quantile * counts[-1]
    last = len(bounds) - 1
    index = next((i for i in range(last) if counts[i] >= rank), last)
    if index == last:
        return bounds[-2]
    if index == 0:
        if bounds[0] <= 0:
            return bounds[0]
        return _interpolate(0.0, bounds[0], rank, counts[0])
    below = counts[index - 1]
    return _interpolate(bounds[index - 1], bounds[index], rank - below, counts[index] - below)


def _interpolate(start: float, end: float, rank: float, count: float) -> float:
    return start + (end - start) * (rank / count) if count else math.nan


def _merged(buckets: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Sorted bounds with equal ones added up, and counts that never fall.

    Rates of single buckets can be out of step by a rounding; Prometheus lifts them the same way.
    """
    sums: dict[float, float] = {}
    for bound, count in sorted(buckets):
        sums[bound] = sums.get(bound, 0.0) + count
    counts: list[float] = []
    for count in sums.values():
        counts.append(max(count, counts[-1]) if counts else count)
    return list(sums), counts


def quantile_of_values(quantile: float, values: Sequence[float]) -> float:
    """The quantile of a list of values by linear interpolation, as PromQL's `quantile`."""
    if not values or math.isnan(quantile):
        return math.nan
    if not 0 <= quantile <= 1:
        return math.copysign(math.inf, quantile)
    ordered = sorted(values)
    rank = quantile * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    weight = rank - low
    return ordered[low] * (1 - weight) + ordered[high] * weight
