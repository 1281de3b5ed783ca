"""doctor: is everything there that a lab needs?"""

from typing import Annotated

import typer

from labkit.cli.common import AsJson, Assignments, LabName, ParamsFile, load, show


def doctor(
    params: ParamsFile = None,
    p: Assignments = None,
    lab_name: LabName = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="try everything with the network cut off, a lab included"),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look at this machine, the tools and the cloud; create nothing. Exit codes as for `check`."""
    loaded = load(params, p, lab_name)
    if offline:
        from labkit.offline.examining import examine_offline

        report = examine_offline()
    else:
        from labkit.doctor import examine
        from labkit.lab import Lab

        report = examine(Lab.of(loaded.params))
    show(report.to_json() if as_json else report, as_json=as_json)
    raise typer.Exit(report.exit_code)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(doctor)
