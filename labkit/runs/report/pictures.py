"""Pictures for a page: charts as inlined PNG, each with a title and a text that replaces it."""

import base64
import xml.etree.ElementTree as ET
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.runs.reading import KeptRun

if TYPE_CHECKING:
    from labkit.latency.charts import Chart

_PNG = b"\x89PNG\r\n\x1a\n"
_END = b"IEND"
_DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"

TITLES = {
    "latency_over_time": "Latency over time",
    "distribution": "Distribution of single requests, with the bucket that viz can give",
    "where_time_goes": "Where the time goes",
    "success_and_rps": "Success rate and requests per second on both sides",
    "golden_metrics": "Golden metrics of both clusters before the measurement",
}
"""Title of each chart, in the order of the page; any other is shown after these."""

MAIN = "distribution"


@dataclass(frozen=True)
class PagePicture:
    """A picture of the page.

    Attributes:
        title: above it.
        alt: what it shows, in words.
        data: PNG, base64.
    """

    title: str
    alt: str
    data: str


def of_chart(chart: "Chart", title: str) -> PagePicture:
    """A chart that was drawn for the page."""
    return PagePicture(title, chart.description, base64.b64encode(chart.png()).decode())


def kept_pictures(run: KeptRun, *, only: str | None = None) -> tuple[list[PagePicture], list[str]]:
    """The charts that a run kept, and one sentence for each that cannot be shown.

    Args:
        run: whose.
        only: name of the one chart that is wanted; default: all.
    """
    found = {path.stem: path for path in sorted((run.root / "charts").glob("*.png"))}
    order = [name for name in TITLES if name in found]
    order += [name for name in found if name not in TITLES]
    if only is not None:
        order = [name for name in order if name == only]
    pictures, missing = [], []
    for name in order:
        title = TITLES.get(name, name.replace("_", " "))
        try:
            content = found[name].read_bytes()
        except OSError as error:
            missing.append(f"charts/{name}.png cannot be read: {error.strerror}")
            continue
        if not content.startswith(_PNG) or _END not in content[-16:]:
            missing.append(f"charts/{name}.png is cut off or no PNG")
            continue
        alt = _described(found[name].with_suffix(".svg")) or title
        pictures.append(PagePicture(title, alt, base64.b64encode(content).decode()))
    if not found:
        missing.append("there are no charts")
    return pictures, missing


def _described(svg: Path) -> str:
    """The description that labkit writes into the SVG of a chart."""
    with suppress(OSError, ET.ParseError):
        for _, element in ET.iterparse(svg):  # noqa: S314 - expat limits what entities expand to
            if element.tag == _DESCRIPTION:
                return element.text or ""
    return ""
