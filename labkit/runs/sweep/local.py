"""Points on this machine, one after the other or several at a time.

A lab is long in coming, and its point draws and cleans up when it has measured. Where the clusters
are the lab's own and cost nothing, two points are under way, and take turns: while one measures,
the other stands still.
"""

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from labkit.runs.sweep.attempt import Attempt, Job, Outcome
from labkit.runs.sweep.folder import SweepFolder
from labkit.runs.sweep.points import Point

POLL_S = 0.2
Second = Literal["never", "measured", "standing"]
"""When a second lab may be up: never, beside one that has measured, or while one does."""


class LocalRunner:
    """Attempts as processes of this machine.

    Args:
        folder: of the sweep.
        jobs: how many at the same time.
        second: with one at a time, when a second one may be under way.
    """

    def __init__(self, folder: SweepFolder, jobs: int, *, second: Second = "never") -> None:
        self._folder = folder
        self._second = second if jobs == 1 else "never"
        self.jobs = jobs
        self._running: list[Attempt] = []
        self._read: dict[Path, int] = {}

    @property
    def shared(self) -> int:
        """All of them run here."""
        return self.jobs

    @property
    def free(self) -> int:
        """How many more points may be started now."""
        free = self.jobs - len(self._running)
        if self._second == "standing":
            return free + 1
        if self._second == "measured":
            return free + min(1, sum(attempt.measured for attempt in self._running))
        return free

    def start(self, point: Point, job: Job) -> None:
        """Start an attempt at a point."""
        if self._second != "never":
            job = replace(job, turns=str(self._folder.root))
        self._running.append(Attempt(job, self._folder.new_attempt(point)))

    def wait(self, timeout_s: float) -> list[Outcome]:
        """What ended; at the latest after the time-out, then perhaps nothing."""
        give_up = time.monotonic() + timeout_s
        while self._running:
            ended = [(attempt, outcome) for attempt in self._running if (outcome := attempt.poll())]
            if ended or self.free > 0 or time.monotonic() > give_up:
                return [self._end(attempt, outcome) for attempt, outcome in ended]
            time.sleep(POLL_S)
        return []

    def _end(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        self._running.remove(attempt)
        if outcome.status == "finished":
            self._folder.adopt(attempt.folder)
        return outcome

    def news(self) -> list[str]:
        """What the running points have begun since the last question."""
        found = []
        for attempt in self._running:
            log = attempt.folder / attempt.job.run_name / "run.log"
            with suppress(OSError):
                text = log.read_text()
                new = text[self._read.get(log, 0) :]
                self._read[log] = len(text)
                found += [
                    f"{attempt.job.point}: {line[9:]}"
                    for line in new.splitlines()
                    if line[9:10] == "▶"
                ]
        return found

    def stop(self) -> list[Outcome]:
        """End what runs, with its labs."""
        for attempt in self._running:
            attempt.ask_to_stop()
        outcomes = [attempt.stop() for attempt in self._running]
        self._running.clear()
        return outcomes

    def close(self) -> None:
        """Nothing to close."""
