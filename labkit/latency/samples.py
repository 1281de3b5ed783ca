"""From the tables to what statistics take: counters of a vantage point, latencies in ms.

Counters stay as scraped (cumulative); what they mean over a window is computed elsewhere.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

COUNTER_COLUMNS: Mapping[str, str] = {
    "time_s": "float64",  # Unix seconds
    "series": "str",  # tells series apart
    "kind": "str",  # `sum` (ms), `count`, `bucket`, `success`, `failure`
    "le_ms": "float64",  # upper bound of a bucket in ms; NaN for other kinds
    "value": "float64",  # cumulative
}
"""Counters of one vantage point, as `counters` selects them and statistics take them."""

_KINDS = {
    "response_latency_ms_sum": "sum",
    "response_latency_ms_count": "count",
    "response_latency_ms_bucket": "bucket",
}
_IDENTITY = [
    *("run", "repetition", "deployment", "direction", "dst_target_cluster"),
    *("classification", "series", "le_ms"),
]


def counters(series: pd.DataFrame, *, vantage: str) -> pd.DataFrame:
    """Select the counters of one vantage point, of any number of proxies and runs.

    Args:
        series: rows of the table `series`.
        vantage: name of the vantage point.

    Returns:
        A table with COUNTER_COLUMNS.
    """
    chosen = series[(series["vantage"] == vantage).to_numpy()]
    metric = chosen["metric"].astype("str")
    kind = metric.map(_KINDS).where(
        metric != "response_total", chosen["classification"].astype("str")
    )
    numbers = (
        chosen.groupby(_IDENTITY, observed=True, dropna=False, sort=False).ngroup().astype("str")
    )
    table = pd.DataFrame(
        {
            "time_s": chosen["time_s"],
            "series": numbers,
            "kind": kind,
            "le_ms": chosen["le_ms"],
            "value": chosen["value"],
        }
    )
    known = table["kind"].isin([*_KINDS.values(), "success", "failure"])
    return table[known].reset_index(drop=True).astype(dict(COUNTER_COLUMNS))


def latencies_ms(requests: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the latencies of requests in ms; those without a response are left out."""
    known = requests["latency_us"].dropna()
    return known.to_numpy(dtype="float64") / 1000.0
