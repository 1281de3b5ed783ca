"""The page's parts as HTML: one for each panel, made anew from each snapshot.

The browser replaces what has changed. Deliberately absent: controls, which stay where they are so
that the keyboard's focus does; they are in `data/dashboard/page.html.j2`.
"""

import math
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from labkit.context import CLUSTERS
from labkit.dashboard.drawing import draw
from labkit.dashboard.judging import alerts
from labkit.dashboard.snapshot import Row, Snapshot, succeeded
from labkit.latency.histogram import artefacts

TAP_LINES = 26
QUANTILES = (0.50, 0.95, 0.99)
NEEDED_BEYOND = 10
"""A quantile with fewer requests beyond it than this is marked."""
_SIGNS = {"pass": "✔", "warn": "!", "fail": "✘", "unknown": "…"}
_WORDS = {"pass": "holds", "warn": "with a warning", "fail": "fails", "unknown": "not looked at"}


@cache
def templates() -> Environment:
    """The templates; everything is escaped."""
    return Environment(
        loader=PackageLoader("labkit", "data/dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def fragments(snapshot: Snapshot) -> dict[str, str]:
    """Panel → its HTML."""
    values: dict[str, dict[str, Any]] = {
        "status": {"snapshot": snapshot, "time": _clock(snapshot.at_s)},
        "alerts": {"alerts": alerts(snapshot)},
        "topology": {"drawing": draw(snapshot), "regions": snapshot.regions},
        "chapters": {"chapters": _chapters(snapshot)},
        "golden": {"clusters": _golden(snapshot)},
        "tap": {"lines": _tap(snapshot), "snapshot": snapshot},
        "network": {"wan": snapshot.wan, "why": snapshot.wan_why, "changes": _changes(snapshot)},
        "costs": {"costs": snapshot.costs},
    }
    return {
        name: templates().get_template(f"{name}.html.j2").render(**given)
        for name, given in values.items()
    }


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S UTC")


def _chapters(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [
        {
            "chapter": chapter,
            "sign": _SIGNS[chapter.status],
            "word": _WORDS[chapter.status],
        }
        for chapter in snapshot.chapters
    ]


def _golden(snapshot: Snapshot) -> list[dict[str, Any]]:
    found = []
    for name in CLUSTERS:
        view = snapshot.clusters.get(name)
        rows = [row for row in view.rows if row.golden.requests >= 1] if view else []
        found.append(
            {
                "name": name,
                "region": snapshot.regions.get(name, ""),
                "rows": [_golden_row(row) for row in rows],
                "notes": [
                    note
                    for row in rows
                    for note in artefacts(
                        row.histogram, label=f"{row.golden.deployment} {row.golden.direction}"
                    )
                ],
                "window_s": rows[0].golden.window_s if rows else 0,
            }
        )
    return found


def _golden_row(row: Row) -> dict[str, Any]:
    golden = row.golden
    return {
        "deployment": golden.deployment,
        "direction": golden.direction,
        "success": "–" if golden.success is None else f"{golden.success:.1%}",
        "rps": f"{golden.rps:.2f}",
        "mean": "–" if golden.mean_ms is None else f"{golden.mean_ms:.1f}",
        "quantiles": [_bracket(row, q) for q in QUANTILES],
        "artefact": bool(artefacts(row.histogram)),
        "n": f"{golden.requests:.0f}",
    }


def _bracket(row: Row, q: float) -> str:
    """The bucket that holds a quantile, with a dagger when too few requests lie beyond it."""
    bracket = row.histogram.bracket(q)
    if bracket is None:
        return "–"
    high = "∞" if math.isinf(bracket.high_ms) else f"{bracket.high_ms:g}"
    few = row.histogram.n * (1 - q) < NEEDED_BEYOND
    return f"{bracket.low_ms:g}–{high}{'†' if few else ''}"


def _tap(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [
        {
            "time": _clock(request.seen_at_s).removesuffix(" UTC"),
            "destination": request.destination,
            "request": f"{request.method} {request.path.partition('?')[0]}",
            "choice": request.path.partition("choice=")[2].strip(":"),
            "status": "no answer" if request.status is None else str(request.status),
            "good": succeeded(request),
            "tls": "tls" if request.is_tls else f"no tls {request.tls}".strip(),
            "ms": "–" if request.latency_us is None else f"{request.latency_us / 1000:.1f}",
        }
        for request in reversed(snapshot.tapped.requests[-TAP_LINES:])
    ]


def _changes(snapshot: Snapshot) -> list[str]:
    if snapshot.wan is None:
        return []
    return [f"{_clock(c.time)}  {c.text}" for c in reversed(snapshot.wan.changes[-4:])]
