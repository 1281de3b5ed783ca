"""The charts of a measurement: each says its units, n, source and vantage point.

Functions take tables and values, and return a figure; nothing is shown and nothing is computed
beyond what a drawing needs. Quantiles from buckets appear as brackets only.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from labkit.latency import style
from labkit.latency.histogram import Bracket
from labkit.latency.statistics import Quantile
from labkit.picture import Picture

_CAPTION_COLUMNS = 118


class Chart(Picture):
    """A picture in the charts' style; saves as PNG and SVG."""

    def _draw(self) -> bytes:
        with style.styled():
            return super()._draw()


@dataclass(frozen=True)
class Caption:
    """What a reader must know to trust a chart.

    Attributes:
        source: where the figures are from, as `viz Prometheus, Δsum/Δcount per scrape`.
        vantage: which proxy measured, and whether that includes the WAN.
        n: requests behind the chart.
        note: anything else, as the window or the round trip's provenance.
    """

    source: str
    vantage: str
    n: int
    note: str = ""

    def text(self) -> str:
        """Return the caption, wrapped."""
        parts = [f"Source: {self.source}.", f"Vantage point: {self.vantage}.", f"n = {self.n:,}."]
        line = " ".join([*parts, self.note]).strip()
        return "\n".join(textwrap.wrap(line, _CAPTION_COLUMNS))


def over_time(
    routes: Mapping[str, pd.DataFrame],
    *,
    title: str,
    caption: Caption,
    start_s: float,
    warmup_s: float,
    floor_ms: float,
    samples: pd.DataFrame | None = None,
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
    """
    with style.styled():
        chart, axes = _chart(title, caption)
        if samples is not None and len(samples):
            axes.plot(
                samples["time_s"] - start_s,
                samples["ms"].astype(float),
                linestyle="none",
                marker=".",
                color=style.GREY,
                alpha=0.55,
                label="single requests west→east (tap)",
            )
        for look, (name, table) in zip(_looks(len(routes)), routes.items(), strict=True):
            axes.plot(
                table["time_s"] - start_s,
                table["mean_ms"],
                color=look.color,
                linestyle=look.line,
                marker=look.marker,
                markersize=4,
                label=f"{name} (mean)",
            )
        if warmup_s > 0:
            axes.axvspan(0, warmup_s, color=style.LIGHT_GREY, alpha=0.6, label="warm-up, not used")
        _floor_line(axes, floor_ms)
        axes.set(xlabel="time since start (s)", ylabel="latency (ms)")
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, fontsize=8)
    return chart


def distribution(
    samples_ms: Sequence[float],
    *,
    title: str,
    caption: Caption,
    quantiles: Sequence[Quantile] = (),
    bracket: Bracket | None = None,
    invented: Mapping[float, float] | None = None,
    floor_ms: float | None = None,
) -> Chart:
    """Draw tap samples as histogram and ECDF, and on them what viz can say.

    Args:
        samples_ms: latencies of tapped requests.
        title: of the chart.
        caption: below it.
        quantiles: with intervals; those that n does not carry are named, not drawn.
        bracket: bucket that holds viz' quantiles, drawn as an area.
        invented: quantile -> ms that interpolation in the bucket shows, drawn crossed out.
        floor_ms: light floor.
    """
    values = np.sort(np.asarray(samples_ms, dtype=float))
    with style.styled():
        chart, axes = _chart(title, caption)
        share = axes.twinx()
        share.grid(visible=False)
        if len(values):
            axes.hist(values, bins=_bins(values), color=style.BLUE, alpha=0.45, label="tap samples")
            steps = np.arange(1, len(values) + 1) / len(values)
            share.step(values, steps, where="post", color=style.BLACK, label="ECDF of tap samples")
        if bracket is not None and not math.isinf(bracket.high_ms):
            label = f"viz: bucket of p50 ({bracket.low_ms:g}, {bracket.high_ms:g}] ms"
            _area(axes, bracket, label)
        for q, figure in (invented or {}).items():
            label = "viz' interpolated p50, p95, p99: artefacts" if q == min(invented or {}) else ""
            share.plot(figure, q, "x", color=style.ORANGE, markersize=9, label=label or None)
        _draw_quantiles(share, quantiles)
        if floor_ms is not None:
            _floor_line(axes, floor_ms, vertical=True)
        axes.set(xlabel="latency (ms)", ylabel="requests")
        share.set(ylabel="share of requests at or below", ylim=(0, 1.02))
        _joint_legend(axes, share)
    return chart


def success_and_rps(
    sides: Mapping[str, pd.DataFrame],
    *,
    title: str,
    caption: Caption,
    start_s: float,
) -> Chart:
    """Draw requests per second and success of both sides.

    Args:
        sides: name of a side -> columns time_s, rps, success_rate (0 to 1).
        title: of the chart.
        caption: below it.
        start_s: Unix seconds of the axis' zero.
    """
    with style.styled():
        chart = _figure(title, caption)
        upper, lower = chart.subplots(2, 1, sharex=True)
        for look, (name, table) in zip(_looks(len(sides)), sides.items(), strict=True):
            time = table["time_s"] - start_s
            how = {"color": look.color, "linestyle": look.line, "marker": look.marker}
            upper.plot(time, table["rps"], markersize=4, label=name, **how)
            lower.plot(time, table["success_rate"] * 100, markersize=4, label=name, **how)
        upper.set(ylabel="requests (1/s)", ylim=(0, None))
        lower.set(ylabel="success (%)", xlabel="time since start (s)", ylim=(0, 102))
        upper.legend(loc="lower right")
    return chart


def where_time_goes(
    rows: Mapping[str, Sequence[tuple[str, float]]],
    *,
    title: str,
    caption: Caption,
    uncertainty_ms: float | None = None,
) -> Chart:
    """Draw where the time goes, as stacked bars.

    Args:
        rows: bar -> (part, ms) from the left to the right; negative parts are named, not drawn.
        title: of the chart.
        caption: below it.
        uncertainty_ms: half-width of the WAN part's uncertainty, drawn at the end of each bar
            that has one.
    """
    with style.styled():
        chart, axes = _chart(title, caption)
        whole = max((sum(max(0.0, ms) for _, ms in parts) for parts in rows.values()), default=0.0)
        named: set[str] = set()
        for place, parts in enumerate(rows.values()):
            ends = _stack(axes, place, parts, named=named, whole=whole)
            if uncertainty_ms and len(ends) > 1:
                axes.errorbar(
                    ends[1],
                    place + 0.32,
                    xerr=uncertainty_ms,
                    color=style.BLACK,
                    capsize=4,
                    label=f"uncertainty of the round trip ±{uncertainty_ms:.1f} ms",
                )
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set(xlabel="mean latency (ms)", ylim=(-0.6, len(rows) - 0.4))
        axes.set_xlim(left=0)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    return chart


def _stack(
    axes: Axes, place: int, parts: Sequence[tuple[str, float]], *, named: set[str], whole: float
) -> list[float]:
    """Draw one bar of parts; return where each part ends."""
    looks = (style.IN_REGION, style.WEST_EAST, style.THIRD)
    left, ends, small = 0.0, [], []
    for number, (part, value_ms) in enumerate(parts):
        look = looks[number % len(looks)]
        width = max(0.0, value_ms)
        axes.barh(
            place,
            width,
            left=left,
            height=0.5,
            color=look.color,
            hatch=look.hatch,
            label=part if part not in named else None,
        )
        named.add(part)
        if width >= 0.08 * whole:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
            middle = left + width / 2
            axes.text(middle, place, f"{value_ms:.1f}", ha="center", va="center", bbox=box)
        else:
            small.append(f"{part}: {value_ms:.1f} ms")
        left += width
        ends.append(left)
    # Parts too narrow for a figure are named above their bar.
    axes.text(0, place - 0.3, "; ".join(small), ha="left", va="bottom", fontsize=8)
    return ends


def golden(frame: pd.DataFrame, *, title: str, caption: Caption) -> Chart:
    """Draw success and requests per second of every workload, both clusters side by side.

    Args:
        frame: columns cluster, deployment, direction, success (0 to 1), rps.
        title: of the chart.
        caption: below it.
    """
    with style.styled():
        chart = _figure(title, caption)
        left, right = chart.subplots(1, 2, sharey=True)
        workloads = frame[["cluster", "deployment", "direction"]].astype("str").to_numpy()
        names = [f"{cluster}: {name} {direction}" for cluster, name, direction in workloads]
        successes = (frame["success"].astype("float64") * 100).tolist()
        rates = frame["rps"].astype("float64").tolist()
        looks = {"west": style.WEST_EAST, "east": style.IN_REGION}
        for place, (success, rps) in enumerate(zip(successes, rates, strict=True)):
            look = looks.get(str(workloads[place][0]), style.THIRD)
            how: Any = {"color": look.color, "hatch": look.hatch, "height": 0.6}
            known = 0.0 if math.isnan(success) else success
            left.barh(place, known, **how)
            said = " no requests" if math.isnan(success) else f" {success:.1f}"
            left.text(known, place, said, va="center", fontsize=8)
            right.barh(place, rps, **how)
            right.text(rps, place, f" {rps:.2f}", va="center", fontsize=8)
        left.set_yticks(range(len(names)), names, fontsize=8)
        left.set(xlabel="success (%)", xlim=(0, 118))
        right.set(xlabel="requests (1/s)")
        right.margins(x=0.18)
        left.invert_yaxis()
    return chart


def save(chart: Chart, folder: Path, name: str) -> tuple[Path, Path]:
    """Write a chart as PNG and SVG; equal charts make equal files.

    Returns:
        The two files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    png.write_bytes(chart.png())
    with style.styled():
        chart.savefig(svg, metadata={"Date": None, "Creator": None})
    return png, svg


def _figure(title: str, caption: Caption) -> Chart:
    chart = Chart(figsize=(style.WIDTH_IN, style.HEIGHT_IN), layout="constrained")
    chart.suptitle(title, x=0.01, ha="left", fontsize=12)
    chart.supxlabel(caption.text(), x=0.01, ha="left", fontsize=7.5, color=style.GREY)
    return chart


def _chart(title: str, caption: Caption) -> tuple[Chart, Axes]:
    chart = _figure(title, caption)
    return chart, chart.subplots()


def _looks(count: int) -> list[style.Look]:
    known = [style.WEST_EAST, style.IN_REGION, style.THIRD]
    return [known[index % len(known)] for index in range(count)]


def _floor_line(axes: Axes, floor_ms: float, *, vertical: bool = False) -> None:
    draw = axes.axvline if vertical else axes.axhline
    label = f"light floor {floor_ms:.1f} ms"
    draw(floor_ms, color=style.GREY, linestyle="-.", linewidth=1.2, label=label)


def _bins(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> int:
    return int(min(60, max(8, math.sqrt(len(values)))))


def _area(axes: Axes, bracket: Bracket, label: str) -> None:
    axes.axvspan(
        bracket.low_ms,
        bracket.high_ms,
        facecolor=style.ORANGE,
        edgecolor=style.ORANGE,
        alpha=0.12,
        hatch="//",
        label=label,
    )


def _draw_quantiles(axes: Axes, quantiles: Sequence[Quantile]) -> None:
    for found in quantiles:
        if not found.enough:
            axes.plot([], [], " ", label=str(found))
            continue
        low = found.value_ms - found.low_ms if math.isfinite(found.low_ms) else 0.0
        high = found.high_ms - found.value_ms if math.isfinite(found.high_ms) else 0.0
        axes.errorbar(
            found.value_ms,
            found.q,
            xerr=[[low], [high]],
            color=style.GREEN,
            marker="D",
            markersize=5,
            capsize=4,
            linestyle="none",
            label=f"{found.name} = {found.value_ms:.1f} ms, {found.confidence:.0%} interval",
        )


def _joint_legend(axes: Axes, other: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    more, names = other.get_legend_handles_labels()
    axes.legend(
        handles + more,
        labels + names,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        ncols=2,
        fontsize=8,
    )
