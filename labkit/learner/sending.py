"""Sends the learner's record in the background: a learner never waits for a board.

One thread a lab and process, started at the first change. It sends the newest record only, tries
again with growing pauses for half an hour, and says once that the board is away. A process that
ends waits a moment for what is on its way; what did not arrive goes with the next change.
"""

import atexit
import logging
import threading
import time
from collections.abc import Callable

from labkit.errors import BoardError
from labkit.folder import LabFolder
from labkit.learner.record import LearnerRecord
from labkit.learner.sharing import note_delivery, read_sharing

logger = logging.getLogger(__name__)

PAUSES_S = (1.0, 2.0, 5.0, 15.0, 30.0)
"""Between tries; the last one repeats."""
TRY_FOR_S = 1800.0
AT_THE_END_S = 4.0
"""A command that ends waits for its delivery this long, a quarter when the board was away."""

_senders: dict[str, "Sender"] = {}
_turn = threading.Lock()


def send_soon(folder: LabFolder, record: LearnerRecord) -> None:
    """Send a record when the learner shares it; returns at once."""
    if not folder.sharing_file.exists():
        return
    with _turn:
        sender = _senders.get(str(folder.root))
        if sender is None:
            sender = _senders[str(folder.root)] = Sender(folder)
            atexit.register(sender.finish)
    sender.send(record)


class Sender:
    """Delivers the newest record of one lab.

    Args:
        folder: of the lab.
        pauses_s: between tries.
        say: tells the learner.
    """

    def __init__(
        self,
        folder: LabFolder,
        *,
        pauses_s: tuple[float, ...] = PAUSES_S,
        say: Callable[[str], None] = logger.warning,
    ) -> None:
        self._folder = folder
        self._pauses_s = pauses_s
        self._say = say
        self._news = threading.Condition()
        self._pending: LearnerRecord | None = None
        self._closing = False
        self._thread: threading.Thread | None = None

    def send(self, record: LearnerRecord) -> None:
        """Deliver this record next, in the place of one that still waits."""
        with self._news:
            self._pending = record
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._work, name=f"board {self._folder.root.name}", daemon=True
                )
                self._thread.start()
            self._news.notify()

    def finish(self) -> None:
        """Wait a moment for what is on its way, then give up; it goes with the next change."""
        with self._news:
            self._closing = True
            self._news.notify()
        if self._thread is not None:
            away = read_sharing(self._folder).away
            self._thread.join(AT_THE_END_S / 4 if away else AT_THE_END_S)

    def _work(self) -> None:
        give_up, tries = time.monotonic() + TRY_FOR_S, 0
        while True:
            with self._news:
                record = self._pending
                if record is None:
                    self._thread = None
                    return
            pause = self._try(record, tries)
            tries += 1
            with self._news:
                if pause is None or time.monotonic() > give_up:
                    if self._pending is record:
                        self._pending = None
                    tries, give_up = 0, time.monotonic() + TRY_FOR_S
                elif self._closing or (self._news.wait(pause) and self._closing):
                    return

    def _try(self, record: LearnerRecord, tries: int) -> float | None:
        """Deliver once; the pause before the next try, None when there is to be none."""
        try:
            try:
                read_sharing(self._folder).deliver(record)
            except BoardError as error:
                if note_delivery(self._folder, away=error.seen or error.what):
                    self._say(f"{error} Your work goes on; it will be sent again later.")
                if error.retry_after_s is None:
                    return None
                pause = self._pauses_s[min(tries, len(self._pauses_s) - 1)]
                return max(pause, error.retry_after_s) if error.status == 429 else pause
            note_delivery(self._folder, sent=record.revision)
        except OSError as error:  # the lab's own folder is gone or full: nothing to be done here
            logger.debug("the delivery could not be noted: %s", error)
        return None
