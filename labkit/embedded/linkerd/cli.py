"""The command line: finds the subcommand, parses its flags, runs it, turns errors into exit 1.

Flags may stand before or after the subcommand, as in the real command (`linkerd --context=west -n
emojivoto viz tap deploy/vote-bot`): the words of the subcommand are found first, skipping flags,
and then all flags are parsed by that subcommand. Each subcommand lives in its own module, imported
only when it is asked for, because `linkerd inject` has to start in a blink.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple, NoReturn

from labkit.embedded.linkerd.output import err, out
from labkit.errors import LabkitError

_PACKAGE = "labkit.embedded.linkerd"
_BARE_FLAGS = frozenset({"--verbose", "--help", "-h"})
"""Flags without a value that may stand before the subcommand."""


class Command(NamedTuple):
    """Where a subcommand lives: `MODULE.NAME(options)` with its flags in `MODULE.NAME_flags`."""

    module: str
    name: str
    help: str


COMMANDS: dict[tuple[str, ...], Command] = {
    ("check",): Command("check", "core", "Check the Linkerd installation for potential problems"),
    ("diagnostics", "proxy-metrics"): Command(
        "diagnostics", "proxy_metrics", "Fetch metrics directly from Linkerd proxies"
    ),
    ("diagnostics", "endpoints"): Command(
        "diagnostics", "endpoints", "Introspect the endpoints of a service"
    ),
    ("identity",): Command("diagnostics", "identity", "Display the certificates of pods"),
    ("inject",): Command("inject", "inject", "Add the Linkerd proxy to a Kubernetes config"),
    ("install",): Command("install", "install", "Output Kubernetes configs to install Linkerd"),
    ("uninject",): Command("inject", "uninject", "Remove the proxy from a Kubernetes config"),
    ("uninstall",): Command("uninstall", "core", "Output configs to uninstall Linkerd"),
    ("version",): Command("version", "version", "Print the client and server version"),
    ("multicluster", "install"): Command(
        "multicluster", "install", "Output Kubernetes configs to install the multicluster extension"
    ),
    ("multicluster", "link"): Command(
        "link", "link", "Output resources to link to another cluster (deprecated)"
    ),
    ("multicluster", "link-gen"): Command(
        "link", "link_gen", "Output the Link and credentials to link to another cluster"
    ),
    ("multicluster", "unlink"): Command(
        "link", "unlink", "Output link resources for deletion (deprecated)"
    ),
    ("multicluster", "allow"): Command(
        "link", "allow", "Output credentials that allow service mirrors to access this cluster"
    ),
    ("multicluster", "check"): Command(
        "check", "multicluster", "Check the multicluster extension for potential problems"
    ),
    ("multicluster", "gateways"): Command(
        "gateways", "gateways", "Display stats about the gateways in target clusters"
    ),
    ("multicluster", "uninstall"): Command(
        "uninstall", "multicluster", "Output configs to uninstall the multicluster extension"
    ),
    ("viz", "install"): Command("viz", "install", "Output configs to install the viz extension"),
    ("viz", "check"): Command("check", "viz", "Check the viz extension for potential problems"),
    ("viz", "stat"): Command("stat", "stat", "Display traffic stats about one or many resources"),
    ("viz", "stat-outbound"): Command(
        "stat_outbound", "stat_outbound", "Display traffic stats about outbound traffic"
    ),
    ("viz", "tap"): Command("tap", "tap", "Listen to a traffic stream"),
    ("viz", "edges"): Command("edges", "edges", "Display connections between resources"),
    ("viz", "dashboard"): Command("dashboard", "dashboard", "Open the dashboard in a web browser"),
    ("viz", "uninstall"): Command(
        "uninstall", "viz", "Output configs to uninstall the viz extension"
    ),
}

_ALIASES = {"mc": "multicluster"}
_TOP_LEVEL_VIZ = frozenset({"dashboard", "edges", "stat", "tap"})
_GROUPS = frozenset(path[0] for path in COMMANDS if len(path) > 1)


class Parser(argparse.ArgumentParser):
    """Errors as Linkerd gives them: a line and the usage on stderr, exit code 1."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        err(f"Error: {message}")
        err(self.format_usage())
        sys.exit(1)


def add_globals(parser: argparse.ArgumentParser) -> None:
    """The flags that every subcommand has."""
    group = parser.add_argument_group("global flags")
    group.add_argument("--context", default="", help="name of the kubeconfig context to use")
    group.add_argument("--kubeconfig", default="", help="path to the kubeconfig file")
    group.add_argument(
        "-L",
        "--linkerd-namespace",
        default=os.environ.get("LINKERD_NAMESPACE", "linkerd"),
        help="namespace in which Linkerd is installed",
    )
    group.add_argument("--cni-namespace", default="linkerd-cni", help=argparse.SUPPRESS)
    group.add_argument("--api-addr", default="", help=argparse.SUPPRESS)
    group.add_argument("--as", dest="impersonate", default="", help="username to impersonate")
    group.add_argument("--as-group", action="append", default=[], help="group to impersonate")
    group.add_argument("--verbose", action="store_true", help="turn on debug logging")


def find_command(arguments: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Split a command line into the subcommand's words and everything else.

    Returns:
        The words (may be a prefix of a command, or empty) and the remaining arguments in order.
    """
    path: list[str] = []
    rest: list[str] = []
    remaining = list(arguments)
    while remaining:
        word = remaining.pop(0)
        if word == "--" or tuple(path) in COMMANDS:
            rest += [word, *remaining]
            break
        if word.startswith("-") and len(word) > 1:
            rest.append(word)
            if "=" not in word and word not in _BARE_FLAGS and remaining:
                rest.append(remaining.pop(0))
            continue
        path.append(_ALIASES.get(word, word))
        known = tuple(path) in COMMANDS or (len(path) == 1 and path[0] in _GROUPS)
        if not known and tuple(path) == (word,) and word in _TOP_LEVEL_VIZ:
            err(f"Command \"{word}\" is deprecated, use instead 'linkerd viz {word}'")
            path = ["viz", word]
        elif not known:
            break
    return tuple(path), rest


def _listing(prefix: tuple[str, ...]) -> str:
    title = " ".join(("linkerd", *prefix))
    rows = [
        f"  {' '.join(path):<28}{command.help}"
        for path, command in sorted(COMMANDS.items())
        if path[: len(prefix)] == prefix
    ]
    return "\n".join([f"Usage:\n  {title} [command]\n", "Available Commands:", *rows])


def _run(path: tuple[str, ...], rest: Sequence[str]) -> int:
    command = COMMANDS[path]
    module = import_module(f"{_PACKAGE}.{command.module}")
    parser = Parser(prog=" ".join(("linkerd", *path)), description=command.help, allow_abbrev=False)
    getattr(module, f"{command.name}_flags")(parser)
    add_globals(parser)
    result: int = getattr(module, command.name)(parser.parse_intermixed_args(rest))
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Returns:
        The exit code: 0 or 1, as the real command's.
    """
    path, rest = find_command(sys.argv[1:] if arguments is None else arguments)
    if path not in COMMANDS:
        group = path[:1] if path[:1] and path[0] in _GROUPS else ()
        if path != group:
            err(f'Error: unknown command "{path[-1]}" for "{" ".join(("linkerd", *group))}"')
            return 1
        out(_listing(group))
        return 0
    try:
        return _run(path, rest)
    except LabkitError as error:
        sys.stdout.flush()
        err(_message(error))
        return 1


def _message(error: LabkitError) -> str:
    parts = [error.what]
    if error.seen:
        parts.append(error.seen)
    message = ": ".join(parts)
    return f"{message}\n{error.fix}" if error.fix else message


def run() -> NoReturn:
    """Entry of `python -m labkit.embedded.linkerd`: SIGINT and SIGPIPE end it at once."""
    for name in ("SIGINT", "SIGPIPE"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        # Glyphs and µ must come out whatever the locale says.
        stream.reconfigure(encoding="utf-8", line_buffering=True)  # type: ignore[union-attr]
    sys.exit(main())
