"""latency: what measurements say, and how two of them differ."""

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.common import AsJson, show

app = typer.Typer(no_args_is_help=True, help="Compare measurements, and what is known of the way.")


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="run folder")],
    b: Annotated[Path, typer.Argument(metavar="B", help="run folder to compare it with")],
    as_json: AsJson = False,
) -> None:
    """Compare two runs: the same figures from the same vantage points, side by side."""
    from labkit.runs.comparing import compare as compared
    from labkit.runs.reading import find_runs, read_run

    left, right = (read_run(find_runs([path])[0]) for path in (a, b))
    found = compared(left, right)
    show(found.as_dict() if as_json else found, as_json=as_json)


def register(labkit: typer.Typer) -> None:
    """Add this group of commands."""
    labkit.add_typer(app, name="latency")
