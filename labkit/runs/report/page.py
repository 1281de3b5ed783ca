"""The page: sections of runs and an overview, put into the template."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from labkit import __version__
from labkit.runs.reading import KeptRun
from labkit.runs.report.pictures import MAIN, kept_pictures
from labkit.runs.report.plan import SweepPlan
from labkit.runs.report.section import Section, section

if TYPE_CHECKING:
    from labkit.runs.report.overview import Overview

MANY = 4
"""From so many runs on, each shows its main chart only: the page is to be mailed."""


def render(runs: Sequence[KeptRun], *, sweeps: Sequence[SweepPlan] = ()) -> str:
    """The report of some runs as HTML, and of the sweeps that they are of."""
    environment = Environment(
        loader=PackageLoader("labkit", "data"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [_section(run, number, many=len(runs) >= MANY) for number, run in enumerate(runs, 1)]
    return environment.get_template("report.html.j2").render(
        title=_title(runs),
        sections=sections,
        sweeps=sweeps,
        overview=_overview(runs) if len(runs) > 1 else None,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        labkit_version=__version__,
        passed=sum(1 for run in sections if run.status == "passed"),
    )


def _overview(runs: Sequence[KeptRun]) -> "Overview":
    # Two seconds of imports for drawing, which the report of one run does not need.
    from labkit.runs.report.overview import overview

    return overview(runs)


def _section(run: KeptRun, number: int, *, many: bool) -> Section:
    pictures, missing = kept_pictures(run, only=MAIN if many else None)
    return section(run, anchor=f"run-{number}", pictures=pictures, missing=missing)


def _title(runs: Sequence[KeptRun]) -> str:
    if len(runs) == 1:
        return runs[0].title
    pairs = {run.regions for run in runs}
    return f"{len(runs)} runs of {len(pairs)} pair{'s' if len(pairs) > 1 else ''} of regions"
