"""Starts `labkit` commands quickly: imports everything once, then forks for each command.

A command is a process of its own, with its own environment, and can be killed like any other. One
JSON object a line comes in on standard input (`argv`, `env`, `out`, `err`); the process id goes out
when it has started and its exit code when it has ended, negative for a signal.
"""

import json
import os
import sys
from pathlib import Path

import kubernetes.client
import pydo

import labkit.cli
import labkit.clouds
import labkit.opening

assert kubernetes.client
assert pydo
assert labkit.clouds
assert labkit.opening


def child(order: dict) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(order["env"])
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(order["env"]["LABKIT_HOME"])
    sys.argv = ["labkit", *order["argv"]]
    code = 1
    try:
        labkit.cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(order)
        answer(pid)
        _, status = os.waitpid(pid, 0)
        answer(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    assert Path(sys.argv[0]).name == "zygote.py"
    main()
