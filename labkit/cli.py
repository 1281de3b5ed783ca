"""The `labkit` command. Results go to standard output, what happens meanwhile to standard error.

Exit codes: 0 done, 1 it failed, 2 the input does not fit or nothing ran, 3 checks with warnings
only, 130 interrupted. Imports happen inside the commands, so that `--help` answers at once.
"""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from labkit.errors import InputError, LabkitError

app = typer.Typer(
    name="labkit",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A two-cluster, two-region Linkerd mesh lab: on this machine, on DigitalOcean, or on "
    "clusters you have.",
)

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


def main() -> NoReturn:
    """Entry point: errors become messages and exit codes, never a traceback."""
    code: object = 0
    try:
        code = app(standalone_mode=False)  # returns the exit code of a typer.Exit
    except InputError as error:
        _fail(error, 2)
    except LabkitError as error:
        _fail(error, 1)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        _fail(LabkitError(f"The system refused{where}", seen=error.strerror or str(error)), 1)
    except Exception as error:
        if isinstance(error, _usage_error()):
            error.show()  # type: ignore[attr-defined]
            sys.exit(2)
        raise
    sys.exit(code if isinstance(code, int) else 0)


def _usage_error() -> type[Exception]:
    for candidate in typer.BadParameter.__mro__:
        if candidate.__name__ == "ClickException":
            return candidate
    return typer.BadParameter


def _fail(error: LabkitError, code: int) -> NoReturn:
    sys.stderr.write(f"{error}\n")
    sys.exit(code)


def _load(params_file: Path | None, assignments: list[str] | None, lab_name: str | None) -> Any:
    from labkit.params import load_params

    overrides = _split(assignments or [])
    if lab_name:
        overrides["lab_name"] = lab_name
    return load_params(params_file, overrides=overrides, environ=os.environ)


def _split(assignments: list[str]) -> dict[str, str]:
    wrong = [item for item in assignments if "=" not in item]
    if wrong:
        raise InputError(
            "Parameters do not fit",
            problems=[f"-p {item}: expected KEY=VALUE" for item in wrong],
        )
    return {key.strip(): value for key, value in (item.split("=", 1) for item in assignments)}


def _print(value: object, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(value, indent=1, default=str))
    else:
        print(value)


def _known_lab(lab_name: str | None) -> Any:
    from labkit.lab import find_lab

    return find_lab(lab_name or os.environ.get("LABKIT_LAB_NAME"))


@app.command()
def up(
    params: ParamsFile = None,
    p: Assignments = None,
    lab_name: LabName = None,
    bare: Annotated[
        bool, typer.Option("--bare", help="two empty clusters and nothing else")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring up the two clusters and the trust anchor, ready for chapter 03."""
    loaded = _load(params, p, lab_name)
    from labkit.lab import describe_lab

    lab = describe_lab(loaded)
    step = lab.up(bare=bare)
    _print(dict(step.facts) if as_json else step, as_json=as_json)


@app.command()
def status(lab_name: LabName = None, as_json: AsJson = False) -> None:
    """Show what runs: clusters, processes, memory."""
    facts = _known_lab(lab_name).status()
    if as_json:
        _print(facts, as_json=True)
        return
    from labkit.lab import status_text

    print(status_text(facts))


@app.command()
def check(
    chapters: Annotated[list[str] | None, typer.Argument(help="chapter numbers, as 01 03")] = None,
    lab_name: LabName = None,
    list_only: Annotated[bool, typer.Option("--list", help="list the checks, run none")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the checks of some chapters or all. Exit codes: 0 pass, 1 fail, 2 none ran, 3 warn."""
    if list_only:
        from labkit.lab import list_checks

        rows = list_checks(chapters or [])
        _print(
            rows if as_json else "\n".join(f"{r['id']}  {r['title']}" for r in rows),
            as_json=as_json,
        )
        return
    report = _known_lab(lab_name).run_checks(chapters or [])
    _print(report.to_json() if as_json else report, as_json=as_json)
    raise typer.Exit(report.exit_code)


@app.command()
def run(
    params: ParamsFile = None,
    p: Assignments = None,
    lab_name: LabName = None,
    runs: Annotated[Path, typer.Option(help="parent of the run folder")] = Path("runs"),
    notebooks: Annotated[Path | None, typer.Option(help="folder of the notebooks")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="leave the lab up at the end")] = False,
    as_json: AsJson = False,
) -> None:
    """Run all notebooks headless, tear everything down, print figures and the run folder."""
    loaded = _load(params, p, lab_name)
    from labkit.runs import run_lab
    from labkit.runs.headless import NOTEBOOKS
    from labkit.runs.summary import headline

    result = run_lab(loaded.params, runs=runs, notebooks=notebooks or NOTEBOOKS, keep=keep)
    if as_json:
        _print(result.summary, as_json=True)
    else:
        print("\n".join(headline(result.summary)))
        print(f"run folder       {os.path.relpath(result.folder)}")
    if isinstance(result.error, LabkitError):
        raise result.error
    if isinstance(result.error, KeyboardInterrupt):
        raise typer.Exit(130)
    if result.error is not None:
        raise LabkitError("The run ended early", seen=str(result.error), fix=f"see {result.folder}")
    if result.summary["processes_left"]:
        raise typer.Exit(1)


@app.command()
def down(lab_name: LabName = None, as_json: AsJson = False) -> None:
    """Delete the clusters with all they made, end every process, and say what is left."""
    lab = _known_lab(lab_name)
    facts = lab.tear_down()
    if as_json:
        _print(facts, as_json=True)
    else:
        from labkit.lab import teardown_text

        print(teardown_text(facts))
    if facts["processes_left"] or facts["leftovers"]:
        raise typer.Exit(1)


@app.command()
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

        _print(json_schema(), as_json=True)
        return
    rows = _load(params, p, lab_name).rows()
    if as_json:
        _print(
            {key: {"value": value, "origin": origin} for key, value, origin in rows}, as_json=True
        )
        return
    from labkit.display import Table

    print(Table.of([{"parameter": k, "value": v, "origin": o} for k, v, o in rows]))


@app.command()
def env(lab_name: LabName = None) -> None:
    """Print shell commands for KUBECONFIG and the lab's tools: eval "$(labkit env)"."""
    folder = _known_lab(lab_name).folder
    path = f"{folder.commands}{os.pathsep}{os.environ.get('PATH', '')}"
    print(f"export KUBECONFIG={shlex.quote(str(folder.kubeconfig))}")
    print(f"export PATH={shlex.quote(path)}")
    print(f"export LABKIT_LAB_NAME={shlex.quote(folder.root.name)}")


@app.command()
def version() -> None:
    """Print labkit's version."""
    from labkit import __version__

    print(__version__)


if __name__ == "__main__":
    main()
