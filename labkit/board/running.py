"""Runs a board: once, again and again on a terminal, or with a collector of its own.

The only module of the board that writes to the terminal. A round that fails to read something says
so on the board and goes on.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from labkit.board.collector import CollectorApp, collecting
from labkit.board.gathering import INSTRUCTOR, Gathered, gather
from labkit.board.keeping import Kept
from labkit.board.showing import room_page, room_text, write_page
from labkit.board.standing import Known, Room, stand
from labkit.inventory import all_checks, exercise_checks

EVERY_S = 5.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Board:
    """What a board is made of.

    Attributes:
        sources: folders and addresses of collectors.
        password: of those collectors.
        plan: chapter → minutes.
        html: where each round's page goes, or None.
        every_s: seconds between two rounds.
    """

    sources: Sequence[str]
    plan: Mapping[str, float]
    password: str = field(default="", repr=False)
    html: Path | None = None
    every_s: float = EVERY_S

    def room(self, more: Gathered | None = None) -> Room:
        """Read everything once.

        Args:
            more: learners that came another way.
        """
        found = gather(self.sources, password=self.password)
        gathered = Gathered.merged([more or Gathered(), found])
        known = [*all_checks(), *exercise_checks()]
        checks = {check.id: Known(check.title, check.fix) for check in known}
        return stand(gathered, plan=self.plan, checks=checks, now=datetime.now(UTC))

    def round(self, more: Gathered | None = None) -> Room:
        """One round: read, and write the page when one is wanted.

        Raises:
            StateError: the page cannot be written.
        """
        room = self.room(more)
        if self.html is not None:
            write_page(self.html, room_page(room, refresh_s=max(1, round(self.every_s))))
        return room


def watch(board: Board) -> None:
    """Show the board again and again, until Ctrl-C.

    Raises:
        StateError: the page cannot be written.
    """
    with _screen() as show:
        while True:
            show(room_text(board.round()))
            time.sleep(board.every_s)


@contextmanager
def _screen() -> Iterator[Callable[[str], None]]:
    """A terminal whose text is replaced in place; elsewhere each text follows the last one."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda text: _say(f"{text}\n")
        return
    with Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        yield lambda text: live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)


def serve(board: Board, *, state: Path, host: str, port: int) -> None:
    """Collect by HTTP and show the board, until Ctrl-C or SIGTERM.

    Args:
        board: its own sources are shown beside what comes in.
        state: folder of the collector.
        host: address to listen on.
        port: 0 takes a free one.

    Raises:
        StateError: the address or the folder cannot be had, or the page cannot be written.
    """
    kept = Kept(state)
    try:
        asyncio.run(_serve(board, kept, host=host, port=port))
    finally:
        kept.close()


async def _serve(board: Board, kept: Kept, *, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    app = CollectorApp(kept, show=board.room).application()
    async with collecting(app, host, port) as listening:
        head = invitation(kept, host, listening)
        _say(head)
        if sys.stdout.isatty():
            with _screen() as show:
                await _rounds(board, kept, stop, lambda room: show(f"{head}\n\n{room_text(room)}"))
        elif board.html is not None:
            await _rounds(board, kept, stop, lambda _room: None)
        else:
            await stop.wait()
    _say("the board has ended; the same command goes on with the same learners and code")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def _rounds(
    board: Board, kept: Kept, stop: asyncio.Event, show: Callable[[Room], None]
) -> None:
    while not stop.is_set():
        show(await asyncio.to_thread(board.round, kept.gathered()))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), board.every_s)


def invitation(kept: Kept, host: str, port: int) -> str:
    """What the room needs to join; the instructor's password is not for the projector."""
    password = f"in {kept.folder / 'board.json'}"
    lines = [
        *(f"join:  labkit progress --join {url}" for url in addresses(host, port)),
        f"code:  {kept.credentials.join_code}",
        f"page:  the same address in a browser, user {INSTRUCTOR}, password: {password}",
    ]
    if host not in _LOOPBACK:
        lines.append("note:  no TLS: others on this network can read the code, names and progress")
    else:
        lines.append("note:  this machine only; --host 0.0.0.0 is for the room's network")
    return "\n".join(lines)


def addresses(host: str, port: int) -> list[str]:
    """Under which URLs a collector can be reached; `0.0.0.0` is all addresses of this machine."""
    import socket

    import psutil

    found = [host]
    if host == "0.0.0.0":
        found = [
            item.address
            for items in psutil.net_if_addrs().values()
            for item in items
            if item.family == socket.AF_INET and not item.address.startswith("127.")
        ] or ["127.0.0.1"]
    return [f"http://[{a}]:{port}" if ":" in a else f"http://{a}:{port}" for a in found]
