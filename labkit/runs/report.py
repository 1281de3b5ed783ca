"""report.html: one self-contained page of a run, for a reviewer; it opens offline.

No script, no font and no image is loaded from anywhere: charts are inlined.
"""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from labkit.runs.folder import RunFolder
from labkit.runs.summary import headline

CAPTIONS = {
    "latency_over_time": "Latency over time",
    "distribution": "Distribution of tap samples, with the bracket that viz can give",
    "success_and_rps": "Success rate and requests per second on both sides",
    "where_time_goes": "Where the time goes",
    "golden_metrics": "Golden metrics of both clusters before the measurement",
}
"""Title of each chart, in the order of the page."""


def write(folder: RunFolder, content: dict[str, Any]) -> Path:
    """Write the page.

    Args:
        folder: the run folder; its charts are taken in.
        content: the summary.

    Returns:
        The page's path.
    """
    environment = Environment(
        loader=PackageLoader("labkit", "data"), autoescape=True, undefined=StrictUndefined
    )
    charts = [
        {"title": title, "data": _inline(path)}
        for name, title in CAPTIONS.items()
        if (path := folder.root / "charts" / f"{name}.png").exists()
    ]
    page = environment.get_template("report.html.j2").render(
        summary=content, headline=headline(content), charts=charts
    )
    folder.report.write_text(page)
    return folder.report


def _inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
