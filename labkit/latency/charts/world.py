"""A map of the regions and the ways between them, over the great circle.

There are no coast lines: the graticule and the cities are enough to see which ocean a way crosses,
and a data set of coasts would weigh more than everything else here.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from labkit.latency import style
from labkit.latency.charts.sheet import Caption, Chart, legend_below, sheet

_STEPS = 181
_SHORT_DEGREES = 15.0
"""Ways shorter than this on the map have their number beside them."""

_ROOM_FOR_A_NAME = (0.0, 8.0, 16.0)
"""Degrees east of a city that its name takes."""

_NORTH = 85.0
_FRACTIONS = tuple(np.linspace(0.25, 0.75, 21))


def world_map(links: pd.DataFrame, cities: pd.DataFrame, *, title: str, caption: Caption) -> Chart:
    """Draw regions and links; each link has a number, and the list beside it its figures.

    Args:
        links: columns a, b (region slugs), rtt_ms, low_ms, high_ms, floor_ms, source (`measured`,
            `table`, `model` or `override`).
        cities: columns slug, city, latitude, longitude (degrees); regions of one city share a
            mark.
        title: of the chart.
        caption: below it.
    """
    with style.styled():
        rows = math.ceil(len(links) / 2)
        chart = sheet(title, caption, width_in=9.5, height_in=4.95 + 0.17 * rows)
        axes = chart.subplots()
        _graticule(axes)
        places = {
            str(row["slug"]): (float(row["latitude"]), float(row["longitude"]))
            for row in cities.to_dict("records")
        }
        taken = [
            (longitude + right, latitude)
            for latitude, longitude in places.values()
            for right in _ROOM_FOR_A_NAME
        ]
        handles = []
        for number, row in enumerate(links.to_dict("records"), start=1):
            look = style.SOURCES.get(str(row["source"]), style.SOURCES["override"])
            way = great_circle(places[row["a"]], places[row["b"]])
            _draw_way(axes, way, look)
            taken.append(_number(axes, way, number, taken))
            handles.append(_entry(number, row, look))
        _draw_cities(axes, cities)
        if not handles:
            axes.text(0, -30, "no links", ha="center")
        for handle in handles:
            axes.add_line(handle)
        legend_below(axes)
    return chart


def great_circle(a: tuple[float, float], b: tuple[float, float]) -> Any:
    """Return points of the shortest way on a sphere.

    Args:
        a: latitude and longitude in degrees.
        b: latitude and longitude in degrees.

    Returns:
        An array (n, 2) of longitude and latitude in degrees, from a to b.
    """
    one, two = _vector(a), _vector(b)
    angle = math.acos(float(np.clip(one @ two, -1, 1)))
    part = np.linspace(0, 1, _STEPS)[:, None]
    if angle < 1e-9:
        points = np.repeat(one[None, :], _STEPS, axis=0)
    else:
        points = (np.sin((1 - part) * angle) * one + np.sin(part * angle) * two) / math.sin(angle)
    latitude = np.degrees(np.arcsin(np.clip(points[:, 2], -1, 1)))
    return np.column_stack([np.degrees(np.arctan2(points[:, 1], points[:, 0])), latitude])


def _vector(place: tuple[float, float]) -> Any:
    latitude, longitude = (math.radians(degrees) for degrees in place)
    across = math.cos(latitude)
    return np.array(
        [across * math.cos(longitude), across * math.sin(longitude), math.sin(latitude)]
    )


def _graticule(axes: Axes) -> None:
    axes.set(xlim=(-180, 180), ylim=(-60, _NORTH), aspect="equal", anchor="S")
    axes.set_xticks(range(-180, 181, 30), [_degrees(d, "WE") for d in range(-180, 181, 30)])
    axes.set_yticks(range(-60, 81, 20), [_degrees(d, "SN") for d in range(-60, 81, 20)])
    axes.tick_params(labelsize=7, length=2)
    axes.axhline(0, color=style.GREY, linewidth=0.8)
    axes.set(xlabel="longitude", ylabel="latitude")


def _degrees(value: int, sides: str) -> str:
    if value in (0, -180, 180):
        return f"{abs(value)}°"
    return f"{abs(value)}° {sides[value > 0]}"


def _draw_way(axes: Axes, way: Any, look: style.Look) -> None:
    """Draw a way; one that crosses the map's edge goes on at the other side."""
    jumps = np.flatnonzero(np.abs(np.diff(way[:, 0])) > 180) + 1
    for piece in np.split(way, jumps):
        axes.plot(piece[:, 0], piece[:, 1], color=look.color, linestyle=look.line, linewidth=1.8)


def _number(
    axes: Axes, way: Any, number: int, taken: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """Write a link's number on it, as far from everything else as it goes."""

    def room(place: tuple[float, float]) -> float:
        return min(math.hypot(place[0] - x, place[1] - y) for x, y in taken)

    points = [way[round(part * (_STEPS - 1))] for part in _FRACTIONS]
    choices = [(float(x), float(y)) for x, y in points if abs(x) < 172 and y < _NORTH - 4]
    best = max(choices or [(float(way[0][0]), float(way[0][1]))], key=room)
    short = float(np.abs(way[-1] - way[0]).max()) < _SHORT_DEGREES
    axes.annotate(
        str(number),
        best,
        xytext=(0, -30 if short else 0),
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "color": style.GREY} if short else None,
        ha="center",
        va="center",
        fontsize=style.SMALL,
        fontweight="bold",
        bbox={"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": style.BLACK},
        zorder=4,
    )
    return best


def _entry(number: int, row: Mapping[Hashable, Any], look: style.Look) -> Line2D:
    low, high = float(row["low_ms"]), float(row["high_ms"])
    spread = f" [{low:.1f}, {high:.1f}]" if math.isfinite(low) and math.isfinite(high) else ""
    text = (
        f"({number}) {row['a']} – {row['b']}: {row['rtt_ms']:.1f} ms{spread}, {row['source']}; "
        f"light floor {row['floor_ms']:.1f} ms"
    )
    return Line2D([], [], color=look.color, linestyle=look.line, linewidth=1.8, label=text)


_BESIDE = {
    "London": (-4, -1, "right"),
    "Amsterdam": (0, 6, "center"),
    "Frankfurt": (6, -5, "left"),
    "Toronto": (-5, 3, "right"),
    "New York": (6, -5, "left"),
}
"""Where the name of a city with near neighbours goes: points right and up, alignment."""


def _draw_cities(axes: Axes, cities: pd.DataFrame) -> None:
    for city, group in cities.groupby("city", sort=False):
        x, y = float(group["longitude"].iloc[0]), float(group["latitude"].iloc[0])
        axes.plot(x, y, "o", color=style.BLACK, markersize=4, zorder=5)
        right, up, align = _BESIDE.get(str(city), (6, 3, "left"))
        axes.annotate(
            "/".join(group["slug"]),
            (x, y),
            xytext=(right, up),
            textcoords="offset points",
            ha=align,
            fontsize=style.SMALL,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.75},
            zorder=6,
        )
