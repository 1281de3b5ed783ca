"""Two runs side by side: their figures, from the same vantage points."""

from dataclasses import dataclass
from typing import Any

from labkit.display import Shown, Table
from labkit.errors import InputError
from labkit.runs.reading import KeptRun

_NOTHING = "not measured"


@dataclass(frozen=True)
class Comparison(Shown):
    """What two runs measured.

    Attributes:
        names: of the two run folders, A and B.
        rows: one for each figure: figure, source, vantage, a_ms, b_ms.
        notes: what a reader must know.
    """

    names: tuple[str, str]
    rows: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        table = Table.of(
            [
                {
                    "figure": row["figure"],
                    "A (ms)": _ms(row["a_ms"]),
                    "B (ms)": _ms(row["b_ms"]),
                    "source": row["source"],
                    "vantage point": row["vantage"],
                }
                for row in self.rows
            ]
        )
        head = [f"A  {self.names[0]}", f"B  {self.names[1]}"]
        return "\n".join([*head, "", str(table), *(f"! {note}" for note in self.notes)])

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "a": self.names[0],
            "b": self.names[1],
            "rows": list(self.rows),
            "notes": list(self.notes),
        }


def _ms(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.1f}"


def compare(a: KeptRun, b: KeptRun) -> Comparison:
    """Compare two runs.

    Raises:
        InputError: they have no vantage point in common.
    """
    left, right = _figures(a), _figures(b)
    common = [key for key in left if key in right]
    if not common:
        raise InputError(
            f"{a.name} and {b.name} cannot be compared",
            problems=[
                f"{run.name}: {', '.join(sorted({key[2] for key in figures})) or 'no figures'}"
                for run, figures in ((a, left), (b, right))
            ],
            fix="compare runs that were measured from the same vantage point",
        )
    rows = tuple(
        {
            "figure": figure,
            "source": source,
            "vantage": vantage,
            "a_ms": left[figure, source, vantage],
            "b_ms": right[figure, source, vantage],
        }
        for figure, source, vantage in common
    )
    notes = []
    if a.regions != b.regions:
        notes.append(f"different pairs of regions: {a.title} against {b.title}")
    return Comparison((a.name, b.name), rows, tuple(notes))


def _figures(run: KeptRun) -> dict[tuple[str, str, str], float | None]:
    viz, tap = run.summary.get("viz") or {}, run.summary.get("tap") or {}
    found: dict[tuple[str, str, str], float | None] = {}
    if viz:
        found["mean west → east", "viz", viz["vantage"]] = viz["west_east_mean_ms"]
        found["mean in region", "viz", viz["in_region_vantage"]] = viz["in_region_mean_ms"]
    if tap:
        for name in ("p50", "p95", "p99"):
            found[name, "tap", tap["vantage"]] = tap[f"{name}_ms"]["value"]
    return found
