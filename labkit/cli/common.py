"""What the commands share: options, loading of parameters, printing of results."""

import json
import os
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
    from labkit.lab import find_lab

    return find_lab(lab_name or os.environ.get("LABKIT_LAB_NAME"))
