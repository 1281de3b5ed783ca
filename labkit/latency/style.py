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
GREY, LIGHT_GREY, BLACK = "#595959", "#D9D9D9", "#000000"

WIDTH_IN, HEIGHT_IN = 8.0, 4.8


@dataclass(frozen=True)
class Look:
    """How one series is drawn."""

    color: str
    line: str
    marker: str
    hatch: str


WEST_EAST = Look(BLUE, "-", "o", "")
IN_REGION = Look(ORANGE, "--", "s", "//")
THIRD = Look(GREEN, ":", "^", "..")

_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LIGHT_GREY,
    "grid.linewidth": 0.6,
    "hatch.color": "white",
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "labkit",  # equal data make equal files
    "svg.fonttype": "path",
}


@contextmanager
def styled() -> Iterator[None]:
    """Use the style inside, and nothing of it outside."""
    with mpl.rc_context(_SETTINGS):
        yield
