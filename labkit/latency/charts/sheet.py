"""The sheet that every chart is drawn on: title, caption, legend, light floor, files.

Figures here and in the modules beside are pure: tables and values in, a figure out.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from labkit.latency import style
from labkit.picture import Picture

_CAPTION_COLUMNS_PER_IN = 17.0
_TITLE_COLUMNS_PER_IN = 9.5
_POINTS_PER_IN = 72.0


class Chart(Picture):
    """A picture in the charts' style; saves as PNG and SVG.

    Attributes:
        description: what it shows, in words; kept in the PNG as its `Description`.
    """

    description: str = ""

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

    def text(self, columns: int = round(_CAPTION_COLUMNS_PER_IN * style.WIDTH_IN)) -> str:
        """Return the caption, wrapped."""
        parts = [f"Source: {self.source}.", f"Vantage point: {self.vantage}.", f"n = {self.n:,}."]
        return "\n".join(textwrap.wrap(" ".join([*parts, self.note]).strip(), columns))


def sheet(
    title: str,
    caption: Caption,
    *,
    width_in: float = style.WIDTH_IN,
    height_in: float = style.HEIGHT_IN,
) -> Chart:
    """Return an empty chart with title and caption."""
    chart = Chart(figsize=(width_in, height_in), layout="constrained")
    chart.description = f"{title}. {caption.text(10_000)}"
    wrapped = "\n".join(textwrap.wrap(title, round(_TITLE_COLUMNS_PER_IN * width_in)))
    chart.suptitle(wrapped, x=0.01, ha="left", fontsize=12)
    columns = round(_CAPTION_COLUMNS_PER_IN * width_in)
    chart.supxlabel(caption.text(columns), x=0.01, ha="left", fontsize=7.5, color=style.GREY)
    return chart


def legend_below(*axes: Axes, columns: int = 2, down_pt: float = 34) -> None:
    """Put one legend for several axes below the first one.

    Args:
        axes: whose series it names; a label that several have is named once.
        columns: side by side.
        down_pt: points from the axes' lower edge, which leaves room for the label of x.
    """
    entries: dict[str, Any] = {}
    for one in axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if not entries:
        return
    # What was not drawn is named last.
    entries = dict(sorted(entries.items(), key=lambda entry: _is_words_only(entry[1])))
    place = axes[0]
    figure: Any = place.figure
    offset = ScaledTranslation(0, -down_pt / _POINTS_PER_IN, figure.dpi_scale_trans)
    place.legend(
        list(entries.values()),
        list(entries),
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=place.transAxes + offset,
        borderaxespad=0,
        ncols=min(columns, len(entries)),
        fontsize=style.SMALL,
    )


def _is_words_only(handle: Any) -> bool:
    return isinstance(handle, Line2D) and handle.get_marker() == " "


def floor_line(axes: Axes, floor_ms: float, *, vertical: bool = False, name: str = "") -> None:
    """Draw what light in fibre needs there and back; nothing real is below it."""
    draw = axes.axvline if vertical else axes.axhline
    label = f"light floor{f' {name}' if name else ''} {floor_ms:.1f} ms"
    draw(floor_ms, color=style.GREY, linestyle=(0, (3, 1, 1, 1)), linewidth=1.2, label=label)


def said(axes: Axes, text: str) -> None:
    """Write into the middle of empty axes why they are so; a scale would mean nothing."""
    axes.set_xticks([])
    axes.text(
        0.5,
        0.5,
        text,
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=style.GREY,
        wrap=True,
    )


def whiskers(value: float, low: float, high: float) -> list[list[float]]:
    """Return the lengths of an error bar; an end that is not known has none."""
    return [[_length(value - low)], [_length(high - value)]]


def _length(length: float) -> float:
    return max(0.0, length) if math.isfinite(length) else 0.0


def save(chart: Chart, folder: Path, name: str) -> tuple[Path, Path]:
    """Write a chart as PNG and SVG; equal charts make equal files.

    Returns:
        The two files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    png.write_bytes(chart.png())
    with style.styled():
        chart.savefig(
            svg, metadata={"Date": None, "Creator": None, "Description": chart.description}
        )
    return png, svg


def series_looks(names: Sequence[str]) -> list[tuple[str, style.Look]]:
    """Return each name with its look."""
    return [(name, style.look(number)) for number, name in enumerate(names)]
