"""The question whether `linkerd` is there, and which version it is."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from labkit.clients.command import run
from labkit.clouds.prerequisites import Prerequisite, Seen, bad, ok
from labkit.errors import CommandError

_ANSWER_S = 20.0
LINKERD_FIX = "labkit tools install linkerd"


def linkerd_version(command: Sequence[str]) -> str:
    """What the command says of itself, as `edge-26.6.3`; empty when it does not start.

    Raises:
        CommandError: it is there and does not answer.
    """
    if not Path(command[0]).exists() and shutil.which(command[0]) is None:
        return ""
    done = run(
        [*command, "version", "--client", "--short"],
        timeout_s=_ANSWER_S,
        shown_as=["linkerd", "version", "--client", "--short"],
    )
    return done.stdout.strip()


def linkerd(command: Sequence[str], *, comes_with_cloud: bool = False) -> Prerequisite:
    """The question; a cloud that brings its own `linkerd` has it once it has started."""

    def look() -> Seen:
        try:
            version = linkerd_version(command)
        except CommandError as error:
            return bad(str(error))
        if version:
            return ok(version)
        if comes_with_cloud:
            return ok("comes with the cloud when it starts")
        return bad(f"no command `{command[0]}`")

    return Prerequisite("tools.linkerd", "the `linkerd` command answers", LINKERD_FIX, look)
