"""Reads one thing again and again in a thread of its own, so that what hangs holds up nothing else.

Nothing is read while nobody looks. A reading that fails leaves the last value and says why.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from labkit.errors import LabkitError

logger = logging.getLogger(__name__)

IDLE_S = 20.0
"""So long after the last look nothing is read any more."""
_JOIN_S = 5.0

Value = TypeVar("Value")


class Attention:
    """Whether somebody looks, and whether the end has come."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._wake = threading.Condition()
        self._last = 0.0

    def look(self) -> None:
        """Somebody looks."""
        with self._wake:
            self._last = time.monotonic()
            self._wake.notify_all()

    def end(self) -> None:
        """Let every wait return."""
        self.ended.set()
        with self._wake:
            self._wake.notify_all()

    @property
    def given(self) -> bool:
        """Whether somebody has looked in the last seconds."""
        return not self.ended.is_set() and time.monotonic() - self._last < IDLE_S

    def wait(self) -> bool:
        """Wait until somebody looks; False at the end."""
        with self._wake:
            self._wake.wait_for(lambda: self.given or self.ended.is_set())
        return not self.ended.is_set()


@dataclass(frozen=True)
class Reading(Generic[Value]):
    """What a poll knows.

    Attributes:
        value: of the last reading that worked, None before.
        at_s: when that was, Unix seconds, 0 before.
        problem: why the newest reading did not work; empty when it did.
    """

    value: Value | None = None
    at_s: float = 0.0
    problem: str = ""


class Poll(Generic[Value]):
    """One thing that is read again and again.

    Args:
        name: what it is.
        read: reads it; a `LabkitError` is a problem to be shown.
        period_s: pause between two readings in seconds.
        attention: nothing is read without it.
    """

    def __init__(
        self, name: str, read: Callable[[], Value], *, period_s: float, attention: Attention
    ) -> None:
        self.name = name
        self.reading: Reading[Value] = Reading()
        self._read = read
        self._period_s = period_s
        self._attention = attention
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"poll {name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end, but not for a server that does not answer."""
        self._asked.set()
        self._thread.join(_JOIN_S)

    def ask(self) -> None:
        """Read again at once."""
        self._asked.set()

    def forget(self) -> None:
        """Drop what is known: it was of another lab."""
        self.reading = Reading()

    def _run(self) -> None:
        while self._attention.wait():
            self._asked.clear()
            self.reading = self._again()
            self._asked.wait(self._period_s)

    def _again(self) -> Reading[Value]:
        try:
            return Reading(self._read(), time.time())
        except LabkitError as error:
            problem = str(error)
        except Exception as error:  # one reading that breaks must not end the view
            logger.debug("reading %s broke", self.name, exc_info=True)
            problem = f"{type(error).__name__}: {error}"
        return Reading(self.reading.value, self.reading.at_s, problem)
