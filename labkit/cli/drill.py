"""drill: faults that are real, to be found and mended."""

import sys
from typing import Annotated, Any

import typer

from labkit.cli.common import AsJson, LabName, known_lab, show
from labkit.errors import InputError, StateError


def drill(
    name: Annotated[
        str | None, typer.Argument(metavar="[DRILL]", help="which one; default: the open one")
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="list the drills, start none")] = False,
    hint: Annotated[bool, typer.Option("--hint", help="the next of three hints")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="is it mended? 0 yes, 1 no")] = False,
    heal: Annotated[bool, typer.Option("--heal", help="put it right, from any state")] = False,
    lab_name: LabName = None,
    as_json: AsJson = False,
) -> None:
    """Break one thing in the lab, for you to find and mend; or help with the drill that is open."""
    chosen = [word for word, on in (("hint", hint), ("verify", verify), ("heal", heal)) if on]
    if len(chosen) + list_only > 1:
        raise InputError("Choose one of --list, --hint, --verify and --heal")
    if list_only or (name is None and not chosen):
        _list(lab_name, as_json=as_json)
        return
    lab = known_lab(lab_name)
    which = name or _the_open(lab)
    if which is None:
        show({"state": "closed"} if as_json else "No drill is open.", as_json=as_json)
        raise typer.Exit(0 if heal else 2)
    if verify:
        _verify(lab, which, as_json=as_json)
        return
    step = lab.drill(which, *chosen)
    show(dict(step.facts) if as_json else step, as_json=as_json)


def _list(lab_name: str | None, *, as_json: bool) -> None:
    from labkit.display import Table
    from labkit.drills import listing

    try:
        lab = known_lab(lab_name)
    except StateError:
        lab = None  # the drills can be read without a lab
    rows = listing(lab)
    show(rows if as_json else Table.of(rows), as_json=as_json)


def _the_open(lab: Any) -> str | None:
    names = [item["name"] for item in lab.open_drills()]
    return names[-1] if names else None


def _verify(lab: Any, name: str, *, as_json: bool) -> None:
    finding = lab.verify_drill(name)
    if as_json:
        show({"drill": name, "status": finding.status, "reason": finding.reason}, as_json=True)
    elif finding.status == "pass":
        print(f"✔ {name} is mended: {finding.reason}")
        print(f"Close it: labkit drill {name} --heal")
    else:
        print(f"✘ {name} is not mended yet: {finding.reason}")
    raise typer.Exit(0 if finding.status == "pass" else 1)


def warn_of_open_drills(lab: Any) -> None:
    """Say on standard error that a failing check may be a drill's doing."""
    for record in lab.open_drills():
        name = record["name"]
        sys.stderr.write(f"the drill {name} is open: `labkit drill {name} --heal` ends it\n")


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(drill)
