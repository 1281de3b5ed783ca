"""Runs a command that cannot leave this machine.

In a network namespace of its own where Linux permits that (`unshare --net --map-root-user`): there
is no way out for any program. Elsewhere every Python process refuses connections to other
machines; other programs are not held. Both write down what Python processes tried.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TRIED = "LABKIT_OFFLINE_TRIED"
"""File to which refused attempts are written."""
SITE = Path(__file__).resolve().parent / "site"
"""Holds a `sitecustomize` that every Python process below imports at its start."""

_UNSHARE_S = 20
_UP = (
    "import fcntl, socket, struct, sys, os; s = socket.socket(); "
    "fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', b'lo', 0x41)); s.close(); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Brings loopback up (SIOCSIFFLAGS: IFF_UP and IFF_RUNNING), then becomes the command."""


@dataclass(frozen=True)
class Guarded:
    """What a guarded command did.

    Attributes:
        returncode: its exit code, None: it did not end in time.
        stdout: all it wrote; its errors went where this process writes its own.
        tried: addresses and names outside this machine that Python processes wanted.
    """

    returncode: int | None
    stdout: str
    tried: tuple[str, ...]


def namespace_works() -> bool:
    """Whether this user may have a network namespace with loopback up."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    argv = _in_namespace([sys.executable, "-c", "pass"])
    try:
        done = subprocess.run(argv, capture_output=True, timeout=_UNSHARE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _in_namespace(argv: Sequence[str]) -> list[str]:
    shared = ["unshare", "--net", "--map-root-user", "--", sys.executable, "-S", "-c", _UP]
    return [*shared, *argv]


def run_guarded(
    argv: Sequence[str], *, namespace: bool, environ: Mapping[str, str], timeout_s: float
) -> Guarded:
    """Run a command without a way out.

    Args:
        argv: the command.
        namespace: in a network namespace of its own.
        environ: its environment; Python's path is extended in it.
        timeout_s: then it is killed.
    """
    with tempfile.TemporaryDirectory() as place:
        tried = Path(place) / "tried"
        paths = [str(SITE), *filter(None, [environ.get("PYTHONPATH")])]
        environment = {**environ, "PYTHONPATH": os.pathsep.join(paths), TRIED: str(tried)}
        try:
            done = subprocess.run(
                _in_namespace(argv) if namespace else list(argv),
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                timeout=timeout_s,
                check=False,
            )
            code, out = done.returncode, done.stdout
        except subprocess.TimeoutExpired:
            code, out = None, ""
        lines = tried.read_text().splitlines() if tried.exists() else []
    return Guarded(code, out, tuple(dict.fromkeys(json.loads(line) for line in lines)))
