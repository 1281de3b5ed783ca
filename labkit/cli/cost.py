"""cost: what a lab would cost, and what it has cost so far."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.common import AsJson, Assignments, LabName, ParamsFile, known_lab, load, show


def cost(
    params: ParamsFile = None,
    p: Assignments = None,
    lab_name: LabName = None,
    quote: Annotated[
        bool, typer.Option("--quote", help="what a lab of these parameters would cost")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what the lab has cost so far, or with --quote what it would cost; creates nothing."""
    if quote:
        _quote(load(params, p, lab_name).params, as_json=as_json)
        return
    if params is not None or p:
        raise typer.BadParameter("--params and -p describe a lab that is not up: give --quote too")
    lab = known_lab(lab_name)
    costs = lab.read_meter()
    if as_json:
        show(costs.to_json(), as_json=True)
        return
    from labkit.display import Table

    print(costs)
    if costs.entries:
        print(f"\n{Table.of(costs.rows())}")


def _quote(params: object, *, as_json: bool) -> None:
    from labkit.clouds import affordable, open_cloud
    from labkit.display import Table
    from labkit.folder import LabFolder
    from labkit.params import Params

    assert isinstance(params, Params)  # noqa: S101 - `load` is untyped, because it imports late
    with tempfile.TemporaryDirectory(prefix="labkit-quote-") as place:
        # A folder of its own: a cloud that has to be started for its prices leaves nothing.
        cloud = open_cloud(params, LabFolder(Path(place) / params.lab_name))
        try:
            cloud.start()
            found = affordable(cloud, params)
        finally:
            cloud.stop()
    if as_json:
        show(found.to_json(params.ttl_hours), as_json=True)
        return
    print(f"{found.text}\n\n{Table.of(found.rows(params.ttl_hours))}")
    for line in found.lines:
        print(f"\n{line.count} {line.what}: price from {line.price.source}, {line.price.seen}")
    print("\nThis cloud bills it." if found.billed else "\nNothing is billed on this cloud.")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(cost)
