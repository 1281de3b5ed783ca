"""`python -m labkit.embedded`: the command line of the embedded cloud's daemon.

It prints one JSON object and is meant for programs; people use `labkit up|status|down`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from labkit.embedded.state import StateFolder
from labkit.errors import LabkitError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m labkit.embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("start", "start the daemon, or find it running"),
        ("serve", "run the daemon in the foreground"),
        ("stop", "end the daemon and everything it started"),
        ("status", "facts about the daemon and its processes"),
        ("faults", "switch faults of the account's API on; without --on, all off"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--state", type=Path, required=True, help="state folder")
        if name == "start":
            command.add_argument("--grouping", choices=["pod", "cluster"], default="pod")
            command.add_argument("--wan", type=Path, help="JSON: round-trip times of region pairs")
        if name == "faults":
            command.add_argument(
                "--on", action="append", default=[], metavar="NAME[,FIELD=VALUE…]", help="a fault"
            )
        if name == "stop":
            command.add_argument("--forget", action="store_true", help="remove the state as well")
    return parser


def _fault(text: str) -> dict[str, Any]:
    """Read `NAME,FIELD=VALUE…`; a value that is no JSON is a word."""
    name, *fields = text.split(",")
    fault: dict[str, Any] = {"name": name}
    for field in fields:
        key, _, value = field.partition("=")
        try:
            fault[key] = json.loads(value)
        except ValueError:
            fault[key] = value
    return fault


def main() -> int:
    """Run one command; errors are JSON on standard error and exit code 1."""
    arguments = _parser().parse_args()
    state = StateFolder(arguments.state)
    try:
        if arguments.command == "serve":
            from labkit.embedded.daemon import serve  # its imports take half a second

            serve(state)
            return 0
        from labkit.embedded import control

        if arguments.command == "start":
            wan = json.loads(arguments.wan.read_text()) if arguments.wan else None
            facts = control.start(state, grouping=arguments.grouping, wan=wan)
        elif arguments.command == "stop":
            facts = control.stop(state, forget=arguments.forget)
        elif arguments.command == "faults":
            facts = control.set_faults(state, [_fault(text) for text in arguments.on])
        else:
            facts = control.status(state)
    except LabkitError as error:
        message = {"what": error.what, "seen": error.seen, "fix": error.fix}
        sys.stderr.write(json.dumps(message) + "\n")
        return 1
    sys.stdout.write(json.dumps(facts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
