"""Which process of this machine stands for a command inside a container.

The image's own programs come first; where the real image has a shell, commands of this machine
stand for those that a base image brings. Files of mounted volumes are found when they are an
argument by themselves; every other absolute path is this machine's.
"""

import contextlib
import shlex
import shutil
import sys
from collections.abc import Sequence

from labkit.embedded.images.catalog import CommandNotFound, Program, programs_of
from labkit.embedded.node.config import NodeConfig
from labkit.embedded.node.programs import Container

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"


def search_path(container: Container) -> str:
    """PATH of a shell inside a container: the image's own programs, then this machine's commands.

    The programs are scripts in the container's private folder, made anew each time.
    """
    folder = container.work_dir / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, program in programs_of(container.image).items():
        if name and program.kind == "process":
            script = folder / name
            command = shlex.join([sys.executable, "-m", program.entry])
            script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
            script.chmod(0o700)
    return f"{folder}:{SEARCH_PATH}"


def has_command(config: NodeConfig, image: str, argv: Sequence[str]) -> bool:
    """Whether a base image's shell and tools stand behind a container's command line."""
    return bool(argv) and config.has_shell(image) and _found(argv[0]) is not None


def machine_command(container: Container, argv: Sequence[str]) -> list[str]:
    """The command line on this machine of a command of the base image.

    Raises:
        CommandNotFound: this machine has no such command.
    """
    found = _found(argv[0])
    if found is None:
        raise _missing(argv[0])
    return [found, *(_inside(container, word) for word in argv[1:])]


def process_command(program: Program, arguments: Sequence[str], container: Container) -> list[str]:
    """The command line on this machine of a program that is a process.

    Raises:
        CommandNotFound: it is a command that this machine does not have.
    """
    if program.kind == "command":
        return machine_command(container, [program.entry, *arguments])
    return [sys.executable, "-m", program.entry, *arguments]


def executable(config: NodeConfig, container: Container, argv: Sequence[str]) -> list[str]:
    """The command line on this machine of a command inside a container.

    Raises:
        CommandNotFound: the image has no such command.
    """
    with contextlib.suppress(CommandNotFound):
        if argv[0] and not argv[0].startswith("-") and "://" not in argv[0]:
            program, arguments = config.find_program(container.image, argv)
            if program.kind == "process":
                return process_command(program, arguments, container)
    if config.has_shell(container.image):
        return machine_command(container, argv)
    raise _missing(argv[0])


def _missing(command: str) -> CommandNotFound:
    why = (
        f"stat {command}: no such file or directory"
        if "/" in command
        else "executable file not found in $PATH"
    )
    return CommandNotFound(f'exec: "{command}": {why}')


def _found(command: str) -> str | None:
    return shutil.which(command, path=SEARCH_PATH) if command else None


def _inside(container: Container, word: str) -> str:
    """A file of the container where it really is; any other word as it is."""
    if not word.startswith("/") or ".." in word.split("/"):
        return word
    place = container.root / word.lstrip("/")
    return str(place) if place != container.root and place.exists() else word
