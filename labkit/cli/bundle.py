"""bundle: one archive for machines without a network."""

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.common import AsJson, show


def bundle(
    platform: Annotated[
        list[str] | None,
        typer.Option(
            "--platform", help="linux-x86_64, linux-aarch64, macos-arm64; may be given again"
        ),
    ] = None,
    python: Annotated[
        list[str] | None, typer.Option("--python", help="as 3.12; may be given again")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="the archive")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write one archive that installs labkit on machines without a network."""
    from labkit.bundle.archive import make, source
    from labkit.bundle.targets import choose, here

    mine = None if platform and python else here()
    targets = choose(
        platform or ([mine.platform] if mine else []), python or ([mine.python] if mine else [])
    )
    made = make(targets, output=output, clone=source())
    show(made.to_json() if as_json else made, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(bundle)
