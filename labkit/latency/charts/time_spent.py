"""Where the time goes: a waterfall of parts, each with its uncertainty."""

import math
from collections.abc import Sequence

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
from labkit.latency.decomposition import Part

_ROW_IN, _REST_IN = 0.55, 2.1


def where_time_goes(
    parts: Sequence[Part],
    *,
    whole: Part,
    title: str,
    caption: Caption,
    floor_ms: float | None = None,
) -> Chart:
    """Draw the parts of a mean: each begins where the one above ended, the last bar is the whole.

    Args:
        parts: in the order of drawing; a negative one goes back.
        whole: the mean that they add up to.
        title: of the chart.
        caption: below it.
        floor_ms: light floor, which the whole cannot be below.
    """
    rows = [*parts, whole] if math.isfinite(whole.value_ms) else [*parts]
    height = _REST_IN + _ROW_IN * max(2, len(rows))
    with style.styled():
        chart = sheet(title, caption, height_in=height)
        axes = chart.subplots()
        left = 0.0
        for place, part in enumerate(rows):
            begin = 0.0 if part is whole else left
            look = style.LIGHT_GREY if part is whole else style.look(place).color
            hatch = "" if part is whole else style.look(place).hatch
            _bar(axes, place, part, begin=begin, color=look, hatch=hatch)
            left = begin + part.value_ms
        if not rows:
            said(axes, "no figures")
        axes.set_yticks(range(len(rows)), [f"{part.name}\n({part.source})" for part in rows])
        axes.set(xlabel="mean latency (ms)", ylim=(-0.6, max(1, len(rows)) - 0.4))
        axes.margins(x=0.02)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        if floor_ms is not None:
            _floor_of_the_whole(axes, floor_ms, place=len(rows) - 1)
        axes.errorbar(
            [],
            [],
            xerr=[],
            color=style.BLACK,
            capsize=4,
            label="95 % interval, or the uncertainty of the round trip",
        )
        # Room for the figures at the ends of the longest bars.
        low, high = axes.get_xlim()
        axes.set_xlim(min(0.0, low), high + 0.3 * (high - low))
        legend_below(axes)
    return chart


def _floor_of_the_whole(axes: Axes, floor_ms: float, *, place: int) -> None:
    """Draw the floor at the last bar only: the parts above it do not begin at zero."""
    axes.plot(
        [floor_ms, floor_ms],
        [place - 0.45, place + 0.45],
        color=style.BLACK,
        linestyle=(0, (3, 1, 1, 1)),
        linewidth=1.6,
        label=f"light floor of the whole {floor_ms:.1f} ms",
    )


def _bar(axes: Axes, place: int, part: Part, *, begin: float, color: str, hatch: str) -> None:
    end = begin + part.value_ms
    axes.barh(
        place,
        part.value_ms,
        left=begin,
        height=0.55,
        facecolor=color,
        edgecolor=style.BLACK,
        hatch=hatch,
        linewidth=0.6,
    )
    known = math.isfinite(part.low_ms) and math.isfinite(part.high_ms)
    if known:
        axes.errorbar(
            end,
            place,
            xerr=whiskers(part.value_ms, part.low_ms, part.high_ms),
            color=style.BLACK,
            capsize=4,
            linewidth=1.4,
        )
    right = max(begin, end, begin + part.high_ms if known else begin)
    axes.annotate(
        str(part),
        (right, place),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=style.SMALL,
    )
