"""Do two instruments agree that saw the same requests, one from inside the other's span?

A client counts from its intended send time to the end of the answer; its proxy counts the same
request from its first byte to the answer's last. Their quantiles cannot be equal: the client's own
time lies between them. So pairs are compared (after Bland and Altman): the client's share is the
paired difference, declared with its interval. A share that has nothing to do with how long the
request takes turns the law of the one into the law of the other in a known way: the sum of both.
What that adds to a quantile is taken off, and then the intervals must overlap; what is not known
of the share is not known of the rest either, so its interval widens theirs. They do not overlap
when the share grows with the latency, which no client's own time does. Deliberately absent:
pairing by time, which would guess.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from labkit.latency import statistics
from labkit.latency.statistics import Quantile

QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_SUMS = 200_000
"""Sums of a latency and a share from which the law of both is drawn, at least."""


@dataclass(frozen=True)
class Agreement:
    """The same requests, seen from outside and from inside.

    Attributes:
        n: pairs.
        share: median of what the outer instrument adds, in ms, with its interval.
        share_p95: what it adds at most to 95 % of the requests, in ms.
        negative: pairs in which the inner span is longer than the outer, which cannot be.
        inner: quantiles of the inner instrument in ms.
        outer: quantiles of the outer one, without what the share adds to each, in ms; their
            intervals hold those of the share, too.
    """

    n: int
    share: Quantile
    share_p95: Quantile
    negative: int
    inner: Mapping[str, Quantile]
    outer: Mapping[str, Quantile]

    @property
    def agree(self) -> dict[str, bool | None]:
        """For each quantile whether the two intervals overlap; None where n carries none."""
        return {
            name: overlap(self.inner[name], self.outer[name]) if self.inner[name].enough else None
            for name in self.inner
        }


def overlap(one: Quantile, other: Quantile) -> bool:
    """Whether two quantiles' intervals have a point in common."""
    return one.low_ms <= other.high_ms and other.low_ms <= one.high_ms


def agreement(outer_ms: pd.Series, inner_ms: pd.Series) -> Agreement:
    """Compare two instruments over the requests that both saw.

    Args:
        outer_ms: latencies in ms by the request's number; missing ones are left out.
        inner_ms: the same of the instrument inside.
    """
    both = pd.DataFrame({"outer": outer_ms, "inner": inner_ms}).dropna().astype("float64")
    outer, inner = both["outer"].to_numpy(), both["inner"].to_numpy()
    added = outer - inner
    share = statistics.quantile(added, 0.5)
    sums = dict(zip(QUANTILES, _quantiles_of_sums(inner, added), strict=True))
    found = {name: statistics.quantile(inner, q) for name, q in QUANTILES.items()}
    return Agreement(
        n=len(both),
        share=share,
        share_p95=statistics.quantile(added, 0.95),
        negative=int(np.count_nonzero(added < 0)),
        inner=found,
        outer={
            name: _without(
                statistics.quantile(outer, q),
                share,
                shift_ms=sums[name] - found[name].value_ms,
            )
            for name, q in QUANTILES.items()
        },
    )


def _quantiles_of_sums(
    inner: npt.NDArray[np.float64], added: npt.NDArray[np.float64]
) -> list[float]:
    """Quantiles of latencies with the shares of other requests: as if independent; NaN of none."""
    if not len(inner):
        return [math.nan] * len(QUANTILES)
    rng = np.random.default_rng(0)
    rounds = -(-_SUMS // len(inner))
    sums = np.concatenate([inner + rng.permutation(added) for _ in range(rounds)])
    return [float(value) for value in np.quantile(sums, list(QUANTILES.values()))]


def _without(found: Quantile, share: Quantile, *, shift_ms: float) -> Quantile:
    """Take off what the share adds to a quantile; it is known no better than the share."""
    return replace(
        found,
        value_ms=found.value_ms - shift_ms,
        low_ms=found.low_ms - shift_ms - (share.high_ms - share.value_ms),
        high_ms=found.high_ms - shift_ms + (share.value_ms - share.low_ms),
    )
