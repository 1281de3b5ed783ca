"""One side of a comparison: a run, or repetitions of one pair of regions with pooled samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.dataset as ds

from labkit.chapters.vantage import VANTAGES
from labkit.context import EAST
from labkit.errors import InputError
from labkit.latency import samples, statistics
from labkit.latency.dataset import open_samples
from labkit.latency.schema import REQUESTS, SERIES
from labkit.latency.statistics import Samples
from labkit.runs.reading import KeptRun, find_runs, read_run

Key = tuple[str, str, str]
"""Instrument, vantage point, connection."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison: what its samples hold.

    Attributes:
        runs: whose samples are pooled.
        requests_ms: latencies of single requests by instrument, vantage point and connection.
        means: exact means of viz by vantage point.
    """

    runs: tuple[KeptRun, ...]
    requests_ms: dict[Key, Samples]
    means: dict[str, statistics.Mean]

    @property
    def name(self) -> str:
        """Name of the run, or of the first one and how many more."""
        more = len(self.runs) - 1
        return f"{self.runs[0].name}{f' and {more} more' if more else ''}"

    @property
    def keys(self) -> set[Key]:
        """Everything that it could be compared in."""
        return {*self.requests_ms, *(("viz", vantage, "") for vantage in self.means)}


def open_side(folder: Path) -> Side:
    """Read the samples of a run folder, or of a folder of repetitions.

    Raises:
        InputError: it holds no run, runs of several pairs, or no samples that can be read.
    """
    runs = tuple(read_run(path) for path in find_runs([folder]))
    pairs = {run.regions for run in runs}
    if len(pairs) > 1:
        raise InputError(
            f"{folder} holds runs of several pairs of regions",
            problems=[f"{run.name}: {run.title}" for run in runs],
            fix="name one run, or a folder of repetitions of one pair; "
            "`labkit report` shows all of them",
        )
    paths = [run.root for run in runs]
    return Side(runs, _requests(paths), _means(paths))


def _requests(paths: Sequence[Path]) -> dict[Key, Samples]:
    names = ["instrument", "vantage", "connection", "latency_us"]
    where = ~ds.field("warmup") & (ds.field("destination_cluster") == EAST)
    rows = open_samples(*paths, schema=REQUESTS).read(names, where=where)
    found: dict[Key, Samples] = {}
    for key, group in rows.groupby(names[:3], observed=True, sort=True):
        instrument, vantage, connection = (str(word) for word in key)
        found[instrument, vantage, connection] = samples.latencies_ms(group)
    return found


def _means(paths: Sequence[Path]) -> dict[str, statistics.Mean]:
    """The exact means of viz; none where a run kept no counters."""
    kept = [path for path in paths if (path / SERIES.file).is_file()]
    if not kept:
        return {}
    series = open_samples(*kept, schema=SERIES).read(where=~ds.field("warmup"))
    found = {
        vantage.name: statistics.viz_mean(samples.counters(series, vantage=vantage.name))
        for vantage in VANTAGES
    }
    return {name: mean for name, mean in found.items() if mean.n}
