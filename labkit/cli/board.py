"""progress and board: where a learner stands, and where the whole room does."""

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from labkit.cli.common import AsJson, LabName, load, show
from labkit.errors import BoardError, InputError, StateError

JOIN_CODE = "LABKIT_JOIN_CODE"


def progress(
    name: Annotated[
        str | None, typer.Option("--name", help="how you want to be called on the board")
    ] = None,
    share: Annotated[
        Path | None, typer.Option("--share", metavar="FOLDER", help="share in this folder")
    ] = None,
    join: Annotated[
        str | None,
        typer.Option(
            "--join", metavar="URL", help=f"share with a board; code: {JOIN_CODE}, or asked"
        ),
    ] = None,
    leave: Annotated[bool, typer.Option("--leave", help="share no more")] = False,
    lab_name: LabName = None,
    as_json: AsJson = False,
) -> None:
    """Show where you stand, chapter by chapter; share it with an instructor, if you want."""
    if leave and (share or join):
        raise InputError("The options do not fit", problems=["--leave with --share or --join"])
    from labkit import learner

    folder = _folder(lab_name)
    if name is not None:
        learner.set_name(folder, name)
    if leave:
        learner.leave(folder)
    if share is not None:
        learner.share(folder, share)
    if join is not None:
        learner.join(folder, join, _join_code())
    note = _send(folder) if not (share or join or leave) else ""
    record, sharing = learner.read_record(folder), learner.read_sharing(folder)
    if as_json:
        public = {"folder": sharing.folder, "url": sharing.url, "away": sharing.away}
        show({**record.model_dump(mode="json", by_alias=True), "shared": public}, as_json=True)
        return
    from labkit.board.learners import progress_text

    print(progress_text(record, sharing))
    if note:
        sys.stderr.write(f"{note}\n")


def _folder(lab_name: str | None) -> Any:
    """The folder of the lab that is meant; it need not exist yet."""
    from labkit.folder import LabFolder, known_labs

    labs = known_labs()
    wanted = lab_name or os.environ.get("LABKIT_LAB_NAME")
    if wanted is None and len(labs) > 1:
        raise InputError(
            "There are several labs",
            problems=[f"--lab-name {known}" for known in labs],
            fix="say which one you mean",
        )
    name = wanted or (labs[0] if labs else None)
    return LabFolder.of(load(None, None, name).params.lab_name)


def _join_code() -> str:
    """The room's code, never from the command line, where others on the machine could read it.

    Raises:
        InputError: there is none, and no terminal to ask on.
    """
    if code := os.environ.get(JOIN_CODE):
        return code
    if not sys.stdin.isatty():
        raise InputError(
            "The board asks for a join code, and there is no terminal to ask on",
            problems=[f"{JOIN_CODE} is not set"],
        )
    return getpass.getpass("Join code (it is not shown): ")


def _send(folder: Any) -> str:
    """Send what the board does not have yet; what to tell about it."""
    from labkit.learner import send_now

    try:
        return "what was not sent yet has been sent" if send_now(folder) else ""
    except BoardError as error:
        return f"{error} It will be sent again later."
    except StateError as error:
        return str(error)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (progress,):
        app.command()(command)
