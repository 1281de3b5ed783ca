"""Pairs of regions side by side: what was measured against what was known, and the light floor."""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from labkit.latency import style
from labkit.latency.charts.sheet import Caption, Chart, legend_below, said, sheet, whiskers

_ROW_IN, _REST_IN = 0.52, 2.2


def by_pair(pairs: pd.DataFrame, *, title: str, caption: Caption) -> Chart:
    """Draw one row a pair: floor, round trip as known, viz' bucket, mean and median as measured.

    Args:
        pairs: columns pair (for people), floor_ms, rtt_ms, rtt_low_ms, rtt_high_ms, rtt_source,
            bucket_low_ms, bucket_high_ms (of viz' median), mean_ms, mean_low_ms, mean_high_ms,
            p50_ms, p50_low_ms, p50_high_ms, n (requests behind the mean); NaN for what is not
            known.
        title: of the chart.
        caption: below it.
    """
    rows = pairs.sort_values("rtt_ms", kind="stable").to_dict("records")
    with style.styled():
        chart = sheet(title, caption, height_in=_REST_IN + _ROW_IN * max(2, len(rows)))
        axes = chart.subplots()
        for place, row in enumerate(rows):
            _draw_row(axes, place, row)
        if not rows:
            said(axes, "no pairs of regions")
        labels = [f"{row['pair']}\n(n={row['n']:,})" for row in rows]
        axes.set_yticks(range(len(rows)), labels, fontsize=style.SMALL)
        axes.set(xlabel="latency (ms)", ylim=(max(1, len(rows)) - 0.4, -0.6))
        axes.set_xlim(left=0)
        axes.grid(visible=False, axis="y")
        legend_below(axes)
    return chart


def _draw_row(axes: Axes, place: int, row: Mapping[Hashable, Any]) -> None:
    low, high = float(row["bucket_low_ms"]), float(row["bucket_high_ms"])
    if math.isfinite(low) and math.isfinite(high):
        axes.barh(
            place,
            high - low,
            left=low,
            height=0.62,
            facecolor="#FBE3D6",
            edgecolor=style.ORANGE,
            hatchcolor=style.ORANGE,
            hatch="/",
            linewidth=0.5,
            label="bucket of viz' median",
            zorder=1,
        )
    axes.plot(
        [row["floor_ms"]] * 2,
        [place - 0.36, place + 0.36],
        color=style.BLACK,
        linestyle=(0, (3, 1, 1, 1)),
        label="light floor",
    )
    for height, name, look, label in (
        (place - 0.2, "rtt", style.SOURCES["model"], "round trip, as known before"),
        (place, "mean", style.WEST_EAST, "mean, viz, 95 % interval"),
        (place + 0.2, "p50", style.LOOKS[3], "median, tap, 95 % interval"),
    ):
        _point(axes, height, row, name, look=look, label=label)
    if math.isfinite(float(row["mean_ms"])):
        right = max(float(row[key]) for key in ("mean_ms", "rtt_ms"))
        axes.annotate(
            f"{row['mean_ms']:.1f} ms",
            (max(right, _finite(row["rtt_high_ms"], right)), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=style.SMALL,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
        )


def _finite(value: Any, otherwise: float) -> float:
    return float(value) if math.isfinite(float(value)) else otherwise


def _point(
    axes: Axes,
    height: float,
    row: Mapping[Hashable, Any],
    name: str,
    *,
    look: style.Look,
    label: str,
) -> None:
    value, low, high = (float(row[f"{name}{end}_ms"]) for end in ("", "_low", "_high"))
    axes.errorbar(
        value,
        height,
        xerr=whiskers(value, low, high),
        color=look.color,
        marker=look.marker,
        markersize=5,
        capsize=3,
        linestyle="none",
        label=label,
        zorder=3,
    )
