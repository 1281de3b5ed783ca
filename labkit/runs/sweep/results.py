"""The figures of all points side by side, for people and programs.

One row a finished run, from its own summary.json. Runs are not averaged here: quantiles of several
repetitions are taken from their pooled samples, which the readers of run folders do.
"""

import csv
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from labkit.display import Table
from labkit.runs.sweep.folder import MARK, SweepFolder, write_whole

COLUMNS = {
    "west": "region of west",
    "east": "region of east",
    "repetition": "counted from 1",
    "run": "name of the run folder in runs/",
    "rtt_ms": "WAN round trip of the lab in ms",
    "rtt_source": "table, model or override",
    "floor_ms": "light in fibre, there and back, in ms",
    "mean_ms": "viz mean west → east at vote-bot's proxy in ms",
    "in_region_ms": "viz mean at east's gateway in ms",
    "viz_n": "requests behind the mean",
    "p50_ms": "tap median in ms; empty when there are not enough samples",
    "p50_low_ms": "lower end of its 95 % interval",
    "p50_high_ms": "upper end",
    "tap_n": "samples behind the median",
    "gateway_rtt_ms": "last gateway probe, whole ms",
    "warnings": "number of warnings that the program raised; their text is in summary.json",
    "seconds": "wall time of the notebooks",
}


def rows(folder: SweepFolder) -> list[dict[str, Any]]:
    """A row of every finished run, by regions and repetition."""
    found = [_row(path) for path in folder.done().values()]
    return sorted(found, key=lambda row: (row["west"], row["east"], row["repetition"]))


def _row(path: Path) -> dict[str, Any]:
    summary = json.loads((path / "summary.json").read_text())
    mark = json.loads((path / MARK).read_text())
    viz, tap = summary.get("viz") or {}, summary.get("tap") or {}
    p50 = tap.get("p50_ms") or {}
    values = (
        summary["regions"]["west"],
        summary["regions"]["east"],
        mark["repetition"],
        path.name,
        summary["rtt_ms"]["value"],
        summary["rtt_ms"]["source"],
        summary["rtt_ms"]["floor"],
        viz.get("west_east_mean_ms"),
        viz.get("in_region_mean_ms"),
        viz.get("n"),
        p50.get("value"),
        p50.get("low"),
        p50.get("high"),
        tap.get("n"),
        summary.get("gateway_rtt_ms"),
        len(summary["warnings"]),
        round(sum(summary["timings_s"].values()), 1),
    )
    return dict(zip(COLUMNS, values, strict=True))


def failures(folder: SweepFolder) -> dict[str, str]:
    """Run folder → what ended it, of the attempts that failed."""
    found = {}
    for path in sorted(folder.unfinished.glob("*/*/summary.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            found[path.parent.parent.name] = json.loads(path.read_text())["error"]["message"]
    return found


def write(folder: SweepFolder) -> list[dict[str, Any]]:
    """Write summary.json and summary.csv; returns the rows."""
    found = rows(folder)
    content = {
        "schema": "labkit.sweep-summary/1",
        "sweep": folder.id,
        "columns": COLUMNS,
        "rows": found,
        "failed_attempts": failures(folder),
    }
    write_whole(folder.root / "summary.json", json.dumps(content, indent=1))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    write_whole(folder.root / "summary.csv", buffer.getvalue())
    return found


def table(found: list[dict[str, Any]]) -> Table:
    """The rows for a terminal."""
    return Table.of(
        [
            {
                "west": row["west"],
                "east": row["east"],
                "rep": row["repetition"],
                "RTT ms": f"{row['rtt_ms']:.1f} ({row['rtt_source']})",
                "viz mean ms": _ms(row["mean_ms"]),
                "in region": _ms(row["in_region_ms"]),
                "tap p50 [95 %] ms": _interval(row),
                "n": row["tap_n"] if row["tap_n"] is not None else "-",
                "probe ms": _ms(row["gateway_rtt_ms"], digits=0),
                "warnings": row["warnings"],
                "s": f"{row['seconds']:.0f}",
            }
            for row in found
        ]
    )


def _ms(value: float | None, *, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _interval(row: dict[str, Any]) -> str:
    if row["p50_ms"] is None:
        return "-" if row["tap_n"] is None else "not enough samples"
    ends = ["?" if row[key] is None else f"{row[key]:.1f}" for key in ("p50_low_ms", "p50_high_ms")]
    return f"{row['p50_ms']:.1f} [{ends[0]}, {ends[1]}]"
