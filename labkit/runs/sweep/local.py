"""Points on this machine, one after the other or several at a time.

A point that has measured only draws, checks and cleans up. Where the clusters are the lab's own and
cost nothing, the next point starts beside that: its lab is long in coming, and nothing is measured
meanwhile.
"""

import time
from contextlib import suppress
from pathlib import Path

from labkit.runs.sweep.attempt import Attempt, Job, Outcome
from labkit.runs.sweep.folder import SweepFolder
from labkit.runs.sweep.points import Point

POLL_S = 0.2


class LocalRunner:
    """Attempts as processes of this machine.

    Args:
        folder: of the sweep.
        jobs: how many at the same time.
        overlap: start the next point when one has measured, not when it has ended.
    """

    def __init__(self, folder: SweepFolder, jobs: int, *, overlap: bool = False) -> None:
        self._folder = folder
        self._overlap = overlap
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
        ending = sum(attempt.measured for attempt in self._running) if self._overlap else 0
        return self.jobs - len(self._running) + min(ending, self.jobs)

    def start(self, point: Point, job: Job) -> None:
        """Start an attempt at a point."""
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
