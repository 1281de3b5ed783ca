"""The two tidy tables of a measurement: tapped requests, and viz' counters over time.

Columns, types and units are fixed here and checked on the way in, on the way to disk and back.
Counters stay as scraped (cumulative); what they mean over a window is computed elsewhere.
"""

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from labkit.errors import InputError

TAP_COLUMNS: Mapping[str, str] = {
    "time": "float64",  # Unix seconds when the event arrived
    "source_cluster": "str",
    "source_region": "str",
    "destination_cluster": "str",
    "destination_region": "str",
    "vantage": "str",  # which proxy saw it, as `vote-bot outbound`
    "method": "str",
    "path": "str",  # without its query
    "status": "Int64",  # HTTP status, missing without a response
    "latency_us": "Int64",  # request to response headers, µs, at that proxy
    "tls": "bool",  # mutual TLS of the mesh
    "server_id": "str",  # identity of the server, empty without TLS
}
"""Tapped requests, one row each."""

SERIES_COLUMNS: Mapping[str, str] = {
    "time": "float64",  # Unix seconds
    "cluster": "str",  # whose Prometheus said it
    "metric": "str",  # `response_total`, `response_latency_ms_{sum,count,bucket}`
    "deployment": "str",  # whose proxies
    "series": "str",  # its other labels, as `pod=…,status_code=200`: tells series apart
    "direction": "str",  # `inbound` or `outbound` of those proxies
    "dst_target_cluster": "str",  # of mirrored calls, else empty
    "classification": "str",  # `success` or `failure`
    "le": "str",  # upper bound of a bucket in ms, `+Inf` for the last; else empty
    "value": "float64",  # cumulative, as scraped
}
"""viz' counters, one row a point and series, with the labels that Linkerd gives them."""

COUNTER_COLUMNS: Mapping[str, str] = {
    "time_s": "float64",  # Unix seconds
    "series": "str",  # tells series of a kind apart
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
_LABELS = [name for name in SERIES_COLUMNS if name not in {"time", "metric", "value"}]


def tap_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Make the table of tapped requests; missing values are allowed where the type has them.

    Raises:
        InputError: a column is missing or holds what its type does not.
    """
    return _frame(rows, TAP_COLUMNS, name="tap samples")


def series_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Make the table of viz' counters.

    Raises:
        InputError: a column is missing or holds what its type does not.
    """
    return _frame(rows, SERIES_COLUMNS, name="viz series")


def counters(
    series: pd.DataFrame,
    *,
    cluster: str,
    deployment: str,
    direction: str,
    target_cluster: str | None = None,
) -> pd.DataFrame:
    """Select the counters of one vantage point.

    Args:
        series: viz' counters.
        cluster: `west` or `east`.
        deployment: whose proxies.
        direction: `inbound` or `outbound`.
        target_cluster: `east` for mirrored calls only, an empty text for all others only, None
            for both.

    Returns:
        A table with COUNTER_COLUMNS.
    """
    here = (
        (series["cluster"] == cluster)
        & (series["deployment"] == deployment)
        & (series["direction"] == direction)
    )
    if target_cluster is not None:
        here &= series["dst_target_cluster"] == target_cluster
    chosen = series[here]
    kinds = chosen["metric"].map(_KINDS)
    totals = chosen["metric"] == "response_total"
    table = pd.DataFrame(
        {
            "time_s": chosen["time"],
            "series": chosen[_LABELS].agg("/".join, axis=1) if len(chosen) else "",
            "kind": kinds.where(~totals, chosen["classification"]),
            "le_ms": chosen["le"].map(lambda bound: float(bound or "nan")).astype("float64"),
            "value": chosen["value"],
        }
    )
    known = table["kind"].isin([*_KINDS.values(), "success", "failure"])
    return _typed(table[known], COUNTER_COLUMNS, name="counters")


def write_frame(frame: pd.DataFrame, file: Path) -> Path:
    """Write a table as CSV, compressed; equal tables make equal files.

    Args:
        frame: one of the two tables.
        file: ends in `.csv.gz`.
    """
    # Neither a file name nor a time goes into the gzip header.
    with (
        file.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
    ):
        packed.write(frame.to_csv(index=False, lineterminator="\n").encode())
    return file


def read_tap(file: Path) -> pd.DataFrame:
    """Read tapped requests.

    Raises:
        InputError: not such a file.
    """
    return _read(file, TAP_COLUMNS)


def read_series(file: Path) -> pd.DataFrame:
    """Read counters.

    Raises:
        InputError: not such a file.
    """
    return _read(file, SERIES_COLUMNS)


def within(frame: pd.DataFrame, start_s: float, end_s: float) -> pd.DataFrame:
    """Return the rows from `start_s` to `end_s` (Unix seconds, both included)."""
    column = "time_s" if "time_s" in frame.columns else "time"
    return frame[frame[column].between(start_s, end_s)]


def latencies_ms(tap: pd.DataFrame) -> pd.Series:
    """Return the latencies of tapped requests in ms; requests without a response are left out."""
    return tap["latency_us"].dropna().astype("float64") / 1000.0


def _frame(
    rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], *, name: str
) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=None)
    if frame.empty:
        frame = pd.DataFrame(columns=list(columns))
    return _typed(frame, columns, name=name)


def _typed(frame: pd.DataFrame, columns: Mapping[str, str], *, name: str) -> pd.DataFrame:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(f"{name}: columns are missing: {', '.join(missing)}")
    chosen = frame[list(columns)]
    texts = [column for column, kind in columns.items() if kind == "str"]
    filled = chosen.assign(**{column: chosen[column].fillna("") for column in texts})
    try:
        return filled.astype(dict(columns)).reset_index(drop=True)
    except (TypeError, ValueError) as exc:
        raise InputError(f"{name}: a value does not have its column's type: {exc}") from exc


def _read(file: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    texts = {column: "str" for column, kind in columns.items() if kind == "str"}
    try:
        frame = pd.read_csv(
            file,
            dtype=texts,
            keep_default_na=False,
            na_values={column: [""] for column in columns if column not in texts},
        )
    except (OSError, ValueError) as exc:
        raise InputError(f"{file} is not a file of samples: {exc}") from exc
    return _typed(frame, columns, name=str(file))
