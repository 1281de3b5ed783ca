"""Samples on disk: written once as Parquet, read lazily, by column, from one run or many.

A file appears whole or not at all. Nothing is read before it is asked for, and only the columns
that are asked for: ten million requests stay workable. What the columns mean is in `schema`; what
the samples say is computed elsewhere.
"""

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from labkit.errors import InputError
from labkit.latency.schema import TableSchema

_FIX = "measure again, or leave this run out"
_BATCH_ROWS = 1 << 17


def table_of(rows: Iterable[Mapping[str, Any]] | pd.DataFrame, schema: TableSchema) -> pa.Table:
    """Make a table of a schema; texts that are missing become empty.

    Raises:
        InputError: a column is missing, or a value does not have its column's type.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    if frame.empty:
        frame = frame.reindex(columns=schema.names)
    missing = [name for name in schema.names if name not in frame.columns]
    if missing:
        raise InputError(f"{schema.name}: columns are missing: {', '.join(missing)}")
    try:
        arrays = [_array(frame[c.name], c.type, word=c.is_word) for c in schema.columns]
        table = pa.Table.from_arrays(arrays, schema=schema.arrow)
        table.validate()
    except (pa.ArrowException, TypeError, ValueError) as exc:
        raise InputError(f"{schema.name}: a value does not have its column's type: {exc}") from exc
    absent = [
        field.name for field in table.schema if not field.nullable and table[field.name].null_count
    ]
    if absent:
        raise InputError(f"{schema.name}: a value is missing in {', '.join(absent)}")
    return table


def _array(values: pd.Series, kind: pa.DataType, *, word: bool) -> pa.Array:
    if not word:
        return pa.Array.from_pandas(values, type=kind)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype("object")
    texts = values.where(values.notna(), "")
    return pa.array(texts, type=pa.string(), from_pandas=True).dictionary_encode().cast(kind)


def write(
    rows: Iterable[Mapping[str, Any]] | pd.DataFrame, folder: Path, schema: TableSchema
) -> Path:
    """Write a table into a run folder; equal tables make equal files.

    Args:
        rows: dictionaries or a frame with the schema's columns.
        folder: the run folder.
        schema: `REQUESTS` or `SERIES`.

    Returns:
        The file.

    Raises:
        InputError: the rows are not of this schema.
    """
    table = table_of(rows, schema)
    file = folder / schema.file
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        pq.write_table(table, partial, compression="zstd")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return file


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A table as a frame: texts are categoricals, whole numbers that may be missing nullable."""
    nullable = {
        pa.int16(): pd.Int16Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    by_name = {field.name: field for field in table.schema}
    frame: pd.DataFrame = table.to_pandas(self_destruct=True, split_blocks=True)
    changed = {
        name: frame[name].astype(nullable[field.type])
        for name, field in by_name.items()
        if field.nullable and field.type in nullable
    }
    return frame.assign(**changed) if changed else frame


@dataclass(frozen=True)
class Samples:
    """One table of one or many runs; nothing is in memory yet.

    Attributes:
        schema: which table.
        files: where its rows are.
    """

    schema: TableSchema
    files: tuple[Path, ...]

    @property
    def n(self) -> int:
        """Rows in all, from the files' footers."""
        return sum(pq.read_metadata(file).num_rows for file in self.files)

    def read(
        self, columns: Sequence[str] | None = None, *, where: ds.Expression | None = None
    ) -> pd.DataFrame:
        """Read some columns of some rows.

        Args:
            columns: all when not given.
            where: as `pyarrow.dataset.field("warmup") == False`.

        Raises:
            InputError: an unknown column, or a file that cannot be read, by name.
        """
        return to_frame(self.table(columns, where=where))

    def table(
        self, columns: Sequence[str] | None = None, *, where: ds.Expression | None = None
    ) -> pa.Table:
        """Like `read`, as an Arrow table."""
        unknown = [name for name in columns or () if name not in self.schema.names]
        if unknown:
            raise InputError(
                f"{self.schema.name} have no column {', '.join(unknown)}",
                fix=f"columns: {', '.join(self.schema.names)}",
            )
        wanted = list(columns) if columns is not None else self.schema.names
        source = ds.dataset(
            [str(file) for file in self.files], schema=self.schema.arrow, format="parquet"
        )
        try:
            table = source.to_table(columns=wanted, filter=where, batch_size=_BATCH_ROWS)
        except (pa.ArrowException, OSError) as exc:
            raise _unreadable(self.files, wanted, exc) from exc
        return table.unify_dictionaries()


def _unreadable(files: Sequence[Path], columns: Sequence[str], seen: Exception) -> InputError:
    """Name the files that cannot be read: Arrow's message does not."""
    problems = []
    for file in files:
        try:
            for _ in pq.ParquetFile(file).iter_batches(_BATCH_ROWS, columns=list(columns)):
                pass
        except (pa.ArrowException, OSError) as exc:
            problems.append(f"{file}: {_first_line(exc)}")
    return InputError("Samples cannot be read", problems=problems or [_first_line(seen)], fix=_FIX)


def open_samples(*sources: str | Path, schema: TableSchema) -> Samples:
    """Open a table of runs: a run folder, a file, a folder of runs, or a glob of these.

    A folder of runs and a glob leave out what has no samples (a run that failed early); a run
    that is named must have them.

    Args:
        sources: as `runs/20261123T022550Z-sfo3-syd1`, `runs` or `runs/*-syd1`.
        schema: `REQUESTS` or `SERIES`.

    Raises:
        InputError: nothing found, or files that are not of this schema; all of them by name.
    """
    files: dict[Path, None] = {}
    problems = []
    for source in sources:
        found = _files(str(source), schema)
        if not found:
            problems.append(f"{source}: {_absence(str(source), schema)}")
        files |= dict.fromkeys(found)
    problems += [problem for file in files if (problem := _problem(file, schema))]
    if not files and not problems:
        problems = ["no run was named"]
    if problems:
        raise InputError(f"There are no {schema.name} to read", problems=problems, fix=_FIX)
    return Samples(schema, tuple(files))


def _files(source: str, schema: TableSchema) -> list[Path]:
    named = Path(source)
    # Not Path.glob: that takes no absolute pattern.
    places = [named] if named.exists() else [Path(p) for p in sorted(glob.glob(source))]  # noqa: PTH207
    found = []
    for place in places:
        if place.is_file():
            found.append(place)
        elif (place / schema.file).is_file():
            found.append(place / schema.file)
        elif place.is_dir():
            runs = (run / schema.file for run in sorted(place.iterdir()))
            found += [file for file in runs if file.is_file()]
    return found


def _absence(source: str, schema: TableSchema) -> str:
    if Path(source).exists() or glob.has_magic(source):
        return f"no {schema.file} there"
    return "does not exist"


def _problem(file: Path, schema: TableSchema) -> str | None:
    try:
        metadata = pq.read_schema(file).metadata or {}
    except (pa.ArrowException, OSError) as exc:
        return f"{file}: cut off or not Parquet: {_first_line(exc)}"
    identity = metadata.get(b"labkit.schema", b"").decode()
    if identity != schema.identity:
        return f"{file}: is {identity or 'not of labkit'}, not {schema.identity}"
    return None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
