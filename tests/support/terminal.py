"""A terminal as a person uses one: bash on a pseudo-terminal, lines, Ctrl-C.

No echo and no colours; exit codes come from the prompt.
"""

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import psutil

LINE_TIMEOUT_S = 180.0
_PROMPT = re.compile(r"<bash (\d+)>")
_SHELL = (
    "import fcntl, os, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " os.execvp('bash', ['bash', '--noprofile', '--norc', '--noediting', '-i'])"
)


class Terminal:
    """A bash on a terminal of its own; a line is typed, and read until the prompt is back."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._screen, keyboard = os.openpty()
        attributes = termios.tcgetattr(keyboard)
        attributes[1] &= ~termios.ONLCR
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(keyboard, termios.TCSANOW, attributes)
        fcntl.ioctl(keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self._bash = subprocess.Popen(
            [sys.executable, "-c", _SHELL],
            env={**environment, "TERM": "dumb", "PS1": "<bash $?>", "PS2": ""},
            cwd=folder,
            stdin=keyboard,
            stdout=keyboard,
            stderr=keyboard,
            start_new_session=True,
        )
        os.close(keyboard)
        self._read(_prompted, timeout_s=30)

    def type(self, line: str, *, timeout_s: float = LINE_TIMEOUT_S) -> tuple[int, str]:
        """Type a line and return its exit code and all that it wrote, also behind the prompt."""
        self.press(line + "\n")
        text = self._read(_prompted, timeout_s=timeout_s)
        # bash does not wait for the commands in `>(…)`: they write when the prompt is back.
        text += self._read(lambda _: not self._busy(), timeout_s=timeout_s)
        return int(_PROMPT.findall(text)[-1]), _PROMPT.sub("", text)

    def watch(self, line: str, *, until: str, times: int = 1) -> str:
        """Type a line that does not end; read it until something was shown so often; Ctrl-C."""
        self.press(line + "\n")
        return self._read(lambda seen: len(re.findall(until, seen)) >= times, timeout_s=90)

    def interrupt(self) -> None:
        """Press Ctrl-C and wait for the prompt."""
        self.press("\x03")
        self._read(_prompted, timeout_s=30)

    def press(self, keys: str) -> None:
        """Send keys and read nothing."""
        os.write(self._screen, keys.encode())

    def close(self) -> None:
        """Hang up: what runs in the terminal gets SIGHUP, as when its window is closed."""
        if self._bash.returncode is not None:
            return
        os.close(self._screen)
        try:
            self._bash.wait(10)
        except subprocess.TimeoutExpired:
            self._bash.kill()
            self._bash.wait()

    def _busy(self) -> bool:
        return any(
            _session(pid) == self._bash.pid for pid in psutil.pids() if pid != self._bash.pid
        )

    def _read(self, enough: Callable[[str], bool], *, timeout_s: float) -> str:
        """Read until `enough`, or until the time is up; the test that reads the text then fails."""
        seen, give_up = b"", time.monotonic() + timeout_s
        while time.monotonic() < give_up:
            done = enough(seen.decode(errors="replace"))
            if select.select([self._screen], [], [], 0.1)[0]:
                seen += os.read(self._screen, 65536)
            elif done:
                break
        return seen.decode(errors="replace")


def _prompted(text: str) -> bool:
    return _PROMPT.search(text) is not None


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1
