"""Follows the robot's requests by tap, as long as somebody looks.

Tap follows pods, not Deployments: in silence the pod is looked at, and the stream is opened anew
when it is another one. What was seen last stays, so that silence can be told from absence.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.traffic import BOT
from labkit.clients.tap import TapRequest
from labkit.context import WEST, LabContext
from labkit.dashboard.polling import Attention
from labkit.dashboard.reading import can_be_tapped
from labkit.dashboard.snapshot import Tapped
from labkit.errors import LabkitError

logger = logging.getLogger(__name__)

KEPT = 200
SILENT_S = 2.0
"""After so long without a request the pod is looked at."""
_LONG_S = 600.0
_PAUSES_S = (2.0, 4.0, 8.0)
"""Pauses between streams that showed nothing; each costs a process."""
_JOIN_S = 5.0


class Follower:
    """The stream of one lab.

    Args:
        current: gives the lab as it is now, or raises a `LabkitError`.
        attention: nothing is followed without it.
    """

    def __init__(self, current: Callable[[], LabContext], attention: Attention) -> None:
        self._current = current
        self._attention = attention
        self._kept: deque[TapRequest] = deque(maxlen=KEPT)
        self._last = self._looked = 0.0
        self._since: float | None = None
        self.problem = ""
        self._thread = threading.Thread(target=self._run, name="follow tap", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end of the stream and its process."""
        self._thread.join(_JOIN_S)

    def forget(self) -> None:
        """Drop what was seen: it was of another lab."""
        self._kept.clear()

    @property
    def seen(self) -> Tapped:
        """What is known now."""
        return Tapped(tuple(self._kept), self._since)

    def _run(self) -> None:
        fruitless = 0
        while self._attention.wait():
            before = self._last
            try:
                lab = self._current()
                self.problem = ""
                if can_be_tapped(lab, BOT):
                    self._follow(lab)
            except LabkitError as error:
                self.problem = str(error)
            except Exception:
                logger.debug("tap broke", exc_info=True)
            fruitless = 0 if self._last > before else min(fruitless + 1, len(_PAUSES_S))
            if fruitless:
                self._attention.ended.wait(_PAUSES_S[fruitless - 1])

    def _follow(self, lab: LabContext) -> None:
        kubernetes = lab.kubernetes(WEST)

        def take(requests: Sequence[TapRequest]) -> bool:
            now = time.time()
            if requests:
                self._last = now
                self._since = self._since or now
                self._kept.extend(requests)
            elif now - max(self._last, self._looked) > SILENT_S:
                self._looked = now
                if kubernetes.pod_of(NAMESPACE, f"deploy/{BOT}") != pod:
                    return True
            return not self._attention.given

        pod = kubernetes.pod_of(NAMESPACE, f"deploy/{BOT}")
        try:
            lab.linkerd(WEST).follow_tap(f"deploy/{BOT}", NAMESPACE, seen=take, duration_s=_LONG_S)
        finally:
            self._since = None
