"""progress and board: where a learner stands, and where the whole room does."""

import getpass
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from labkit.cli.common import AsJson, LabName, load, show
from labkit.errors import BoardError, InputError, StateError

JOIN_CODE = "LABKIT_JOIN_CODE"
BOARD_PASSWORD = "LABKIT_BOARD_PASSWORD"  # noqa: S105 - the name of a variable


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


def board(
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="FOLDER|URL", help="shared folders and boards that collect"),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="collect by HTTP: the room joins this board")
    ] = False,
    host: Annotated[
        str, typer.Option("--host", help="with --serve: listen here; 0.0.0.0 is the room's network")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="with --serve: 0 takes a free one")
    ] = 8750,
    state: Annotated[
        Path | None, typer.Option("--state", help="with --serve: where it keeps what it collects")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="also write one HTML page")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="minutes per chapter, YAML")
    ] = None,
    every: Annotated[
        float | None,
        typer.Option("--every", min=1, max=3600, help="seconds between rounds; default 5"),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="one round, also on a terminal")] = False,
    as_json: AsJson = False,
) -> None:
    """Show who is where, what fails most and who is stuck, of all who share their progress."""
    found = list(sources or ())
    _require_sources(found, serve=serve, one_round=once or as_json)
    from labkit.board.gathering import needs_password
    from labkit.board.plan import read_plan
    from labkit.board.running import EVERY_S, Board, watch
    from labkit.board.running import serve as collect

    made = Board(
        found,
        read_plan(plan),
        password=_password() if needs_password(found) else "",
        html=html,
        every_s=every or EVERY_S,
    )
    if serve:
        from labkit.folder import home

        collect(made, state=state or home() / ".board", host=host, port=port)
    elif as_json or once or not (every or sys.stdout.isatty()):
        from labkit.board.showing import room_facts, room_text

        room = made.round()
        show(room_facts(room) if as_json else room_text(room), as_json=as_json)
    else:
        with suppress(KeyboardInterrupt):  # the way to end it
            watch(made)


def _require_sources(sources: list[str], *, serve: bool, one_round: bool) -> None:
    """Let pass what the options make sense with; all problems together.

    Raises:
        InputError: nothing to collect from, or options that do not go together.
    """
    from labkit.board.gathering import check_sources

    problems = []
    if not sources and not serve:
        problems.append("give folders or addresses of boards, or collect by --serve")
    if serve and one_round:
        problems.append("--serve goes on until Ctrl-C: leave out --once and --json")
    if problems:
        raise InputError("The board has nothing to show", problems=problems)
    check_sources(sources)


def _password() -> str:
    """The instructor's password of a collector, from the environment or asked for.

    Raises:
        InputError: there is none, and no terminal to ask on.
    """
    return _secret(BOARD_PASSWORD, "Password of the board (it is not shown): ")


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
    return _secret(JOIN_CODE, "Join code (it is not shown): ")


def _secret(variable: str, question: str) -> str:
    if found := os.environ.get(variable):
        return found
    if not sys.stdin.isatty():
        raise InputError(
            "The board asks for a credential, and there is no terminal to ask on",
            problems=[f"{variable} is not set"],
        )
    return getpass.getpass(question)


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
    for command in (progress, board):
        app.command()(command)
