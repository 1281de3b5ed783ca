"""Leads a sweep: what is left, one attempt after the other, until all points are done.

A point that fails is told, kept and passed by; the same command tries it again. Several failures
in a row end the sweep, because what breaks them all would break the rest, and on a real cloud each
one costs money.
"""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from labkit.clouds import affordable
from labkit.clouds.costs import usd
from labkit.errors import LabkitError, StateError
from labkit.lab import Lab
from labkit.runs.interrupting import terminate_as_interrupt
from labkit.runs.sweep import results
from labkit.runs.sweep.attempt import Job, Outcome
from labkit.runs.sweep.folder import SweepFolder
from labkit.runs.sweep.points import Point, SweepSpec

FAILURES_IN_A_ROW = 3
WAIT_S = 1.0

PARALLEL = "{shared} points shared one machine at the time: figures include each other's load"


class Runner(Protocol):
    """Where points run."""

    @property
    def jobs(self) -> int:
        """How many run at the same time."""

    @property
    def shared(self) -> int:
        """How many run on one machine, as far as is known."""

    @property
    def free(self) -> int:
        """How many more may be started now."""

    def start(self, point: Point, job: Job) -> None:
        """Start an attempt."""

    def wait(self, timeout_s: float) -> list[Outcome]:
        """What ended."""

    def news(self) -> list[str]:
        """What the running points have begun."""

    def stop(self) -> list[Outcome]:
        """End what runs, with its labs."""

    def close(self) -> None:
        """Let go of everything."""


@dataclass(frozen=True)
class SweepResult:
    """How a sweep ended.

    Attributes:
        folder: of the sweep.
        rows: figures of the finished points.
        total: number of points.
        failed: point → reason, of those that failed now and are not done.
        interrupted: whether somebody asked to stop.
    """

    folder: Path
    rows: list[dict[str, Any]]
    total: int
    failed: dict[str, str]
    interrupted: bool

    @property
    def left(self) -> int:
        """Points that are not done."""
        return self.total - len(self.rows)


@dataclass
class _Count:
    """What is known of the whole while it runs."""

    total: int
    done: int
    started: float
    finished_now: int = 0
    running: int = 0

    def __str__(self) -> str:
        left = self.total - self.done - self.running
        text = f"{self.done} of {self.total} done, {self.running} running, {left} left"
        if self.finished_now and self.done < self.total:
            mean_s = (time.monotonic() - self.started) / self.finished_now
            text += f", about {math.ceil(mean_s * (self.total - self.done) / 60)} min"
        return text


def run_sweep(
    spec: SweepSpec, folder: SweepFolder, runner: Runner, *, notebooks: Path | None = None
) -> SweepResult:
    """Run what is not done yet.

    Args:
        spec: what is to be run.
        folder: its folder, held by the caller.
        runner: where.
        notebooks: folder of the notebooks, None for labkit's own.
    """
    points = spec.points()
    for path in folder.adopt_all():
        _say(f"✔ {path.name} had finished already")
    done = folder.done()
    queue = [point for point in points if point.digest not in done]
    count = _Count(len(points), len(points) - len(queue), time.monotonic())
    if queue:
        _say(f"sweep {folder.id}: {count}; folder {folder.root}")
    lead = _Lead(folder, runner, count, notebooks)
    interrupted = False
    try:
        with terminate_as_interrupt(), _closing(runner):
            try:
                lead.work(queue)
            except KeyboardInterrupt:
                interrupted = True
                _say("interrupted: taking down the labs of the running points")
                runner.stop()
    finally:
        rows = results.write(folder)
    return SweepResult(folder.root, rows, len(points), lead.failed, interrupted)


class _Lead:
    """Starts points while there is room, and tells how each ended."""

    def __init__(
        self, folder: SweepFolder, runner: Runner, count: _Count, notebooks: Path | None
    ) -> None:
        self._folder = folder
        self._runner = runner
        self._count = count
        self._notebooks = notebooks
        self._in_a_row = 0
        self.failed: dict[str, str] = {}

    def work(self, queue: Sequence[Point]) -> None:
        """Run these points, or as many as make sense."""
        waiting = list(queue)
        while waiting or self._count.running:
            while waiting and self._runner.free > 0:
                self._start(waiting.pop(0))
            for outcome in self._runner.wait(WAIT_S):
                self._take(outcome)
            for line in self._runner.news():
                _say(f"  {line}")
            if self._in_a_row >= FAILURES_IN_A_ROW and (waiting or self._count.running):
                _say(f"{self._in_a_row} points failed in a row: the rest is not tried")
                self._runner.stop()
                return

    def _start(self, point: Point) -> None:
        if self._folder.attempts(point):
            _say(f"… {point.name}: looking for what an earlier attempt left, and ending it")
        try:
            self._runner.start(
                point, _job(point, self._folder, self._notebooks, self._runner.shared)
            )
        except LabkitError as error:  # what an earlier attempt left cannot be ended
            self._take(Outcome(point.name, point.digest, "failed", str(error), 0.0))
            return
        self._count.running += 1
        _say(f"▶ {point.name}: {self._count}")

    def _take(self, outcome: Outcome) -> None:
        count = self._count
        count.running = max(0, count.running - 1)
        if outcome.status == "finished":
            self._in_a_row = 0
            count.done += 1
            count.finished_now += 1
            _say(f"✔ {outcome.point} ({outcome.seconds:.0f} s): {count}")
        else:
            self._in_a_row += 1
            self.failed[outcome.point] = outcome.error
            _say(f"✘ {outcome.point} {outcome.status} ({outcome.seconds:.0f} s): {outcome.error}")


def _job(point: Point, folder: SweepFolder, notebooks: Path | None, shared: int) -> Job:
    return Job(
        sweep=folder.id,
        point=point.name,
        digest=point.digest,
        params=point.params.model_dump(mode="json"),
        run_name=folder.run_name(point),
        notebooks=None if notebooks is None else str(notebooks.resolve()),
        caveats=(PARALLEL.format(shared=shared),) if shared > 1 else (),
    )


@contextmanager
def _closing(runner: Runner) -> Iterator[None]:
    try:
        yield
    finally:
        runner.close()


def require_consent_to_all(lab: Lab, number: int) -> str:
    """The quote of a sweep, when it was agreed to; empty where nothing is billed.

    Args:
        lab: of one of the points; all cost the same.
        number: how many points.

    Raises:
        StateError: nobody has agreed, or one lab is above the cap; nothing was created.
    """
    if not lab.cloud.bills:
        return ""
    quote = affordable(lab.cloud, lab.params)
    life = lab.params.ttl_hours
    text = (
        f"{number} points, each a lab of its own: {usd(quote.usd_per_hour * number)} USD at list "
        f"prices when each takes an hour, at most {usd(quote.usd_for(life) * number)} USD when "
        f"each lives for its {life:g} hours"
    )
    if not lab.params.approve_cost:
        raise StateError(
            "Nobody has agreed to the cost of this sweep; nothing was created",
            seen=text,
            fix="`labkit sweep --yes`; --plan lists the points",
        )
    return text


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
