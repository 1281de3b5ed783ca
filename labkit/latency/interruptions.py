"""What happened to viz' counters during a window: restarts, proxies that vanished or came late.

The figures stay right, since a fall of a counter is taken for a restart from zero; but requests
between the last scrape of a proxy and its end are in none of them, and a reader must be told.
"""

import pandas as pd

from labkit.latency.statistics import SCRAPE_S, increases

_MISSED_SCRAPES = 2.5
_NOTABLE_SHARE = 0.05


def interruptions(series: pd.DataFrame, *, vantage: str, scrape_s: float = SCRAPE_S) -> list[str]:
    """Name what interrupted the counting, one sentence a kind; empty when nothing did.

    Args:
        series: counters of one vantage point, cut to the window.
        vantage: its name.
        scrape_s: seconds between scrapes.
    """
    counts = series[series["kind"] == "count"].sort_values("time_s")
    if not len(counts):
        return []
    falls = (counts.groupby("series")["value"].diff() < 0).groupby(counts["series"]).any()
    times = counts.groupby("series")["time_s"].agg(["min", "max"])
    gap_s = _MISSED_SCRAPES * scrape_s
    vanished = int((times["max"] < times["max"].max() - gap_s).sum())
    first = counts.groupby("series")["value"].first()
    # A status seen for the first time makes a series too, with a small first value.
    heavy = first > _NOTABLE_SHARE * max(1.0, float(increases(counts, "count").sum()))
    late = int((heavy & (times["min"] > times["min"].min() + gap_s)).sum())
    said = (
        (int(falls.sum()), "began again from zero; what it counted after its last scrape is lost"),
        (vanished, "vanished before the end; what it counted after its last scrape is lost"),
        (late, "appeared after the beginning; what it counted before its first scrape is left out"),
    )
    return [
        f"viz at {vantage}: {count} of {len(times)} series {text}" for count, text in said if count
    ]
