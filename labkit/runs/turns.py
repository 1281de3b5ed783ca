"""Who may work and who may measure, where several runs share a machine.

Any number may work at the same time: build, draw, clean up. One may measure, while all others
stand still, with their labs up. Who waits for measuring comes before who wants to go on working.
The system takes back what a killed process held.
"""

import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

Turn = AbstractContextManager[object]

LOOK_S = 0.2
"""How often somebody looks whether a measurement is over."""

STAND_ASIDE_S = 0.2
"""After measuring, so that whoever waits for that, too, comes first."""


class Turns:
    """No others: every turn comes at once."""

    def working(self) -> Turn:
        """A turn for anything that loads the machine."""
        return nullcontext()

    def measuring(self, over: Callable[[], bool]) -> Turn:
        """A turn in which nobody else works, until the measurement is over.

        Args:
            over: whether it is; what follows in the same turn is work like any other.
        """
        del over
        return nullcontext()


ALONE = Turns()


class SharedTurns(Turns):
    """Turns of the processes that name the same folder.

    Args:
        folder: an existing one.
        waiting: called when a turn does not come at once.
    """

    def __init__(self, folder: Path, waiting: Callable[[], None] = lambda: None) -> None:
        self._door, self._room = folder / "turns.door", folder / "turns.room"
        self._waiting = waiting

    @contextmanager
    def working(self) -> Iterator[None]:
        """Go in through the door, and leave it open for others."""
        with ExitStack() as inside:
            with self._held(self._door, fcntl.LOCK_EX):
                inside.enter_context(self._held(self._room, fcntl.LOCK_SH))
            yield

    @contextmanager
    def measuring(self, over: Callable[[], bool]) -> Iterator[None]:
        """Keep the door shut until the room is empty, and then until it is over."""
        with ExitStack() as inside, ExitStack() as alone:
            alone.enter_context(self._held(self._door, fcntl.LOCK_EX))
            room = inside.enter_context(self._held(self._room, fcntl.LOCK_EX))
            ended = threading.Event()

            def open_up() -> None:
                while not ended.wait(LOOK_S):
                    if over():
                        fcntl.flock(room, fcntl.LOCK_SH)  # first: nobody else is at the room
                        alone.close()
                        return

            looking = threading.Thread(target=open_up, name="turn", daemon=True)
            looking.start()
            try:
                yield
            finally:
                ended.set()
                looking.join()
        time.sleep(STAND_ASIDE_S)

    @contextmanager
    def _held(self, path: Path, how: int) -> Iterator[TextIO]:
        with path.open("a") as file:
            try:
                fcntl.flock(file, how | fcntl.LOCK_NB)
            except BlockingIOError:
                self._waiting()
                fcntl.flock(file, how)
            yield file
