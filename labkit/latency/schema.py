"""The two tables that all samples are kept in: requests and series, column by column.

Two tables, because they hold two kinds of facts. A row of `requests` is one request with its own
latency: rows can be counted, pooled and sorted. A row of `series` is one reading of a counter that
only grows: it says something only beside another reading of the same series. In one table half of
every row would be empty, and a mean over the column of values would be nonsense without a warning.
What places a row (run, repetition, regions, vantage point, round trip) has the same columns in
both, so that one filter fits both.

docs/dataset.md is made from this module by `docs/generate_dataset.py`.
"""

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

_WORD = pa.dictionary(pa.int32(), pa.string())
"""A text of few different values: stored once each, a categorical in pandas."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: with its unit where there is one.
        type: Arrow's type, as it is in the file.
        unit: `-` for none.
        meaning: for people.
        nullable: whether a value may be missing.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    nullable: bool = False

    @property
    def is_word(self) -> bool:
        """Whether it is a dictionary of texts."""
        return bool(pa.types.is_dictionary(self.type))

    @property
    def dtype(self) -> str:
        """The pandas dtype, as documented."""
        if self.is_word:
            return "category"
        if not self.nullable or pa.types.is_floating(self.type):
            return str(self.type).replace("double", "float64")
        return {"bool": "boolean"}.get(str(self.type), str(self.type).capitalize())


@dataclass(frozen=True)
class TableSchema:
    """One table.

    Attributes:
        name: `requests` or `series`.
        version: grows when a column changes its meaning or goes.
        file: in a run folder.
        row: what one row is.
        columns: in order.
    """

    name: str
    version: int
    file: str
    row: str
    columns: tuple[Column, ...]

    @property
    def identity(self) -> str:
        """As kept in the file's metadata: `labkit.requests/1`."""
        return f"labkit.{self.name}/{self.version}"

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]

    @cached_property
    def arrow(self) -> pa.Schema:
        """The schema of the file."""
        fields = [pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns]
        return pa.schema(fields, metadata={"labkit.schema": self.identity})


def _word(name: str, meaning: str) -> Column:
    return Column(name, _WORD, "-", meaning)


_PLACE = (
    _word("run", "name of the run folder; the lab's name when measured by hand"),
    Column("repetition", pa.int16(), "-", "which repetition of the same point of a sweep, from 1"),
    _word("instrument", "what measured: `tap`, `load` or `probe` in requests; `viz` in series"),
    Column(
        "time_s", pa.float64(), "s since 1970", "see below: what it is depends on the instrument"
    ),
    Column("warmup", pa.bool_(), "-", "in the warm-up: kept and drawn, used by no statistic"),
    _word("vantage", "the proxy or program that saw it, as `vote-bot outbound (west)`"),
    _word("source_cluster", "where requests come from: `west` or `east`"),
    _word("source_region", "its region's slug"),
    _word("destination_cluster", "where requests go to"),
    _word("destination_region", "its region's slug"),
    _word("service", "what is called, as `web-svc-east.emojivoto`; empty when unknown"),
    Column(
        "rtt_ms",
        pa.float64(),
        "ms",
        "round trip of the two regions, as known before",
        nullable=True,
    ),
    _word("rtt_source", "where `rtt_ms` is from: `table`, `model` or `override`"),
)

REQUESTS = TableSchema(
    name="requests",
    version=1,
    file="samples/requests.parquet",
    row="one request",
    columns=(
        *_PLACE,
        _word("method", "HTTP method"),
        _word("path", "without its query"),
        Column("status", pa.int16(), "-", "HTTP status; missing without a response", nullable=True),
        _word(
            "outcome",
            "`response`, `error`, `timeout`, `dropped` (due, and never sent), or `truncated` "
            "(tap ended before its response)",
        ),
        Column(
            "latency_us",
            pa.int64(),
            "µs",
            "tap: request to response headers at that proxy. load: intended send time to the end "
            "of the response. probe: round trip, whole ms. Missing without a response",
            nullable=True,
        ),
        Column(
            "late_us",
            pa.int64(),
            "µs",
            "load: how much later than intended it was sent; missing otherwise",
            nullable=True,
        ),
        Column(
            "duration_us",
            pa.int64(),
            "µs",
            "tap: request to the end of the response at that proxy; missing otherwise",
            nullable=True,
        ),
        Column(
            "number",
            pa.int64(),
            "-",
            "load, and tap of its proxy: place in the plan, from 0: both saw the same request",
            nullable=True,
        ),
        _word("connection", "load: `kept` (keep-alive) or `new`; empty otherwise"),
        Column(
            "tls", pa.bool_(), "-", "tap: mutual TLS of the mesh; missing otherwise", nullable=True
        ),
        _word("server_id", "tap: identity that the server proved; empty otherwise"),
    ),
)
"""Single requests, of whatever instrument."""

SERIES = TableSchema(
    name="series",
    version=1,
    file="samples/series.parquet",
    row="one reading of one counter at one scrape",
    columns=(
        *_PLACE,
        _word(
            "metric", "`response_total`, or `response_latency_ms_` with `bucket`, `sum`, `count`"
        ),
        _word("deployment", "whose proxies"),
        _word("direction", "`inbound` or `outbound` of those proxies"),
        _word("dst_target_cluster", "of mirrored calls the target cluster, else empty"),
        _word("classification", "`success` or `failure`"),
        _word("series", "the other labels, as `pod=…,status_code=200`: they tell series apart"),
        Column(
            "le_ms",
            pa.float64(),
            "ms",
            "upper bound of a bucket, included; infinite for the last one; missing otherwise",
            nullable=True,
        ),
        Column("value", pa.float64(), "requests, or ms for `_sum`", "cumulative, as scraped"),
    ),
)
"""viz' counters as scraped, warm-up included: the snapshot of the metrics."""

TABLES = (REQUESTS, SERIES)
