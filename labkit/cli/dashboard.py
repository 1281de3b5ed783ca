"""dashboard: the live view of a lab in the browser."""

from typing import Annotated

import typer

from labkit.cli.common import LabName, known_lab


def dashboard(
    lab_name: LabName = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="port on 127.0.0.1; 0 for any; default: 8890 or near"),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="open the page in a browser")
    ] = True,
) -> None:
    """Show both clusters side by side in the browser, live, until Ctrl-C."""
    lab = known_lab(lab_name)
    from labkit.dashboard.server import serve

    serve(lab.params.lab_name, port=port, browser=browser, say=lambda line: print(line, flush=True))


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(dashboard)
