"""Starts `labkit` commands quickly: imports everything once, then forks for each command.

A command is a process of its own, with its own environment, folder and output, and can be killed
like any other. Several may run at the same time: each has a connection to the socket that is
named on the command line. A JSON object comes in (`argv`, `env`, `cwd`, `out`, `err`); the process id
goes out when it has started and its exit code when it has ended, negative for a signal. The zygote
ends when its standard input is closed.
"""

import importlib
import json
import os
import select
import signal
import socket
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

IMPORTED = (
    "kubernetes.client",
    "pydo",
    "labkit.board.running",
    "labkit.cli",
    "labkit.clouds",
    "labkit.opening",
    "labkit.runs.headless",
    "labkit.runs.report",
    "papermill",
)
PROGRAM = "labkit/cli/__main__.py"
FILTERS = list(warnings.filters)
"""Those of the interpreter."""


def command(order: dict[str, Any]) -> NoReturn:
    """Be the command, never to return."""
    warnings.filters[:] = FILTERS
    os.setsid()
    os.environ.clear()
    os.environ.update(order["env"])
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(order["cwd"])
    sys.argv, sys.path[0] = [PROGRAM, *order["argv"]], order["cwd"]  # as `python -m` has it
    # It exits as a program does: what is to be done at the end is done.
    importlib.import_module("labkit.cli").main()


def attend(connection: socket.socket) -> NoReturn:
    """Start one command and tell of its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection, connection.makefile("r") as lines:
        order = json.loads(lines.readline())
        pid = os.fork()
        if pid == 0:
            connection.close()
            command(order)
        connection.sendall(f"{pid}\n".encode())
        _, status = os.waitpid(pid, 0)
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def main(address: str) -> None:
    """Serve until standard input is closed."""
    # OpenBLAS has threads, and cares for forks itself.
    warnings.simplefilter("ignore", DeprecationWarning)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who attends to a command leaves no zombie
    for name in IMPORTED:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.new")
        listener.listen(64)
        Path(f"{address}.new").rename(address)  # who sees it can connect
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                attend(connection)
            connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
