"""Round trips of pairs of regions: table, model and what runs have measured, side by side.

A run measures the way as the difference of two means, at vote-bot's proxy and at east's gateway:
the WAN and the way through the gateway's inbound side. Runs are read from their folders; there is
no other store that could differ from them. A run whose round trip the user gave (`wan_rtt_ms`,
`labkit wan set`) says nothing about its pair and is left out.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from labkit.display import Shown, Table
from labkit.rtt import (
    ATTRIBUTION,
    MODEL_UNCERTAINTY,
    Rtt,
    floor_ms,
    great_circle_km,
    model_ms,
    rtt,
)
from labkit.runs.reading import KeptRun


@dataclass(frozen=True)
class Measured:
    """What runs say of one pair.

    Attributes:
        value_ms: mean of the runs, weighted by their requests.
        low_ms: lowest end of their 95 % intervals, None when no run has one.
        high_ms: highest end.
        n: requests in all.
        runs: names of the run folders.
        emulated: whether the network was emulated: then the value shows how well the relay does
            what it was told, and nothing new about the pair.
    """

    value_ms: float
    low_ms: float | None
    high_ms: float | None
    n: int
    runs: tuple[str, ...]
    emulated: bool


@dataclass(frozen=True)
class Entry:
    """One pair of regions.

    Attributes:
        a: region slug.
        b: region slug.
        km: great circle.
        floor_ms: light in fibre, there and back.
        table: the table's figure, None when it has none.
        model_ms: the model's figure, also where there is a table.
        measured: on real networks and on emulated ones apart.
    """

    a: str
    b: str
    km: float
    floor_ms: float
    table: Rtt | None
    model_ms: float
    measured: tuple[Measured, ...]


@dataclass(frozen=True)
class Matrix(Shown):
    """Every pair, and what was left out.

    Attributes:
        entries: by the order of the regions.
        given: runs that were left out, because their round trip was given.
    """

    entries: tuple[Entry, ...]
    given: tuple[str, ...]

    def __str__(self) -> str:
        notes = [
            "Round trips in ms, ± uncertainty. floor: light in fibre over the great circle.",
            "measured: viz mean at vote-bot's proxy less that at east's gateway [95 %].",
        ]
        if any(found.emulated for entry in self.entries for found in entry.measured):
            notes.append("~: on an emulated network, which was told the table's or model's figure.")
        if self.given:
            notes.append(f"{len(self.given)} runs with a given round trip are left out.")
        notes += [f"Table: {line}" for line in ATTRIBUTION]
        return "\n".join([str(Table.of([_row(entry) for entry in self.entries])), "", *notes])

    def to_json(self) -> dict[str, Any]:
        """For programs, with provenance of every figure."""
        return {
            "schema": "labkit.rtt-matrix/1",
            "unit": "ms",
            "pairs": [_plain(entry) for entry in self.entries],
            "left_out": list(self.given),
            "attribution": list(ATTRIBUTION),
        }

    def to_csv(self) -> str:
        """One line a pair and measured figure; the same names as in JSON, joined by `_`."""
        lines = [_flat(pair) for pair in self.to_json()["pairs"]]
        rows = [line for found in lines for line in found]
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return buffer.getvalue()


def matrix(regions: Sequence[str], runs: Sequence[KeptRun] = ()) -> Matrix:
    """Put together what is known of every pair of some regions.

    Args:
        regions: slugs.
        runs: run folders; those without a measurement add nothing.

    Raises:
        InputError: an unknown region.
    """
    given = tuple(run.name for run in runs if _is_given(run))
    found: dict[frozenset[str], list[KeptRun]] = defaultdict(list)
    for run in runs:
        if not _is_given(run) and _difference(run) is not None:
            found[frozenset(run.regions)].append(run)
    entries = []
    for a, b in combinations(dict.fromkeys(regions), 2):
        known = rtt(a, b)
        groups: dict[bool, list[KeptRun]] = defaultdict(list)
        for run in found[frozenset((a, b))]:
            groups[_is_emulated(run)].append(run)
        entries.append(
            Entry(
                a=a,
                b=b,
                km=great_circle_km(a, b),
                floor_ms=floor_ms(a, b),
                table=known if known.source == "table" else None,
                model_ms=model_ms(a, b),
                measured=tuple(_pooled(groups[key], emulated=key) for key in sorted(groups)),
            )
        )
    return Matrix(tuple(entries), given)


def _is_given(run: KeptRun) -> bool:
    return (run.summary.get("rtt_ms") or {}).get("source") == "override"


def _is_emulated(run: KeptRun) -> bool:
    """Unless the run says that its network was none that could be set, it may have been."""
    return "wan" not in run.measurement or run.measurement["wan"] is not None


def _difference(run: KeptRun) -> tuple[float, float | None, float | None, int] | None:
    """Value, interval and n of a run's own figure in ms."""
    viz, share = run.summary.get("viz") or {}, run.summary.get("wan_share") or {}
    source, target, n = viz.get("west_east_mean_ms"), viz.get("in_region_mean_ms"), viz.get("n")
    if source is None or target is None or not n:
        return None
    low, high = share.get("low"), share.get("high")
    ends = [None if end is None else end * source for end in (low, high)]
    return source - target, ends[0], ends[1], n


def _pooled(runs: Sequence[KeptRun], *, emulated: bool) -> Measured:
    found = [one for run in runs if (one := _difference(run)) is not None]
    total = sum(n for *_, n in found)
    lows = [low for _, low, _, _ in found if low is not None]
    highs = [high for _, _, high, _ in found if high is not None]
    return Measured(
        value_ms=sum(value * n for value, _, _, n in found) / total,
        low_ms=min(lows) if lows else None,
        high_ms=max(highs) if highs else None,
        n=total,
        runs=tuple(run.name for run in runs),
        emulated=emulated,
    )


def _row(entry: Entry) -> dict[str, object]:
    table = entry.table
    return {
        "pair": f"{entry.a} {entry.b}",
        "km": f"{entry.km:.0f}",
        "floor": f"{entry.floor_ms:.1f}",
        "table": f"{table.value_ms:.1f} ±{table.uncertainty:.0%}" if table else "-",
        "model": f"{entry.model_ms:.1f} ±{MODEL_UNCERTAINTY:.0%}",
        "measured": "; ".join(_words(found) for found in entry.measured) or "-",
        "n": "; ".join(str(found.n) for found in entry.measured) or "-",
        "runs": "; ".join(str(len(found.runs)) for found in entry.measured) or "-",
    }


def _words(found: Measured) -> str:
    ends = ["?" if end is None else f"{end:.1f}" for end in (found.low_ms, found.high_ms)]
    return f"{'~' if found.emulated else ''}{found.value_ms:.1f} [{ends[0]}, {ends[1]}]"


def _plain(entry: Entry) -> dict[str, Any]:
    table = entry.table
    return {
        "a": entry.a,
        "b": entry.b,
        "great_circle_km": round(entry.km, 1),
        "floor_ms": round(entry.floor_ms, 1),
        "table": None
        if table is None
        else {
            "value_ms": table.value_ms,
            "low_ms": round(table.low_ms, 1),
            "high_ms": round(table.high_ms, 1),
            "confidence": table.confidence,
            "provenance": table.provenance,
        },
        "model": {
            "value_ms": round(entry.model_ms, 1),
            "low_ms": round(max(entry.floor_ms, entry.model_ms * (1 - MODEL_UNCERTAINTY)), 1),
            "high_ms": round(entry.model_ms * (1 + MODEL_UNCERTAINTY), 1),
            "provenance": "5 ms + 1.5 × light floor",
        },
        "measured": [asdict(found) | {"runs": list(found.runs)} for found in entry.measured],
    }


_NO_TABLE = dict.fromkeys(("value_ms", "low_ms", "high_ms", "confidence", "provenance"))
_NO_MEASUREMENT = dict.fromkeys(("value_ms", "low_ms", "high_ms", "n", "runs", "emulated"))


def _flat(pair: dict[str, Any]) -> list[dict[str, Any]]:
    plain = {key: pair[key] for key in ("a", "b", "great_circle_km", "floor_ms")}
    for name in ("table", "model"):
        plain |= {f"{name}_{key}": v for key, v in (pair[name] or _NO_TABLE).items()}
    lines = []
    for found in pair["measured"] or [_NO_MEASUREMENT]:
        values = {**found, "runs": json.dumps(found["runs"]) if found["runs"] else ""}
        lines.append(plain | {f"measured_{key}": value for key, value in values.items()})
    return lines
