"""Runs commands: the one place where labkit starts `linkerd` or `kubectl`.

Always an argument list, never a shell; always a time limit; output captured. The equivalent shell
line is handed to a recorder, so that a notebook can show beside each step what a user would type;
values of flags that carry secrets are masked in it and in errors. Deliberately absent: retries,
terminals and background processes.
"""

import logging
import os
import selectors
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from labkit.errors import CommandError

logger = logging.getLogger(__name__)

Recorder = Callable[[str], None]
"""Receives the equivalent shell line of every command."""

_SECRET_FLAGS = ("--token", "--password", "--access-token", "--client-key")
_CHUNK = 65536
_QUIET_S = 0.5
_GRACE_S = 2.0
"""How long a stopped command may take to end before it is killed."""


@dataclass(frozen=True)
class Completed:
    """What a command did.

    Attributes:
        argv: the command, secrets masked.
        returncode: its exit code; negative when it was stopped by a signal.
        stdout: all of its output.
        stderr: all of its error output.
        seconds: wall time.
        stopped: it was ended because enough had been seen or the sampling time was over.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str = field(repr=False)
    stderr: str = field(repr=False)
    seconds: float
    stopped: bool = False

    @property
    def shell(self) -> str:
        """The command as a user would type it."""
        return shlex.join(self.argv)


def masked(argv: Sequence[str]) -> tuple[str, ...]:
    """The command without the values of flags that carry secrets."""
    shown: list[str] = []
    hide = False
    for word in argv:
        name, equals, _ = word.partition("=")
        if hide:
            shown.append("***")
            hide = False
        elif name in _SECRET_FLAGS:
            shown.append(f"{name}=***" if equals else word)
            hide = not equals
        else:
            shown.append(word)
    return tuple(shown)


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    check: bool = True,
    fix: str = "",
    record: Recorder | None = None,
    until: Callable[[bytes], bool] | None = None,
    shown_as: Sequence[str] = (),
) -> Completed:
    """Run a command to its end, or until enough of its output was seen.

    Args:
        argv: program and arguments.
        timeout_s: seconds until it is stopped; an error unless `until` is given.
        env: variables added to (or replacing) those of this process.
        stdin: text for its standard input.
        check: an exit code other than 0 is an error.
        fix: what the user can do when it fails.
        record: receives the equivalent shell line before the command starts.
        until: is given each piece of output as it comes, and an empty one every half second in
            which nothing comes; True ends the command well. With it, the end of `timeout_s` is the
            end of sampling and no error.
        shown_as: the command as a user would type it, where `argv` holds paths of this machine.

    Raises:
        CommandError: not found, ran out of time, or failed.
    """
    shown = masked(shown_as or argv)
    if record is not None:
        record(shlex.join(shown))
    logger.debug("running %s", shlex.join(shown))
    started = time.monotonic()
    process = _start(argv, shown, env=env, fix=fix)
    with process:
        writer = _feed(process, stdin)
        try:
            output = _collect(process, started + timeout_s, until)
        finally:
            _stop(process)
            writer.join(_GRACE_S)
    result = Completed(
        argv=shown,
        returncode=process.returncode,
        stdout=output.stdout.decode(errors="replace"),
        stderr=output.stderr.decode(errors="replace"),
        seconds=time.monotonic() - started,
        stopped=not output.ended,
    )
    if result.stopped and until is None:
        raise CommandError(
            shown,
            returncode=None,
            stderr=f"no end after {timeout_s:g} s; {result.stderr.strip()}".rstrip("; "),
            fix=fix or "run it by hand to see what it waits for",
        )
    if check and not result.stopped and result.returncode != 0:
        raise CommandError(shown, returncode=result.returncode, stderr=result.stderr, fix=fix)
    return result


def _start(
    argv: Sequence[str], shown: Sequence[str], *, env: Mapping[str, str] | None, fix: str
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
        )
    except OSError as error:
        raise CommandError(
            shown,
            returncode=None,
            stderr=f"{argv[0]} could not be started: {error.strerror}",
            fix=fix or f"install {argv[0]} or put it on PATH",
        ) from error


def _feed(process: subprocess.Popen[bytes], text: str) -> threading.Thread:
    """Write stdin beside the reading, because both pipes may be full at once."""

    def write(pipe: IO[bytes]) -> None:
        try:
            with pipe:
                pipe.write(text.encode())
        except (BrokenPipeError, ValueError):
            return  # it did not want all of it

    assert process.stdin is not None  # noqa: S101 - a pipe was asked for
    thread = threading.Thread(
        target=write, args=(process.stdin,), name=f"stdin of {process.pid}", daemon=True
    )
    thread.start()
    return thread


@dataclass
class _Output:
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    ended: bool = False


def _collect(
    process: subprocess.Popen[bytes], deadline: float, until: Callable[[bytes], bool] | None
) -> _Output:
    output = _Output()
    with selectors.DefaultSelector() as selector:
        for pipe, target in ((process.stdout, output.stdout), (process.stderr, output.stderr)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, target)
        while selector.get_map():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return output
            ready = selector.select(min(remaining, _QUIET_S))
            if not ready and until is not None and until(b""):
                return output
            for key, _ in ready:
                piece = os.read(key.fd, _CHUNK)
                if not piece:
                    selector.unregister(key.fileobj)
                    continue
                key.data.extend(piece)
                if until is not None and key.data is output.stdout and until(piece):
                    return output
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
        output.ended = True
    except subprocess.TimeoutExpired:
        pass  # it closed its output but lives on: stopped like any other
    return output


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
