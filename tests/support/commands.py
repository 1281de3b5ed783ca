"""`labkit` commands that do not pay for their imports: forks of a zygote, each a process of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ZYGOTE = Path(__file__).with_name("zygote.py")
START_TIMEOUT_S = 120.0


class Command:
    """A command that runs."""

    def __init__(self, address: Path, order: Mapping[str, object]) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(address))
        self._socket.sendall(f"{json.dumps(order)}\n".encode())
        self._lines = self._socket.makefile("r")
        self.pid = int(self._lines.readline())

    def wait(self, timeout_s: float | None = None) -> int:
        """Its exit code; a command that takes too long is killed.

        Raises:
            TimeoutError: it was killed.
        """
        self._socket.settimeout(timeout_s)
        try:
            return int(self._lines.readline())
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            raise
        finally:
            self._lines.close()
            self._socket.close()


class Commands:
    """Starts commands.

    Args:
        address: the zygote's socket.
    """

    def __init__(self, address: Path) -> None:
        self._address = address

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, out: Path, err: Path
    ) -> Command:
        """Start one; its output goes to files."""
        order = {"argv": argv, "env": env, "cwd": str(cwd), "out": str(out), "err": str(err)}
        return Command(self._address, order)

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """Run one to its end.

        Raises:
            TimeoutExpired: it took too long, and was killed.
        """
        folder = Path(tempfile.mkdtemp(prefix="labkit-command-"))
        out, err = folder / "out", folder / "err"
        try:
            code = self.start(argv, env=env, cwd=cwd, out=out, err=err).wait(timeout_s)
            return subprocess.CompletedProcess(argv, code, out.read_text(), err.read_text())
        except TimeoutError as error:
            said = (out.read_text(), err.read_text())
            raise subprocess.TimeoutExpired(list(argv), timeout_s, *said) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def commands() -> Iterator[Commands]:
    """A zygote, for the block."""
    folder = Path(tempfile.mkdtemp(prefix="labkit-zygote-"))
    address = folder / "socket"
    with subprocess.Popen(
        [sys.executable, str(ZYGOTE), str(address)], stdin=subprocess.PIPE
    ) as one:
        try:
            give_up = time.monotonic() + START_TIMEOUT_S
            while not address.exists():
                assert one.poll() is None, "the zygote has ended"
                assert time.monotonic() < give_up, "the zygote does not start"
                time.sleep(0.05)
            yield Commands(address)
        finally:
            one.stdin.close()
            one.wait(20)
            shutil.rmtree(folder, ignore_errors=True)
