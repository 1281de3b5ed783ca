"""Do two instruments agree that saw the same requests, one from inside the other's span?

A client counts from its intended send time to the end of the answer; its proxy counts the same
request from its first byte to the answer's last. Their quantiles cannot be equal: the client's own
time lies between them. So pairs are compared (after Bland and Altman): the client's share is the
paired difference, declared with its interval, and the quantiles must agree once its median, one
constant, is taken off; what is not known of the constant is not known of them either, so its
interval widens theirs. The place of the two laws is then judged by the declared share, their shape
by the quantiles. Deliberately absent: pairing by time, which would guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from labkit.latency import statistics
from labkit.latency.statistics import Quantile

QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Agreement:
    """The same requests, seen from outside and from inside.

    Attributes:
        n: pairs.
        share: median of what the outer instrument adds, in ms, with its interval.
        share_p95: what it adds at most to 95 % of the requests, in ms.
        negative: pairs in which the inner span is longer than the outer, which cannot be.
        inner: quantiles of the inner instrument in ms.
        outer: quantiles of the outer one, without the share's median, in ms; their intervals hold
            those of the share, too.
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
    return Agreement(
        n=len(both),
        share=share,
        share_p95=statistics.quantile(added, 0.95),
        negative=int(np.count_nonzero(added < 0)),
        inner={name: statistics.quantile(inner, q) for name, q in QUANTILES.items()},
        outer={
            name: _without(statistics.quantile(outer, q), share) for name, q in QUANTILES.items()
        },
    )


def _without(found: Quantile, share: Quantile) -> Quantile:
    """Take a constant off that is itself known by an interval."""
    return replace(
        found,
        value_ms=found.value_ms - share.value_ms,
        low_ms=found.low_ms - share.high_ms,
        high_ms=found.high_ms - share.low_ms,
    )
