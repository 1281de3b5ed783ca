"""One row per group of requests, of any number of runs: n, mean, quantiles with intervals.

Repetitions are pooled before quantiles are taken. Only the columns that a summary needs are read,
and groups are separated by one sort, so that ten million requests take seconds.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from labkit.latency import statistics
from labkit.latency.dataset import Samples

GROUPS = ("source_region", "destination_region", "instrument", "vantage", "connection")
"""What tells groups apart by default."""

QUANTILES = (0.5, 0.95, 0.99)


def summarise(
    requests: Samples,
    *,
    by: Sequence[str] = GROUPS,
    where: ds.Expression | None = None,
    quantiles: Sequence[float] = QUANTILES,
) -> pd.DataFrame:
    """Summarise requests by group; the warm-up is left out.

    Args:
        requests: of one or many runs.
        by: columns of texts that make groups; add `run` to keep runs apart.
        where: a further condition.
        quantiles: 0 to 1.

    Returns:
        The columns of `by`, then n (with a response), without_response, mean_ms, mean_low_ms,
        mean_high_ms, min_ms, max_ms, and for each quantile p50_ms, p50_low_ms, p50_high_ms …;
        a quantile that n does not carry is NaN.

    Raises:
        InputError: an unknown column, or a file that cannot be read.
    """
    counted = ~ds.field("warmup")
    condition = counted if where is None else counted & where
    table = requests.table([*by, "latency_us"], where=condition)
    codes, keys = _codes(table, by)
    latency_ms = _milliseconds(table["latency_us"])
    del table
    rows = [
        {**dict(zip(by, key, strict=True)), **_row(values, quantiles)}
        for key, values in _split(codes, latency_ms, keys)
    ]
    names = [*by, *_row(np.array([]), quantiles)]
    return pd.DataFrame(rows, columns=names).sort_values(list(by), ignore_index=True)


def _codes(
    table: pa.Table, by: Sequence[str]
) -> tuple[npt.NDArray[np.int64], dict[int, tuple[object, ...]]]:
    """Number the groups of rows; returns the number of each row and the key of each number."""
    codes = np.zeros(table.num_rows, dtype=np.int64)
    levels: list[list[object]] = []
    for name in by:
        column = table[name].combine_chunks()
        if not pa.types.is_dictionary(column.type):
            column = pc.dictionary_encode(column)
        words = column.dictionary.to_pylist()
        codes = codes * max(1, len(words)) + column.indices.to_numpy(zero_copy_only=False)
        levels.append(words)
    keys = {}
    for code in np.unique(codes).tolist():
        rest, key = code, []
        for words in reversed(levels):
            rest, place = divmod(rest, len(words))
            key.append(words[place])
        keys[code] = tuple(reversed(key))
    return codes, keys


def _milliseconds(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    return values / 1000.0


def _split(
    codes: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    keys: dict[int, tuple[object, ...]],
) -> list[tuple[tuple[object, ...], npt.NDArray[np.float64]]]:
    if len(keys) == 1:
        return [(next(iter(keys.values())), values)]
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], list(keys), side="right")
    starts = np.concatenate([[0], ends[:-1]])
    return [
        (key, values[order[start:end]])
        for key, start, end in zip(keys.values(), starts, ends, strict=True)
    ]


def _row(values_ms: npt.NDArray[np.float64], quantiles: Sequence[float]) -> dict[str, float]:
    known = np.sort(values_ms[~np.isnan(values_ms)])
    mean = statistics.mean_of_samples(known)
    row = {
        "n": float(len(known)),
        "without_response": float(len(values_ms) - len(known)),
        "mean_ms": mean.value_ms,
        "mean_low_ms": mean.low_ms,
        "mean_high_ms": mean.high_ms,
        "min_ms": float(known[0]) if len(known) else np.nan,
        "max_ms": float(known[-1]) if len(known) else np.nan,
    }
    for q in quantiles:
        found = statistics.quantile(known, q)
        shown = found.enough
        row[f"{found.name}_ms"] = found.value_ms if shown else np.nan
        row[f"{found.name}_low_ms"] = found.low_ms if shown else np.nan
        row[f"{found.name}_high_ms"] = found.high_ms if shown else np.nan
    return row
