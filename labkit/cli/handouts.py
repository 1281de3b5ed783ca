"""init, jupyter: notebooks of one's own, and JupyterLab on them."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from labkit.cli.common import AsJson, Assignments, LabName, ParamsFile, Yes, agreed, load, show
from labkit.errors import InputError, StateError

ASKED = 3
"""How often a name that cannot be shown is asked for again."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="where; it is made")],
    learner: Annotated[
        bool, typer.Option("--learner", help="without solutions; this is the default")
    ] = False,
    instructor: Annotated[
        bool, typer.Option("--instructor", help="with the solutions of the exercises, folded")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="replace changed files, and keep them in DIR/backup")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option("--name", help="how you want to be called on the board; else asked for"),
    ] = None,
    params: ParamsFile = None,
    p: Assignments = None,
    lab_name: LabName = None,
    as_json: AsJson = False,
) -> None:
    """Write notebooks, params and a page to start from into a folder of your own."""
    if learner and instructor:
        raise InputError(
            "Options do not fit", problems=["--learner and --instructor: choose one of the two"]
        )
    loaded = load(params, p, lab_name)
    from labkit.folder import LabFolder
    from labkit.handouts.writing import hand_out
    from labkit.learner import clean_name, set_name

    called = None if name is None else clean_name(name)

    values = {
        key: value
        for key, value, origin in loaded.rows()
        if origin != "default" and key != "approve_cost"
    }
    done = hand_out(
        folder, edition="instructor" if instructor else "learner", values=values, force=force
    )
    own = LabFolder.of(loaded.params.lab_name)
    if called is None and not (instructor or as_json):
        called = _ask_name(own)
    if called is not None:
        set_name(own, called)
    if as_json:
        show(vars(done), as_json=True)
        return
    print(
        f"{len(done.written)} files written to {folder}, {done.kept} were there ({done.edition})."
    )
    if done.backup is not None:
        print(f"What was changed is in {done.backup}.")
    print(f"\nNext:\n  labkit jupyter {folder}      starts the lab, opens JupyterLab on 00")


def _ask_name(own: Any) -> str | None:
    """A learner's name, asked for on a terminal as long as there is none; Enter leaves it open."""
    from labkit.learner import clean_name, read_record

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    try:
        if read_record(own).learner:
            return None
    except StateError:  # damaged: it is begun anew when the name is kept
        pass
    for _ in range(ASKED):
        print("How do you want to be called on the instructor's board? (Enter: by the lab's name)")
        try:
            return clean_name(input("> ")) or None
        except EOFError:
            return None
        except InputError as error:
            print(error)
    return None


def jupyter(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="as `labkit init` made it; default: this one")
    ] = Path(),
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="open the browser, or print the address")
    ] = True,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="default: a free one from 8888")
    ] = None,
    start: Annotated[
        bool, typer.Option("--up/--no-up", help="start the lab first, or leave it as it is")
    ] = True,
    yes: Yes = False,
) -> None:
    """Start the lab if it is not up, and open JupyterLab on notebook 00."""
    from labkit.handouts import jupyter as server
    from labkit.handouts.writing import OWN_PARAMS

    root = server.require_notebooks(folder)
    own = root / OWN_PARAMS
    loaded = load(own if own.is_file() else None, None, None)
    from labkit.lab import Lab
    from labkit.opening import describe_lab

    lab = describe_lab(loaded)
    if start:
        print(Lab.of(agreed(lab, yes=yes)).up())
    print(
        f"\nCtrl-C ends JupyterLab. The lab stays up until `labkit down{_named(lab)}`.\n",
        flush=True,
    )
    argv = server.command(root, port=port, browser=browser)
    # A workspace of its own: tabs of other projects are not opened here, nor these there.
    tabs = {"JUPYTERLAB_WORKSPACES_DIR": str(lab.folder.root / "jupyterlab")}
    environment = server.environment({**lab.shell_environment(), **tabs})
    os.execve(argv[0], argv, environment)  # noqa: S606 - becomes it


def _named(lab: object) -> str:
    from labkit.folder import known_labs

    name = lab.params.lab_name  # type: ignore[attr-defined]
    return "" if known_labs() == [name] else f" --lab-name {name}"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (init, jupyter):
        app.command()(command)
