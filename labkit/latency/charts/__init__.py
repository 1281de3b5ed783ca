"""The charts of measurements: each says its units, n, source and vantage point.

Functions take tables and values, and return a figure; nothing is shown and nothing is computed
beyond what a drawing needs. Quantiles from buckets appear as brackets only.
"""

from labkit.latency.charts.comparison import forest, trend
from labkit.latency.charts.distributions import distribution
from labkit.latency.charts.golden import golden
from labkit.latency.charts.over_time import Event, over_time, success_and_rps
from labkit.latency.charts.pairs import by_pair
from labkit.latency.charts.regions import region_matrix
from labkit.latency.charts.sheet import Caption, Chart, save
from labkit.latency.charts.time_spent import where_time_goes
from labkit.latency.charts.world import world_map

__all__ = [
    "Caption",
    "Chart",
    "Event",
    "by_pair",
    "distribution",
    "forest",
    "golden",
    "over_time",
    "region_matrix",
    "save",
    "success_and_rps",
    "trend",
    "where_time_goes",
    "world_map",
]
