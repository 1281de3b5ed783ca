"""A pseudo-terminal for one process: what `-t` and a container's `tty: true` ask for.

The process gets the terminal as stdin, stdout and stderr and as its controlling terminal, so that
Ctrl-C, job control and the size of the window work as in a real one.
"""

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Sequence

_CHUNK = 32 * 1024
_END_OF_FILE = b"\x04"
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """Both ends of a pseudo-terminal; the process holds `device`, we hold the other one."""

    def __init__(self) -> None:
        self._master, self.device = pty.openpty()
        os.set_blocking(self._master, False)
        self._closed = False

    @staticmethod
    def command(argv: Sequence[str]) -> list[str]:
        """A command line that makes its stdin the controlling terminal before it becomes argv.

        A session leader does that itself; Python's own hook between fork and exec is unsafe
        beside threads.
        """
        return [sys.executable, "-I", "-S", "-c", _TAKE_TERMINAL, *argv]

    def started(self) -> None:
        """The process has the device: give up our copy, so that its end is seen."""
        os.close(self.device)

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window, in characters; the process is told by SIGWINCH."""
        if not self._closed:
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    async def read(self) -> bytes:
        """What the process has written; empty at the end."""
        while not self._closed:
            try:
                return os.read(self._master, _CHUNK)
            except BlockingIOError:
                await _ready(self._master, writing=False)
            except OSError:  # EIO: nobody has the device open any more
                break
        return b""

    async def write(self, data: bytes) -> None:
        """Type something."""
        while data and not self._closed:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                await _ready(self._master, writing=True)
            except OSError:
                return

    async def end_input(self) -> None:
        """Type the end-of-file character."""
        await self.write(_END_OF_FILE)

    def close(self) -> None:
        """Hang up: who still runs on the terminal gets SIGHUP. Nobody may be reading."""
        if not self._closed:
            self._closed = True
            os.close(self._master)


async def _ready(descriptor: int, *, writing: bool) -> None:
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    add = loop.add_writer if writing else loop.add_reader
    remove = loop.remove_writer if writing else loop.remove_reader

    def wake() -> None:
        with contextlib.suppress(asyncio.InvalidStateError):
            waiter.set_result(None)

    add(descriptor, wake)
    try:
        await waiter
    finally:
        remove(descriptor)
