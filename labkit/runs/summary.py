"""summary.json: the figures of a run for programs, in a stable, documented schema.

docs/summary.md describes every field. Numbers carry their unit in the name; a figure that was not
measured is null, never zero. New fields may be added; existing ones keep their meaning.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from labkit.context import FACTS
from labkit.params import Params
from labkit.rtt import rtt
from labkit.runs.checkpoints import Attempt
from labkit.runs.folder import RunFolder, versions

SCHEMA = "labkit.summary/1"


def build(
    folder: RunFolder,
    params: Params,
    *,
    timings: dict[str, float],
    teardown: dict[str, Any],
    error: BaseException | None,
) -> dict[str, Any]:
    """Put the figures together from what the chapters recorded.

    Args:
        folder: the run folder.
        params: the run's parameters.
        timings: seconds of each notebook.
        teardown: what the teardown found.
        error: what ended the run early.
    """
    facts, attempts = recorded(folder), folder.checkpoints.attempts()
    measured = facts.get("latency") or {}
    known = rtt(params.west_region, params.east_region, override_ms=params.wan_rtt_ms)
    way = measured.get("rtt") or {}  # it may have been set live, and then the measurement knows
    return {
        "schema": SCHEMA,
        "run": folder.root.name,
        "status": "failed" if error is not None else "passed",
        "error": _error(error),
        "cloud": params.cloud,
        "regions": {"west": params.west_region, "east": params.east_region},
        "versions": {**versions(), **(facts.get("versions") or {})},
        "rtt_ms": {
            "value": round(way.get("value_ms", known.value_ms), 1),
            "source": way.get("source", known.source),
            "floor": round(known.floor_ms, 1),
        },
        "viz": measured.get("viz"),
        "tap": measured.get("tap"),
        "load": measured.get("load"),
        "gateway_rtt_ms": measured.get("gateway_rtt_ms"),
        "wan_share": measured.get("wan_share"),
        "success_rate": measured.get("success_rate"),
        "rps": measured.get("rps"),
        "mirror": facts.get("mirror"),
        "mtls": facts.get("mtls"),
        "checks": [item for items in (facts.get("checks") or {}).values() for item in items],
        "exercises": [item for items in (facts.get("exercises") or {}).values() for item in items],
        "warnings": [*(measured.get("warnings") or []), *_caveats(attempts)],
        "attempts": [
            {"began": a.began, "ended": a.ended, "notebook": a.notebook, "error": a.error}
            for a in attempts
        ],
        "timings_s": timings,
        "processes_left": len(teardown.get("processes_left") or []) if teardown else None,
        "billable_left": teardown.get("leftovers") if teardown else None,
        "cost": None,
    }


def _caveats(attempts: Sequence[Attempt]) -> list[str]:
    """What a reader must know of how a run was made: interruptions, and what its maker said."""
    said = dict.fromkeys(caveat for attempt in attempts for caveat in attempt.caveats)
    cuts = [
        f"interrupted at {before.notebook or 'the teardown'} ({before.error}), "
        f"resumed {after.began}"
        for before, after in pairwise(attempts)
    ]
    if cuts:
        cuts.append("notebooks before an interruption ran on the lab as it was then; times add up")
    return [*said, *cuts]


def recorded(folder: RunFolder) -> dict[str, Any]:
    """What the chapters recorded so far, by section."""
    try:
        facts: dict[str, Any] = json.loads((folder.root / FACTS).read_text())
    except (FileNotFoundError, ValueError):  # ended before anything, or cut off by a full disk
        return {}
    return facts


def _error(error: BaseException | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "kind": type(error).__name__,
        "message": str(error) or "interrupted",
        "notebook": getattr(error, "notebook", None),
        "cell": getattr(error, "cell", None),
    }


def headline(content: dict[str, Any]) -> list[str]:
    """The figures a person wants first, one line each."""
    regions = content["regions"]
    known = content["rtt_ms"]
    lines = [
        f"west {regions['west']} → east {regions['east']} on {content['cloud']}",
        (
            f"WAN round trip   {known['value']:.1f} ms ({known['source']}; "
            f"light in fibre {known['floor']:.1f} ms)"
        ),
    ]
    lines += _viz_lines(content.get("viz"))
    lines += _tap_lines(content.get("tap"))
    lines += _load_lines(content.get("load"))
    lines += _other_lines(content)
    lines += [f"! {warning}" for warning in content["warnings"]]
    return lines


def _viz_lines(viz: dict[str, Any] | None) -> list[str]:
    if not viz:
        return []
    lines = [
        (
            f"viz mean         {_ms(viz['west_east_mean_ms'])} west → east at vote-bot's proxy, "
            f"{_ms(viz['in_region_mean_ms'])} in region at east's gateway "
            f"(n={viz['n']}, {viz['window_s']:.0f} s)"
        )
    ]
    if brackets := _brackets(viz):
        lines.append(
            f"viz quantiles    {brackets} ms at vote-bot's proxy: buckets hold no finer figure"
        )
    return lines


def _brackets(viz: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} in ({low:g}, {'∞' if high is None else f'{high:g}'}]"
        for name, (low, high) in (viz.get("brackets_ms") or {}).items()
        if low is not None
    )


def _ms(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1f} ms"


def _tap_lines(tap: dict[str, Any] | None) -> list[str]:
    if not tap:
        return []
    share = tap["tls_true_share"]
    tls = "tls unknown" if share is None else f"tls=true {share:.0%}"
    return [f"tap              {_quantiles(tap)} (n={tap['n']}, 95 % intervals, {tls})"]


def _load_lines(load: dict[str, Any] | None) -> list[str]:
    if not load:
        return []
    sends = f"{load['rate_per_s']}/s, {load['late_share']:.1%} late, {load['dropped']} dropped"
    return [f"load             {_quantiles(load)} (n={load['n']}, {sends})"]


def _quantiles(figures: dict[str, Any]) -> str:
    parts = []
    for name in ("p50", "p95", "p99"):
        figure = figures[f"{name}_ms"]
        if figure["value"] is None:
            parts.append(f"{name} not enough samples")
        else:
            ends = (figure["low"], figure["high"])
            interval = ", ".join("?" if end is None else f"{end:.1f}" for end in ends)
            parts.append(f"{name} {figure['value']:.1f} [{interval}] ms")
    return ", ".join(parts)


def _other_lines(content: dict[str, Any]) -> list[str]:
    lines = []
    if content.get("gateway_rtt_ms") is not None:
        lines.append(f"gateway probe    {content['gateway_rtt_ms']:.0f} ms round trip")
    if content.get("success_rate"):
        rates = content["success_rate"]
        parts = ", ".join(f"{name} {value:.1%}" for name, value in rates.items() if value)
        lines.append(f"success          {parts} (doughnut fails by design)")
    checks = content["checks"]
    passed = sum(1 for check in checks if check["status"] == "pass")
    lines.append(f"checks           {passed} of {len(checks)} passed")
    lines += _exercise_lines(content["exercises"])
    if content["processes_left"] is not None:
        lines.append(f"processes left   {content['processes_left']}")
    return lines


def _exercise_lines(exercises: list[dict[str, Any]]) -> list[str]:
    if not exercises:
        return []
    open_ones = [item["id"] for item in exercises if item["status"] == "fail"]
    text = f"exercises        {len(exercises) - len(open_ones)} of {len(exercises)} solved"
    return [text + (f"; open: {', '.join(open_ones)}" if open_ones else "")]
