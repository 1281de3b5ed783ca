"""config, env, version: what labkit would use."""

import shlex
from typing import Annotated

import typer

from labkit.cli.common import AsJson, Assignments, LabName, ParamsFile, known_lab, load, show


def config(
    params: ParamsFile = None,
    p: Assignments = None,
    lab_name: LabName = None,
    schema: Annotated[bool, typer.Option("--schema", help="print the JSON schema")] = False,
    as_json: AsJson = False,
) -> None:
    """Show every parameter with its value and where that value comes from."""
    if schema:
        from labkit.params import json_schema

        show(json_schema(), as_json=True)
        return
    rows = load(params, p, lab_name).rows()
    if as_json:
        show({key: {"value": value, "origin": origin} for key, value, origin in rows}, as_json=True)
        return
    from labkit.display import Table

    print(Table.of([{"parameter": k, "value": v, "origin": o} for k, v, o in rows]))


def env(lab_name: LabName = None) -> None:
    """Print shell commands for KUBECONFIG and the lab's tools: eval "$(labkit env)"."""
    for name, value in known_lab(lab_name).shell_environment().items():
        print(f"export {name}={shlex.quote(value)}")


def version() -> None:
    """Print labkit's version."""
    from labkit import __version__

    print(__version__)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (config, env, version):
        app.command()(command)
