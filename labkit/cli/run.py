"""run: all notebooks headless."""

import os
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.common import AsJson, Assignments, LabName, ParamsFile, Yes, agreed, load, show
from labkit.errors import LabkitError


def run(
    params: ParamsFile = None,
    p: Assignments = None,
    lab_name: LabName = None,
    runs: Annotated[Path, typer.Option(help="parent of the run folder")] = Path("runs"),
    notebooks: Annotated[Path | None, typer.Option(help="folder of the notebooks")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="leave the lab up at the end")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Run all notebooks headless, tear everything down, print figures and the run folder."""
    loaded = load(params, p, lab_name)
    from labkit.handouts.materials import NOTEBOOKS
    from labkit.lab import Lab
    from labkit.runs import run_lab
    from labkit.runs.summary import headline

    chosen = agreed(Lab.of(loaded.params), yes=yes)
    result = run_lab(chosen, runs=runs, notebooks=notebooks or NOTEBOOKS, keep=keep)
    if as_json:
        show(result.summary, as_json=True)
    else:
        print("\n".join(headline(result.summary)))
        print(f"run folder       {os.path.relpath(result.folder)}")
    if isinstance(result.error, LabkitError):
        raise result.error
    if isinstance(result.error, KeyboardInterrupt):
        raise typer.Exit(130)
    if result.error is not None:
        raise LabkitError("The run ended early", seen=str(result.error), fix=f"see {result.folder}")
    if result.summary["processes_left"]:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (run,):
        app.command()(command)
