"""What the commands share: options, loading of parameters, printing of results."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from labkit.errors import InputError

ParamsFile = Annotated[
    Path | None, typer.Option("--params", "-f", help="YAML file with parameters (params/*.yaml)")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("-p", metavar="KEY=VALUE", help="one parameter; wins over file and LABKIT_*"),
]
LabName = Annotated[
    str | None, typer.Option("--lab-name", help="name of the lab; default: from the parameters")
]
Yes = Annotated[bool, typer.Option("--yes", help="agree to the quoted cost, on clouds that bill")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


def load(params_file: Path | None, assignments: list[str] | None, lab_name: str | None) -> Any:
    """Parameters from file, environment and command line, each with its origin."""
    from labkit.params import load_params

    overrides = split(assignments or [])
    if lab_name:
        overrides["lab_name"] = lab_name
    return load_params(params_file, overrides=overrides, environ=os.environ)


def split(assignments: list[str]) -> dict[str, str]:
    """Split KEY=VALUE items; all that are none are reported together."""
    wrong = [item for item in assignments if "=" not in item]
    if wrong:
        raise InputError(
            "Parameters do not fit",
            problems=[f"-p {item}: expected KEY=VALUE" for item in wrong],
        )
    return {key.strip(): value for key, value in (item.split("=", 1) for item in assignments)}


def show(value: object, *, as_json: bool) -> None:
    """Print a result to standard output."""
    if as_json:
        print(json.dumps(value, indent=1, default=str))
    else:
        print(value)


def known_lab(lab_name: str | None) -> Any:
    """The lab of this name, or the only one there is."""
    from labkit.opening import find_lab

    return find_lab(lab_name or os.environ.get("LABKIT_LAB_NAME"))


def agreed(lab: Any, *, yes: bool) -> Any:
    """The lab's parameters, with consent to its cost when it was given here.

    Consent is `--yes`, or the lab's name typed on a terminal after the quote was shown. Nothing is
    asked without a terminal, where nothing is billed, or when the lab is up already.

    Args:
        lab: a lab that need not exist yet.
        yes: the option.

    Raises:
        StateError: the quote is above the cap.
    """
    params = lab.params
    given = params.model_copy(update={"approve_cost": True})
    if yes:
        return given
    if not lab.cloud.bills or params.approve_cost:
        return params
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or lab.is_up():
        return params
    from labkit.clouds import affordable
    from labkit.display import Table

    quote = affordable(lab.cloud, params)
    sys.stderr.write(f"{quote.text}\n\n{Table.of(quote.rows(params.ttl_hours))}\n\n")
    sys.stderr.write(f"Type the lab's name, {params.lab_name}, to agree: ")
    sys.stderr.flush()
    return given if sys.stdin.readline().strip() == params.lab_name else params


def confirm(question: str, *, word: str, yes: bool) -> None:
    """Go on only with `--yes`, or when the user has typed a word on a terminal.

    Raises:
        InputError: neither; nothing was done.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError(
            "This needs a confirmation, and there is no terminal to ask on",
            problems=[question],
            fix="give --yes",
        )
    sys.stderr.write(f"{question}\nType `{word}` to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != word:
        raise InputError("Not confirmed", problems=["nothing was done"])
