"""Round trips between regions as a matrix: what was measured, and what is only known or modelled.

Above the diagonal stands what was measured, below it the table's or the model's figure, so that
each pair can be compared across the diagonal.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from labkit.latency import style
from labkit.latency.charts.sheet import Caption, Chart, said, sheet

_CELL_IN, _REST_IN = 0.86, 2.3
_DARK = 0.45
"""Text is white on colours darker than this luminance."""

_HOW = {
    "measured": "measured (bold, framed): value, 95 % interval",
    "table": "table: value ± uncertainty",
    "model": "model (hatched, italic): value ± uncertainty",
    "override": "given by the user (double hatch)",
}
_HATCH = {"measured": "", "table": "", "model": "//", "override": "xx"}


def region_matrix(
    pairs: pd.DataFrame, *, title: str, caption: Caption, regions: Sequence[str] = ()
) -> Chart:
    """Draw the round trips of pairs of regions.

    Args:
        pairs: columns a, b (region slugs), rtt_ms, low_ms, high_ms, floor_ms, source (`measured`,
            `table`, `model` or `override`); a pair may have one measured row and one other. What
            is measured is drawn above the diagonal, everything else below.
        title: of the chart.
        caption: below it.
        regions: slugs in the order of rows and columns; default: as they come in `pairs`.
    """
    names = list(regions) or list(dict.fromkeys([*pairs["a"], *pairs["b"]]))
    side = max(2.6, _CELL_IN * len(names))
    with style.styled():
        chart = sheet(title, caption, width_in=max(side + 1.8, 6.5), height_in=side + _REST_IN)
        axes = chart.subplots()
        _empty_grid(axes, names)
        if pairs.empty:
            said(axes, "no pairs of regions")
            return chart
        places = {name: number for number, name in enumerate(names)}
        ramp = mpl.colormaps[style.RAMP]
        scale = mpl.colors.Normalize(0, float(pairs["rtt_ms"].max()) or 1.0)
        for row in pairs.to_dict("records"):
            first, second = sorted((places[row["a"]], places[row["b"]]))
            upper = row["source"] == "measured"
            column, line = (second, first) if upper else (first, second)
            _cell(axes, column, line, row=row, color=ramp(scale(row["rtt_ms"])))
        place = axes.inset_axes((1.02, 0, 0.035, 1))
        bar = chart.colorbar(mpl.cm.ScalarMappable(scale, ramp), cax=place)
        bar.set_label("round trip (ms)")
        _legend(axes, pairs)
    return chart


def _empty_grid(axes: Axes, names: Sequence[str]) -> None:
    count = max(1, len(names))
    axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5), aspect="equal", anchor="S")
    axes.set_xticks(range(len(names)), names, rotation=45 if _long(names) else 0)
    axes.set_yticks(range(len(names)), names)
    if _long(names):
        for label in axes.get_xticklabels():
            label.set(ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for number in range(len(names)):
        axes.add_patch(
            Rectangle((number - 0.5, number - 0.5), 1, 1, facecolor=style.LIGHT_GREY, zorder=0)
        )


def _long(names: Sequence[str]) -> bool:
    return any(len(name) > 8 for name in names)


def _cell(
    axes: Axes, column: int, line: int, *, row: Mapping[Hashable, Any], color: tuple[float, ...]
) -> None:
    source = str(row["source"])
    measured = source == "measured"
    inset = 0.03
    axes.add_patch(
        Rectangle(
            (column - 0.5 + inset, line - 0.5 + inset),
            1 - 2 * inset,
            1 - 2 * inset,
            facecolor=color,
            edgecolor=style.BLACK if measured else "white",
            hatch=_HATCH.get(source, "xx"),
            linewidth=2.0 if measured else 0.5,
        )
    )
    luminance = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    ink = "white" if luminance < _DARK else "black"
    # A hatch stops around the figures.
    box = {"facecolor": color, "edgecolor": "none", "pad": 0.8} if _HATCH.get(source) else None
    axes.text(
        column,
        line,
        f"{row['rtt_ms']:.1f}",
        ha="center",
        va="bottom",
        color=ink,
        fontsize=9.5,
        bbox=box,
        fontweight="bold" if measured else "normal",
        fontstyle="italic" if source == "model" else "normal",
    )
    axes.text(
        column,
        line + 0.06,
        f"{_spread(row)}\nfloor {row['floor_ms']:.1f}",
        ha="center",
        va="top",
        color=ink,
        fontsize=6.5,
        bbox=box,
        linespacing=1.15,
    )


def _spread(row: Mapping[Hashable, Any]) -> str:
    low, high, value = (float(row[key]) for key in ("low_ms", "high_ms", "rtt_ms"))
    if not (math.isfinite(low) and math.isfinite(high)):
        return "± ?"
    if row["source"] == "measured":
        return f"[{low:.1f}, {high:.1f}]"
    return f"± {max(high - value, value - low):.1f}"


def _legend(axes: Axes, pairs: pd.DataFrame) -> None:
    drawn = [source for source in _HOW if (pairs["source"] == source).any()]
    handles = [
        Patch(
            facecolor=style.GREY,
            edgecolor=style.BLACK if source == "measured" else "white",
            hatch=_HATCH[source],
            linewidth=2.0 if source == "measured" else 0.5,
            label=_HOW[source],
        )
        for source in drawn
    ]
    if "measured" in drawn and len(drawn) > 1:
        handles.append(Patch(visible=False, label="measured above the diagonal, others below"))
    handles.append(Patch(visible=False, label="floor: light in fibre there and back, ms"))
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, -0.02),
        borderaxespad=0,
        ncols=1,
        fontsize=style.SMALL,
    )
