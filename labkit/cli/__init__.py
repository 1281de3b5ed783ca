"""The `labkit` command. Results go to standard output, what happens meanwhile to standard error.

Exit codes: 0 done, 1 it failed, 2 the input does not fit or nothing ran, 3 checks with warnings
only, 130 interrupted. Imports happen inside the commands, so that `--help` answers at once.
"""

import os
import sys
from importlib import import_module
from typing import NoReturn

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
GROUPS = (
    "account",
    "board",
    "bundle",
    "cost",
    "dashboard",
    "doctor",
    "drill",
    "handouts",
    "lab",
    "latency",
    "report",
    "run",
    "settings",
    "sweep",
    "tools",
    "wan",
)
"""One module of this package per group of commands; each registers its own, in this order."""

for group in GROUPS:
    import_module(f"{__name__}.{group}").register(app)


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
