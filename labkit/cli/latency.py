"""latency: what measurements say, and how two of them differ."""

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.common import AsJson, show
from labkit.errors import InputError

_DRAWN = (".png", ".svg")

app = typer.Typer(no_args_is_help=True, help="Compare measurements, and what is known of the way.")


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="run folder, or folder of repetitions")],
    b: Annotated[Path, typer.Argument(metavar="B", help="what is compared with it")],
    plot: Annotated[
        Path | None, typer.Option("--plot", help="also draw the differences: a .png or .svg file")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two runs: differences with intervals, from the same vantage points."""
    if plot is not None and plot.suffix not in _DRAWN:
        raise InputError(f"--plot {plot}: not a picture", fix=f"end it in {' or '.join(_DRAWN)}")
    from labkit.progress import progress
    from labkit.runs.comparing import compare_folders

    with progress("Comparing"):
        found = compare_folders(a, b)
        if plot is not None:
            found.save_chart(plot)
    show(found.as_dict() if as_json else found, as_json=as_json)


@app.command()
def matrix(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN…", help="run folders or folders of them; default: runs/"),
    ] = None,
    regions: Annotated[
        str | None, typer.Option(metavar="R,R…", help="only these regions, as ams3,fra1")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV")] = False,
    as_json: AsJson = False,
) -> None:
    """Show round trips of pairs of regions: table, model, and what runs have measured."""
    from labkit.errors import InputError
    from labkit.rtt import REGIONS
    from labkit.runs.matrix import matrix as known
    from labkit.runs.reading import find_runs, read_run

    kept = find_runs(runs) if runs else _runs_here()
    chosen = [part.strip() for part in regions.split(",")] if regions else list(REGIONS)
    if len(set(chosen)) == 1:
        raise InputError("A matrix needs two regions", fix="give them as --regions ams3,fra1")
    found = known(chosen, [read_run(folder) for folder in kept])
    if as_csv and as_json:
        raise InputError("CSV or JSON, not both", fix="leave one of --csv and --json out")
    if as_csv:
        print(found.to_csv(), end="")
    else:
        show(found.to_json() if as_json else found, as_json=as_json)


def _runs_here() -> list[Path]:
    """The runs of the default folder; there need not be any."""
    from labkit.errors import InputError
    from labkit.runs.reading import find_runs

    try:
        return find_runs([Path("runs")])
    except InputError:
        return []


def register(labkit: typer.Typer) -> None:
    """Add this group of commands."""
    labkit.add_typer(app, name="latency")
