"""One look for every chart: safe for colour-blind readers, readable in black and white.

Colours are Okabe and Ito's; every series also has its own line style, marker or hatch, so colour
carries nothing alone. No global state of matplotlib is touched.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER = "#56B4E9", "#E69F00"
GREY, LIGHT_GREY, BLACK = "#595959", "#D9D9D9", "#000000"

WIDTH_IN, HEIGHT_IN = 8.0, 4.8
SMALL = 8.0
"""Points of legends and of figures inside a chart."""

RAMP = "cividis"
"""Colours of a matrix: the same order to every eye, and in grey."""


@dataclass(frozen=True)
class Look:
    """How one series is drawn."""

    color: str
    line: Any
    marker: str
    hatch: str


WEST_EAST = Look(BLUE, "-", "o", "")
IN_REGION = Look(ORANGE, "--", "s", "//")
THIRD = Look(GREEN, ":", "^", "..")
LOOKS = (
    WEST_EAST,
    IN_REGION,
    THIRD,
    Look(PURPLE, "-.", "D", "\\\\"),
    Look(BLACK, (0, (6, 1, 1, 1, 1, 1)), "v", "xx"),
    Look(SKY, (0, (8, 3)), "P", "--"),
    Look(AMBER, (0, (1, 1)), "X", "++"),
)
"""Looks in the order of use; no two agree in colour, line, marker or hatch."""

SOURCES = {
    "measured": Look(BLUE, "-", "o", ""),
    "table": Look(ORANGE, "--", "s", ""),
    "model": Look(GREY, ":", "^", "////"),
    "override": Look(PURPLE, "-.", "D", "\\\\\\\\"),
}
"""Looks of a figure by where it is from."""


def look(number: int) -> Look:
    """The look of a series by its number; after the last one they begin again."""
    return LOOKS[number % len(LOOKS)]


_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LIGHT_GREY,
    "grid.linewidth": 0.6,
    "hatch.color": "white",
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "labkit",  # equal data make equal files
    "svg.fonttype": "path",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}


@contextmanager
def styled() -> Iterator[None]:
    """Use the style inside, and nothing of it outside."""
    with mpl.rc_context(_SETTINGS):
        yield
