"""tools: commands that labkit can download for itself."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.common import AsJson, show

app = typer.Typer(no_args_is_help=True, help="Commands that labkit can download for itself.")


class Tool(StrEnum):
    """What can be installed."""

    LINKERD = "linkerd"


@app.callback()
def group() -> None:
    """Make `install` a command of a group, though it is the only one."""


@app.command()
def install(
    tool: Annotated[Tool, typer.Argument(help="linkerd")],
    version: Annotated[str, typer.Option("--version", help="release, as edge-26.6.3")] = "",
    mirror: Annotated[
        str, typer.Option("--mirror", metavar="URL", help="in the place of the project's own URL")
    ] = "",
    folder: Annotated[
        Path | None, typer.Option("--from", metavar="FOLDER", help="take it from a folder")
    ] = None,
    sha256: Annotated[str, typer.Option("--sha256", metavar="HEX", help="the file's SHA-256")] = "",
    as_json: AsJson = False,
) -> None:
    """Get a pinned `linkerd`, check its SHA-256, keep it in labkit's folder."""
    from labkit.clients import releases

    wanted = releases.release(version, mirror=mirror, sha256=sha256)
    path = releases.install(wanted, folder=folder)
    facts = {
        "tool": str(tool),
        "version": wanted.version,
        "platform": wanted.platform,
        "sha256": wanted.sha256,
        "path": str(path),
    }
    text = f"{tool} {wanted.version} is {path}\nSHA-256 {wanted.sha256} as expected"
    show(facts if as_json else text, as_json=as_json)


def register(labkit: typer.Typer) -> None:
    """Add this group of commands."""
    labkit.add_typer(app, name="tools")
