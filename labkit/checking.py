"""Running checks: a few at a time, each within its bound, and none skipped because another failed.

A check that fails for what may still come up by itself (a rollout, the first answer of a probe) is
looked at again until it holds or its time is over, unless only one look is wanted. A look that
hangs is left behind at the check's bound, with a reason. Nothing is repaired here.
"""

import logging
import queue
import threading
import time
from collections.abc import Iterable
from contextvars import copy_context

from labkit.checks import Check, Finding, Outcome, Report, failed
from labkit.context import LabContext
from labkit.errors import KubernetesError, LabkitError
from labkit.progress import Progress

logger = logging.getLogger(__name__)

AT_A_TIME = 4
"""Most checks wait for an answer; more at a time would only wait for the processor."""

AGAIN_S = 1.0
"""Pause between two looks at what is coming up."""

SILENT_S = 2.0
"""What takes longer says what it waits for."""

_SERVER_ERROR = 500


def run_checks(lab: LabContext, checks: Iterable[Check], *, wait: bool = True) -> Report:
    """Run checks, a few at a time; none is skipped because another failed.

    Args:
        lab: the lab.
        checks: what to run.
        wait: look again at what is still coming up, until a check's bound; else look once.
    """
    ended: queue.SimpleQueue[_Run] = queue.SimpleQueue()
    runs = [_Run(check, ended) for check in checks]
    left, going = list(runs), set[_Run]()
    shown = _Waiting()
    try:
        while left or going:
            while left and len(going) < AT_A_TIME:
                run = left.pop(0)
                run.start(lab, wait=wait)
                going.add(run)
            going -= {_next(ended)} | {run for run in going if run.is_over()}
            shown.update(going)
            for error in (run.interrupted for run in runs if run.interrupted):
                raise error  # an interruption is no finding
    finally:
        for run in going:
            run.stopped.set()
    return shown.end(Report(tuple(run.outcome() for run in runs)))


def _next(ended: "queue.SimpleQueue[_Run]") -> "_Run | None":
    try:
        return ended.get(timeout=AGAIN_S / 4)
    except queue.Empty:
        return None


class _Run:
    """One check while it runs, in a thread that may be left behind."""

    def __init__(self, check: Check, ended: "queue.SimpleQueue[_Run]") -> None:
        self.check, self.ended = check, ended
        self.seen: Finding | None = None
        self.stopped = threading.Event()
        self.interrupted: BaseException | None = None
        self.started = 0.0

    def start(self, lab: LabContext, *, wait: bool) -> None:
        self.started = time.monotonic()
        # A daemon: a look that hangs must not keep the command from ending.
        run, name = copy_context().run, f"check {self.check.id}"
        threading.Thread(target=run, args=(self._work, lab, wait), name=name, daemon=True).start()

    @property
    def left_s(self) -> float:
        """Seconds until its bound."""
        return self.started + self.check.limit_s - time.monotonic()

    def is_over(self) -> bool:
        """Whether its time is over; then it is left behind, and what it saw last counts."""
        if self.left_s <= 0:
            self.stopped.set()
        return self.stopped.is_set()

    def _work(self, lab: LabContext, wait: bool) -> None:  # noqa: FBT001 - of a thread
        try:
            while not self.stopped.is_set():
                found = look(lab, self.check)
                if not self.stopped.is_set():
                    self.seen = found
                if not (wait and found.coming and self.left_s > AGAIN_S):
                    break
                self.stopped.wait(AGAIN_S)
        except BaseException as error:  # noqa: BLE001 - raised where the report is awaited
            self.interrupted = error
        finally:
            self.stopped.set()
            self.ended.put(self)

    def outcome(self) -> Outcome:
        """What it saw last."""
        check, limit = self.check, f"{self.check.limit_s:g} s"
        seen = self.seen or failed(f"no answer within {limit}; the check was left")
        logger.debug("check %s: %s, %s", check.id, seen.status, seen.reason)
        fix = seen.fix or check.fix
        return Outcome(check.id, check.title, check.clusters, seen.status, seen.reason, fix)


def look(lab: LabContext, check: Check) -> Finding:
    """Look once; whatever goes wrong is a finding."""
    try:
        return check.look(lab)
    except LabkitError as error:
        reason = str(LabkitError(error.what, seen=error.seen))
        return Finding("fail", reason, fix=error.fix, coming=_passes(error))
    except Exception as error:  # one broken check must not hide the others
        logger.debug("check %s broke", check.id, exc_info=True)
        return failed(f"the check itself broke: {type(error).__name__}: {error}")


def _passes(error: LabkitError) -> bool:
    """Whether an error is trouble of an API server's that passes by itself."""
    if not isinstance(error, KubernetesError):
        return False
    return error.status is None or error.status >= _SERVER_ERROR


class _Waiting:
    """Progress of what takes longer than a moment: which checks are awaited, and what they saw."""

    def __init__(self) -> None:
        self._progress = Progress("Checking")
        self._said = False

    def update(self, going: Iterable[_Run]) -> None:
        for run in sorted(going, key=lambda run: run.check.id):
            if run.check.limit_s - run.left_s < SILENT_S:
                continue
            seen = f"not yet: {run.seen.reason}" if run.seen else "looking"
            self._progress.update(f"{seen} (up to {run.check.limit_s:g} s)", key=run.check.id)
            self._said = True

    def end(self, report: Report) -> Report:
        if self._said:
            good = sum(outcome.status == "pass" for outcome in report.outcomes)
            self._progress.done(f"{good} of {len(report.outcomes)} hold")
        return report
