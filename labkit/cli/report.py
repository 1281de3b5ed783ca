"""report: runs as one page for people."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.common import AsJson, show


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN…", help="run folders, or folders that hold some")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="the page; default: report.html where the runs are"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write one self-contained HTML page of a run, several runs or a sweep, for sign-off."""
    from labkit.progress import progress
    from labkit.runs.report import write_report

    with progress("Writing the report"):
        written = write_report(runs, output=output)
    for run, problems in written.missing.items():
        for problem in problems:
            sys.stderr.write(f"! {run}: {problem}\n")
    if as_json:
        missing = {run: list(problems) for run, problems in written.missing.items()}
        show({"report": str(written.path), "runs": written.runs, "missing": missing}, as_json=True)
        return
    print(os.path.relpath(written.path))


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (report,):
        app.command()(command)
