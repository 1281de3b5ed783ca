"""Container logs: one file per run of a container, each line with its time.

Lines are stored as ``2026-11-23T01:02:03.000000Z text``. A file that grows beyond the limit is
rotated once (``.1``), as the kubelet keeps a bounded amount. Readers that follow are woken by the
writer: both live in the daemon. It deliberately does not keep stdout and stderr apart.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labkit.embedded.node import timestamps

MAX_FILE_BYTES = 10 * 2**20
MAX_LINE_BYTES = 16 * 2**10


class ContainerLog:
    """The log of one run of a container."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size
        self._rest = b""
        self._changed = asyncio.Event()
        self.closed = False
        self.listeners: set[Callable[[bytes], None]] = set()
        """Told of all output as it comes, unfinished lines too: who is attached."""

    def line(self, text: str) -> None:
        """Append one line (or several, when the text has line breaks)."""
        self.write(text.encode(errors="replace") + b"\n")

    def write(self, data: bytes) -> None:
        """Append raw output; an unfinished line waits for its rest."""
        for listener in tuple(self.listeners):
            listener(data)
        *lines, rest = (self._rest + data).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        self._rest = rest
        if lines:
            self._append(lines)

    def close(self) -> None:
        """Write what is left and end the followers."""
        if self.closed:
            return
        if self._rest:
            self._append([self._rest])
        self.closed = True
        self._file.close()
        self._wake()

    async def changed(self) -> None:
        """Wait for the next line or the end."""
        if not self.closed:
            await self._changed.wait()

    def _append(self, lines: list[bytes]) -> None:
        if self.closed:
            return
        stamp = timestamps.now_micro().encode()
        data = b"".join(b"%s %s\n" % (stamp, line.rstrip(b"\r")) for line in lines)
        with contextlib.suppress(OSError):  # a full disk must not stop the container
            self._file.write(data)
            self._size += len(data)
            if self._size > MAX_FILE_BYTES:
                self._rotate()
        self._wake()

    def _rotate(self) -> None:
        self._file.close()
        self.path.replace(self.path.with_suffix(".log.1"))
        self._file = self.path.open("ab", buffering=0)
        self._size = 0

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass(frozen=True)
class LogQuery:
    """What `kubectl logs` can ask for."""

    follow: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


def stored_lines(path: Path) -> Iterator[bytes]:
    """Every stored line of a log, oldest first, the rotated part included."""
    for part in (path.with_suffix(".log.1"), path):
        with contextlib.suppress(FileNotFoundError), part.open("rb") as file:
            yield from file


def read(path: Path, query: LogQuery) -> list[bytes]:
    """The lines of a log that a query wants (without following)."""
    lines = (line for line in stored_lines(path) if _is_wanted(line, query))
    chosen: list[bytes] = list(
        lines if query.tail_lines is None else deque(lines, maxlen=query.tail_lines)
    )
    return [_shown(line, query) for line in chosen]


async def follow(log: ContainerLog, query: LogQuery) -> AsyncIterator[bytes]:
    """The lines that a query wants, then each new one, until the container ends."""
    offset = log.path.stat().st_size
    inode = log.path.stat().st_ino
    for line in read(log.path, query):
        yield line
    while True:
        waiting = asyncio.ensure_future(log.changed())
        try:
            new, offset, inode = _read_from(log.path, offset, inode)
            for line in new:
                yield _shown(line, query)
            if log.closed:
                return
            if not new:
                await waiting
        finally:
            waiting.cancel()


def _read_from(path: Path, offset: int, inode: int) -> tuple[list[bytes], int, int]:
    now = path.stat()
    lines: list[bytes] = []
    if now.st_ino != inode:  # rotated meanwhile: the rest of the old file first
        with contextlib.suppress(OSError), path.with_suffix(".log.1").open("rb") as old:
            old.seek(offset)
            lines = old.readlines()
        offset = 0
    with path.open("rb") as file:
        file.seek(offset)
        fresh = file.readlines()
    return lines + fresh, offset + sum(map(len, fresh)), now.st_ino


def _is_wanted(line: bytes, query: LogQuery) -> bool:
    if query.since is None:
        return True
    try:
        return timestamps.parse(line.partition(b" ")[0].decode()) >= query.since
    except ValueError:
        return True


def _shown(line: bytes, query: LogQuery) -> bytes:
    return line if query.timestamps else line.partition(b" ")[2]


def tail_text(path: Path, *, lines: int = 80, limit: int = 2048) -> str:
    """The end of a log as text, for a termination message."""
    found = b"".join(read(path, LogQuery(tail_lines=lines)))
    return found[-limit:].decode(errors="replace")
