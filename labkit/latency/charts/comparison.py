"""Runs against each other: differences with intervals, and figures from run to run."""

import math
import textwrap
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from labkit.latency import style
from labkit.latency.charts.sheet import (
    Caption,
    Chart,
    legend_below,
    said,
    sheet,
    whiskers,
)

_ROW_IN, _REST_IN = 0.42, 2.3
_NAME_COLUMNS = 34


def forest(
    differences: pd.DataFrame,
    *,
    title: str,
    caption: Caption,
    names: tuple[str, str],
    floor_difference_ms: float | None = None,
) -> Chart:
    """Draw the differences of two runs, B minus A, one row a figure.

    Args:
        differences: columns figure, source, difference_ms, low_ms, high_ms (NaN when not known),
            n_a, n_b, p_value (NaN without a test), note (why there is no figure, else empty).
        title: of the chart.
        caption: below it.
        names: of run A and run B.
        floor_difference_ms: how much the light floors differ, B minus A; 0 for one pair.
    """
    count = len(differences)
    with style.styled():
        chart = sheet(title, caption, height_in=_REST_IN + _ROW_IN * max(2, count))
        axes = chart.subplots()
        rows = differences.to_dict("records")
        for place, row in enumerate(rows):
            _difference(axes, place, row)
        axes.axvline(0, color=style.BLACK, linewidth=1, label="no difference")
        if floor_difference_ms:
            axes.axvline(
                floor_difference_ms,
                color=style.GREY,
                linestyle=(0, (3, 1, 1, 1)),
                label=f"difference of the light floors {floor_difference_ms:+.1f} ms",
            )
        labels = [
            textwrap.fill(f"{row['figure']} ({row['source']})", _NAME_COLUMNS) for row in rows
        ]
        axes.set_yticks(range(count), labels, fontsize=style.SMALL)
        axes.set(
            xlabel="difference B − A (ms); right of zero: B is slower",
            ylim=(max(1, count) - 0.4, -0.6),
        )
        axes.grid(visible=False, axis="y")
        axes.plot([], [], " ", label=f"A: {names[0]}")
        axes.plot([], [], " ", label=f"B: {names[1]}")
        if not rows:
            said(axes, "nothing to compare")
        legend_below(axes)
    return chart


def _difference(axes: Axes, place: int, row: Mapping[Hashable, Any]) -> None:
    value, low, high = (float(row[key]) for key in ("difference_ms", "low_ms", "high_ms"))
    counts = f"n={row['n_a']:,} / {row['n_b']:,}"
    if not math.isfinite(value):
        text = f"{row['note'] or 'not measured'}; {counts}"
    else:
        clear = low > 0 or high < 0
        axes.errorbar(
            value,
            place,
            xerr=whiskers(value, low, high),
            color=style.BLUE,
            marker="s",
            markersize=7,
            markerfacecolor=style.BLUE if clear else "white",
            capsize=4,
            linewidth=1.6,
        )
        interval = f" [{low:+.1f}, {high:+.1f}]" if math.isfinite(low) else " [?]"
        test = f", p{_p(row['p_value'])}" if math.isfinite(float(row["p_value"])) else ""
        text = f"{value:+.1f}{interval} ms, {counts}{test}"
    axes.text(
        1.01,
        place,
        textwrap.fill(text, 40),
        transform=axes.get_yaxis_transform(),
        va="center",
        fontsize=7.5,
    )


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"={value:.3f}"


def trend(
    figures: pd.DataFrame,
    *,
    title: str,
    caption: Caption,
    floors_ms: Mapping[str, float] | None = None,
) -> Chart:
    """Draw one figure from run to run.

    Args:
        figures: columns run (its name), series (as a pair of regions), value_ms, low_ms, high_ms
            (NaN when not known), n; runs are drawn in the order of the rows.
        title: of the chart.
        caption: below it.
        floors_ms: series -> light floor in ms.
    """
    runs = list(dict.fromkeys(figures["run"]))
    places = {run: number for number, run in enumerate(runs)}
    with style.styled():
        chart = sheet(title, caption, height_in=5.6)
        axes = chart.subplots()
        for number, (name, rows) in enumerate(figures.groupby("series", sort=False)):
            _draw_series(axes, str(name), rows, places=places, look=style.look(number))
            floor = (floors_ms or {}).get(str(name))
            if floor is not None:
                _named_floor(axes, floor, str(name), style.look(number))
        if not runs:
            said(axes, "no runs")
        axes.set_xticks(
            range(len(runs)), runs, rotation=30, ha="right", rotation_mode="anchor", fontsize=7
        )
        axes.set(ylabel="latency (ms)", xlabel="run, in order of time")
        axes.margins(x=0.08, y=0.12)
        axes.set_ylim(bottom=0)
        if runs:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=style.SMALL)
    return chart


def _draw_series(
    axes: Axes, name: str, rows: pd.DataFrame, *, places: Mapping[str, int], look: style.Look
) -> None:
    for row in rows.to_dict("records"):
        _point(axes, places[row["run"]], row, look)
    axes.plot(
        [places[run] for run in rows["run"]],
        rows["value_ms"],
        color=look.color,
        linestyle=look.line,
        marker=look.marker,
        markersize=5,
        label=name,
    )


def _named_floor(axes: Axes, floor_ms: float, name: str, look: style.Look) -> None:
    axes.axhline(floor_ms, color=look.color, linestyle=(0, (3, 1, 1, 1)), linewidth=1)
    axes.annotate(
        f"light floor {name} {floor_ms:.1f} ms",
        (1, floor_ms),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize=7,
        color=style.GREY,
    )


def _point(axes: Axes, place: int, row: Mapping[Hashable, Any], look: style.Look) -> None:
    value, low, high = (float(row[key]) for key in ("value_ms", "low_ms", "high_ms"))
    if not math.isfinite(value):
        return
    axes.errorbar(place, value, yerr=whiskers(value, low, high), color=look.color, capsize=3)
    axes.annotate(
        f"n={row['n']:,}",
        (place, value),
        xytext=(5, 4),
        textcoords="offset points",
        fontsize=6.5,
        color=style.GREY,
    )
