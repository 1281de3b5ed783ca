"""What happened during a measurement: latency, requests and success over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from labkit.latency import style
from labkit.latency.charts.sheet import (
    Caption,
    Chart,
    floor_line,
    legend_below,
    series_looks,
    sheet,
)

_HEADROOM = 0.12
"""Free share of the height above the highest point."""


@dataclass(frozen=True)
class Event:
    """Something that was done during a measurement, as a change of the WAN.

    Attributes:
        time_s: Unix seconds.
        text: what, in a few words, as `WAN: 200 ms round trip`.
    """

    time_s: float
    text: str


def over_time(
    routes: Mapping[str, pd.DataFrame],
    *,
    title: str,
    caption: Caption,
    start_s: float,
    warmup_s: float,
    floor_ms: float,
    samples: pd.DataFrame | None = None,
    events: Sequence[Event] = (),
) -> Chart:
    """Draw mean latency over time, west→east against in-region.

    Args:
        routes: `west→east` and `in-region` -> columns time_s, mean_ms.
        title: of the chart.
        caption: below it.
        start_s: Unix seconds of the axis' zero, the start of the traffic.
        warmup_s: shaded seconds that no statistic uses.
        floor_ms: light floor of the pair, drawn as a line.
        samples: columns time_s, ms of single requests west→east, drawn as dots.
        events: drawn as numbered lines and named in the legend.
    """
    with style.styled():
        chart = sheet(title, caption, height_in=5.2)
        axes = chart.subplots()
        if samples is not None and len(samples):
            axes.plot(
                samples["time_s"] - start_s,
                samples["ms"].astype(float),
                linestyle="none",
                marker=".",
                color=style.GREY,
                alpha=0.55,
                label="single requests west→east",
                rasterized=len(samples) > 2_000,
            )
        for name, look in series_looks(list(routes)):
            _line(axes, routes[name], "mean_ms", start_s=start_s, look=look, label=f"{name} (mean)")
        if not any(len(table) for table in routes.values()) and (samples is None or samples.empty):
            axes.text(0.5, 0.5, "no requests", transform=axes.transAxes, ha="center")
        _shade_warmup(axes, warmup_s)
        floor_line(axes, floor_ms)
        _mark(axes, events, start_s=start_s)
        axes.margins(y=_HEADROOM)
        axes.set(xlabel="time since start (s)", ylabel="latency (ms)")
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        legend_below(axes)
    return chart


def success_and_rps(
    sides: Mapping[str, pd.DataFrame],
    *,
    title: str,
    caption: Caption,
    start_s: float,
    warmup_s: float = 0.0,
    events: Sequence[Event] = (),
) -> Chart:
    """Draw requests per second and success of both sides.

    Args:
        sides: name of a side -> columns time_s, rps, success_rate (0 to 1).
        title: of the chart.
        caption: below it.
        start_s: Unix seconds of the axis' zero.
        warmup_s: shaded seconds that no statistic uses.
        events: drawn as numbered lines and named in the legend.
    """
    with style.styled():
        chart = sheet(title, caption, height_in=5.4)
        upper, lower = chart.subplots(2, 1, sharex=True)
        for name, look in series_looks(list(sides)):
            percent = sides[name].assign(success=sides[name]["success_rate"] * 100)
            _line(upper, percent, "rps", start_s=start_s, look=look, label=name)
            _line(lower, percent, "success", start_s=start_s, look=look, label=name)
        if not any(len(table) for table in sides.values()):
            upper.text(0.5, 0.5, "no requests", transform=upper.transAxes, ha="center")
        for axes in (upper, lower):
            _shade_warmup(axes, warmup_s)
            _mark(axes, events, start_s=start_s)
        upper.margins(y=_HEADROOM)
        upper.set(ylabel="requests (1/s)")
        upper.set_ylim(bottom=0)
        lower.set(ylabel="success (%)", xlabel="time since start (s)", ylim=(0, 105))
        lower.set_xlim(left=0)
        legend_below(lower)
    return chart


def _line(
    axes: Axes, table: pd.DataFrame, column: str, *, start_s: float, look: style.Look, label: str
) -> None:
    axes.plot(
        table["time_s"] - start_s,
        table[column].astype("float64"),
        color=look.color,
        linestyle=look.line,
        marker=look.marker,
        markersize=4,
        label=label,
    )


def _shade_warmup(axes: Axes, warmup_s: float) -> None:
    if warmup_s > 0:
        axes.axvspan(
            0,
            warmup_s,
            facecolor=style.LIGHT_GREY,
            edgecolor="white",
            hatch="\\\\",
            alpha=0.6,
            label=f"warm-up, {warmup_s:g} s, not used",
        )


def _mark(axes: Axes, events: Sequence[Event], *, start_s: float) -> None:
    for number, event in enumerate(events, start=1):
        at_s = event.time_s - start_s
        axes.axvline(
            at_s,
            color=style.BLACK,
            linestyle=(0, (1, 2)),
            linewidth=1.4,
            label=f"({number}) at {at_s:.0f} s: {event.text}",
        )
        axes.annotate(
            f"({number})",
            (at_s, 1),
            xycoords=("data", "axes fraction"),
            xytext=(2, -2),
            textcoords="offset points",
            va="top",
            fontsize=style.SMALL,
        )
