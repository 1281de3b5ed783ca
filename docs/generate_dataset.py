# ruff: noqa: INP001 - a script, no package
"""Writes docs/dataset.md from the schema itself: `python docs/generate_dataset.py`.

tests/test_docs.py compares the file with what this prints.
"""

from pathlib import Path

from labkit.latency.schema import TABLES, TableSchema

HEAD = """# The dataset

Every sample of every run is in two tables, two Parquet files in the run folder. They have the same
columns in every run, so many runs are one dataset. This page is made by `docs/generate_dataset.py`
from `labkit/latency/schema.py`.

**Why two tables.** A row of `requests` is one request with its own latency: rows can be counted,
pooled, sorted. A row of `series` is one reading of a counter that only grows: it says something only
beside another reading of the same series. What places a row has the same columns in both.

## Reading

```python
import pyarrow.dataset as ds

from labkit.latency.dataset import open_samples
from labkit.latency.schema import REQUESTS

requests = open_samples("runs/*-syd1", schema=REQUESTS)  # a run, a file, a folder of runs, a glob
counted = ds.field("warmup") == False
frame = requests.read(["instrument", "latency_us"], where=counted)  # a pandas DataFrame
```

Nothing is read before `read`, and then only the columns and rows that are asked for. A file that is
cut off, damaged or of another schema is an error that names it. Any other reader of Parquet works,
too: `pd.read_parquet("runs/…/samples/requests.parquet")`, DuckDB, Polars.

```python
from labkit.latency.summarising import summarise

summarise(requests)  # one row per pair of regions and instrument: n, mean, quantiles, intervals
```

## Rules

- **Time** (`time_s`): tap: when the response's headers were seen. load: the *intended* send time.
  probe: when it was read. viz: the scrape.
- **Warm-up**: the first `warmup_seconds` after the traffic began, whatever their values. The rule
  looks at the clock only, never at the figures. Rows of it are kept with `warmup` true. The load
  generator's warm-up is its own first 5 s: connections, handshakes, first answers.
- **tap is sampled**: `tap.n` of `tap.viz_n` requests in summary.json. It has no clock of its own:
  latencies are the proxy's, times those of arrival here.
- **Late and dropped sends** of the load are rows: `late_us`, and `outcome` `dropped`. Latencies
  count from the intended time, so they hold the lateness.
- **One request, two rows**: `number` is a request's place in the load's plan, in the rows of `load`
  and in those of tap at the generator's proxy. `latency_us` of the one holds `duration_us` of the
  other and the generator's own share.
- **Repetitions** are pooled before quantiles are taken; percentiles are never averaged.
- **Nothing is dropped by outcome**: requests without a response have a row with the reason in
  `outcome` and no latency.
- A text that is unknown is empty; a number that is unknown is missing, never zero.
"""


def render() -> str:
    """The page."""
    return "\n".join([HEAD, *(_table(schema) for schema in TABLES)])


def _table(schema: TableSchema) -> str:
    lines = [
        f"## {schema.name}",
        "",
        f"`{schema.file}`, schema `{schema.identity}` (in the file's metadata). One row is {schema.row}.",
        "",
        "| Column | dtype (pandas) | Unit | Missing | Meaning |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{c.name}` | {c.dtype} | {c.unit} | {'yes' if c.nullable else 'no'} | {c.meaning} |"
        for c in schema.columns
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("dataset.md").write_text(render())
