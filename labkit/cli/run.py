"""run: all notebooks headless, from the beginning or on from where a run was cut off."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.common import AsJson, Assignments, LabName, ParamsFile, Yes, agreed, load, show
from labkit.errors import InputError, LabkitError


def run(
    run_folder: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="with --resume: which run folder")
    ] = None,
    params: ParamsFile = None,
    p: Assignments = None,
    lab_name: LabName = None,
    runs: Annotated[Path, typer.Option(help="parent of the run folder")] = Path("runs"),
    notebooks: Annotated[Path | None, typer.Option(help="folder of the notebooks")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="leave the lab up at the end")] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="go on with a run that was cut off: RUN, or the newest below --runs"
        ),
    ] = False,
    exercises: Annotated[
        bool,
        typer.Option("--exercises/--no-exercises", help="run the exercises, or leave them out"),
    ] = True,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Run all notebooks headless, tear everything down, print figures and the run folder."""
    if run_folder is not None and not resume:
        raise InputError(
            "A run folder is named only to go on with it",
            problems=[f"{run_folder}: a new run makes its own folder"],
            fix=f"labkit run --resume {run_folder}, or another parent: --runs {run_folder}",
        )
    loaded = load(params, p, lab_name)
    from labkit.handouts.materials import NOTEBOOKS
    from labkit.lab import Lab
    from labkit.runs import find_run, params_of, resume_run, run_lab
    from labkit.runs.summary import headline

    where = notebooks or NOTEBOOKS
    if resume:
        folder = find_run(run_folder, runs)
        chosen = agreed(Lab.of(params_of(folder, loaded)), yes=yes)
        result = resume_run(folder, chosen, notebooks=where, keep=keep)
    else:
        chosen = agreed(Lab.of(loaded.params), yes=yes)
        result = run_lab(chosen, runs=runs, notebooks=where, keep=keep, exercises=exercises)
    if as_json:
        show(result.summary, as_json=True)
    else:
        print("\n".join(headline(result.summary)))
        print(f"run folder       {os.path.relpath(result.folder)}")
    if result.error is not None:
        again = os.path.relpath(result.folder)
        sys.stderr.write(f"to go on where it was cut off: labkit run --resume {again}\n")
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
