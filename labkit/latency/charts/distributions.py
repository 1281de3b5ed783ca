"""How latencies are spread: single requests, and how little buckets can say of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from labkit.latency import style
from labkit.latency.charts.sheet import (
    Caption,
    Chart,
    floor_line,
    legend_below,
    said,
    series_looks,
    sheet,
    whiskers,
)
from labkit.latency.histogram import Bracket
from labkit.latency.statistics import Quantile

Values = "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"

_AREAS = ((style.ORANGE, "/"), (style.SKY, "\\"), (style.GREEN, "|"))
"""Colours and hatches of buckets; workloads that share a bucket share an area."""

_TAIL = 0.995
_STRETCH = 3.0
"""The lower panel ends where the tail becomes longer than this many times the rest."""


def distribution(
    samples_ms: Mapping[str, Sequence[float]],
    *,
    title: str,
    caption: Caption,
    quantiles: Mapping[str, Sequence[Quantile]] | None = None,
    brackets: Mapping[str, Bracket] | None = None,
    invented: Mapping[float, float] | None = None,
    floor_ms: float | None = None,
) -> Chart:
    """Draw single requests as histogram and ECDF, and above what viz' buckets can say.

    Args:
        samples_ms: instrument, as `tap` -> latencies of single requests.
        title: of the chart.
        caption: below it.
        quantiles: instrument -> quantiles with intervals; those that n does not carry are named,
            not drawn.
        brackets: whose requests -> bucket that holds viz' median of them, drawn as an area.
        invented: quantile -> ms that interpolation in the first one's buckets shows, drawn
            crossed out.
        floor_ms: light floor.
    """
    known = {name: np.sort(np.asarray(values, dtype=float)) for name, values in samples_ms.items()}
    with style.styled():
        chart = sheet(title, caption, height_in=6.6)
        upper, lower = chart.subplots(2, 1, height_ratios=(1, 1.25))
        _draw_histogram(upper, known, brackets=brackets or {}, invented=invented or {})
        _draw_ecdf(lower, known, quantiles=quantiles or {})
        if floor_ms is not None:
            floor_line(upper, floor_ms, vertical=True)
            _floor_if_near(lower, floor_ms)
        legend_below(lower, upper)
    return chart


def _draw_histogram(
    axes: Axes,
    known: Mapping[str, Any],
    *,
    brackets: Mapping[str, Bracket],
    invented: Mapping[float, float],
) -> None:
    edges = _edges(known.values())
    for (name, look), values in zip(series_looks(list(known)), known.values(), strict=True):
        if len(values):
            axes.hist(
                values,
                bins=edges,
                weights=np.full(len(values), 100 / len(values)),
                histtype="stepfilled",
                facecolor=look.color,
                edgecolor=style.BLACK,
                hatch=look.hatch,
                alpha=0.6,
                label=f"{name}, histogram (n={len(values):,})",
            )
    whose: dict[tuple[float, float], list[str]] = {}
    for name, bracket in brackets.items():
        whose.setdefault(bracket.bounds, []).append(name)
    for (bounds, together), (color, hatch) in zip(whose.items(), _AREAS, strict=False):
        _draw_bracket(axes, bounds, " and ".join(together), color, hatch)
    names = ", ".join(f"p{q * 100:g}" for q in sorted(invented))
    for number, q in enumerate(sorted(invented)):
        axes.plot(
            invented[q],
            0.5,
            "x",
            transform=axes.get_xaxis_transform(),
            color=style.BLACK,
            markersize=9,
            markeredgewidth=2,
            label=f"viz' interpolated {names}: artefacts" if number == 0 else None,
        )
        axes.annotate(
            f"p{q * 100:g}",
            (invented[q], 0.5),
            xycoords=("data", "axes fraction"),
            xytext=(0, 7 + 9 * (number % 2)),
            textcoords="offset points",
            ha="center",
            fontsize=style.SMALL,
        )
    if not any(len(values) for values in known.values()):
        said(axes, "no single requests")
    axes.set(ylabel="requests (%)", xlabel="latency (ms), with the bucket of viz' p50")


def _draw_bracket(
    axes: Axes, bounds: tuple[float, float], whose: str, color: str, hatch: str
) -> None:
    low_ms, high_ms = bounds
    open_end = math.isinf(high_ms)
    axes.axvspan(
        low_ms,
        low_ms * 1.2 if open_end else high_ms,
        facecolor=color,
        edgecolor="none",
        hatchcolor=color,
        alpha=0.2,
        hatch=hatch,
        zorder=0,
        label=f"viz, {whose}: bucket of p50 ({low_ms:g}, {'∞' if open_end else f'{high_ms:g}'}] ms",
    )


def _draw_ecdf(
    axes: Axes, known: Mapping[str, Any], *, quantiles: Mapping[str, Sequence[Quantile]]
) -> None:
    for (name, look), values in zip(series_looks(list(known)), known.values(), strict=True):
        if len(values):
            axes.ecdf(
                values,
                color=look.color,
                linestyle=look.line,
                linewidth=1.8,
                label=f"{name}, ECDF",
                rasterized=len(values) > 20_000,
            )
    for (name, look), own in zip(series_looks(list(quantiles)), quantiles.values(), strict=True):
        _draw_quantiles(axes, name, own, look)
    if not any(len(values) for values in known.values()):
        said(axes, "no single requests")
    _end_before_the_tail(axes, [values for values in known.values() if len(values)])
    axes.set(xlabel="latency (ms)", ylabel="share of requests\nat or below", ylim=(0, 1.03))


def _draw_quantiles(axes: Axes, name: str, quantiles: Sequence[Quantile], look: style.Look) -> None:
    for found in quantiles:
        if not found.enough:
            axes.plot([], [], " ", label=f"{name} {found}")
            continue
        axes.errorbar(
            found.value_ms,
            found.q,
            xerr=whiskers(found.value_ms, found.low_ms, found.high_ms),
            color=style.BLACK,
            marker=look.marker,
            markersize=5.5,
            markerfacecolor="white",
            markeredgecolor=look.color,
            capsize=4,
            linestyle="none",
            zorder=3,
            label=f"{name} {found.name} = {found.value_ms:.1f} ms, {found.confidence:.0%} interval "
            f"[{_end(found.low_ms)}, {_end(found.high_ms)}]",
        )


def _end(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "?"


def _floor_if_near(axes: Axes, floor_ms: float) -> None:
    """Draw the floor where it does not push the samples together."""
    low, high = axes.get_xlim()
    if low <= floor_ms <= high:
        floor_line(axes, floor_ms, vertical=True)


def _body(known: Sequence[Any]) -> tuple[float, float, int, float]:
    """Where a drawing of samples begins and ends, so that few slow ones do not hide the rest.

    Returns:
        Left and right end in ms, how many samples are further right, and the slowest one.
    """
    together = np.sort(np.concatenate(known))
    low, body, last = float(together[0]), float(np.quantile(together, _TAIL)), float(together[-1])
    if body <= low or last - low <= _STRETCH * (body - low):
        margin = 0.04 * (last - low) or 0.5
        return low - margin, last + margin, 0, last
    edge = body + 0.25 * (body - low)
    return low - 0.04 * (edge - low), edge, int((together > edge).sum()), last


def _end_before_the_tail(axes: Axes, known: Sequence[Any]) -> None:
    if not known:
        return
    low, high, beyond, last = _body(known)
    axes.set_xlim(low, high)
    if beyond:
        axes.annotate(
            f"{beyond} further right, up to {last:.0f} ms →",
            (0.99, 0.04),
            xycoords="axes fraction",
            ha="right",
            fontsize=style.SMALL,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )


def _edges(known: Any) -> Any:
    """Edges of bins of equal width for all instruments, up to where the drawing ends."""
    values = [found for found in known if len(found)]
    if not values:
        return 1
    low, high, _, _ = _body(values)
    count = int(min(60, max(8, math.sqrt(max(len(v) for v in values)))))
    return np.linspace(low, high, count + 1)
