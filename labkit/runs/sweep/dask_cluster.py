"""Points on a Dask cluster: each is a task, its run folder comes back as an archive.

A worker runs a point as this machine would, in a process with a lab of its own below its own
LABKIT_HOME; no file system is shared. When a worker dies, the scheduler gives its point to another
one, as often as its `allowed-failures` permits; only the archive that arrives counts. To stop, an
event is set that every worker looks at, because Dask does not interrupt a task that runs.
"""

import io
import logging
import shutil
import signal
import tarfile
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from labkit.errors import InputError, StateError
from labkit.runs.sweep.attempt import STOP_TIMEOUT_S, Attempt, Job, Outcome
from labkit.runs.sweep.folder import SweepFolder, sweep_home
from labkit.runs.sweep.points import Point

LOCAL = "local"
LOOK_S = 0.5
ASK_S = 2.0
CONNECT_TIMEOUT_S = 30


@dataclass(frozen=True)
class Delivery:
    """What a worker sends back.

    Attributes:
        outcome: how it ended.
        archive: the attempt's folder, tar and gzip; empty when it was not begun.
        worker: address of the worker.
    """

    outcome: Outcome
    archive: bytes
    worker: str


def run_on_worker(job: Job, stop: str) -> Delivery:
    """Run a point on this worker.

    Args:
        job: what to do.
        stop: name of the event that asks to end.
    """
    distributed: Any = import_module("distributed")
    here = distributed.get_worker().address
    event = distributed.Event(stop)
    if event.is_set():  # it waited in this worker's queue
        return Delivery(Outcome(job.point, job.digest, "interrupted", "not begun", 0.0), b"", here)
    parent = sweep_home(job.sweep) / "attempts"
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob(f"{job.digest}-*"):  # of a killed worker of this machine
        shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{job.digest}-", dir=parent))
    try:
        attempt = Attempt(job, folder)
        asked = time.monotonic()
        while (outcome := attempt.poll()) is None:
            time.sleep(LOOK_S)
            if time.monotonic() - asked > ASK_S:
                asked = time.monotonic()
                if event.is_set():
                    outcome = attempt.stop()
                    break
        return Delivery(outcome, _packed(folder), here)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        archive.add(folder, arcname=".")
    return buffer.getvalue()


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes that are started meanwhile ignore Ctrl-C: a terminal sends it to them as well."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class DaskRunner:
    """Attempts as tasks of a Dask cluster.

    Args:
        folder: of the sweep.
        scheduler: `tcp://host:port`, or `local` for a cluster on this machine.
        jobs: workers of a local cluster.

    Raises:
        InputError: dask.distributed is not installed.
        StateError: the scheduler does not answer.
    """

    def __init__(self, folder: SweepFolder, scheduler: str, jobs: int) -> None:
        try:
            distributed: Any = import_module("distributed")
        except ImportError as error:
            raise InputError(
                "A sweep on a Dask cluster needs the package `distributed`",
                fix="pip install 'labkit[dask]'",
            ) from error
        self._folder = folder
        self._cluster: Any = None
        if scheduler == LOCAL:
            with _deaf_to_ctrl_c():
                self._cluster = distributed.LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    host="127.0.0.1",
                    security=True,  # certificates of its own: others on this machine get no shell
                    silence_logs=logging.ERROR,
                )
        try:
            self._client: Any = distributed.Client(
                self._cluster or scheduler, timeout=CONNECT_TIMEOUT_S, set_as_default=False
            )
        except (OSError, ValueError, TypeError) as error:
            raise StateError(
                f"The Dask scheduler {scheduler} does not answer",
                seen=str(error),
                fix="give its address as --scheduler tcp://host:8786",
            ) from error
        self._event = distributed.Event(f"labkit-stop-{uuid4().hex}", client=self._client)
        self._points: dict[Any, Point] = {}

    @property
    def jobs(self) -> int:
        """How many points the cluster runs at the same time now."""
        return max(1, sum(map(int, self._client.nthreads().values())))

    @property
    def shared(self) -> int:
        """Most threads of workers with one address: points that may run on one machine."""
        hosts: Counter[str] = Counter()
        for address, threads in self._client.nthreads().items():
            hosts[urlsplit(address).hostname or ""] += int(threads)
        return max(hosts.values(), default=1)

    @property
    def free(self) -> int:
        """Any number: the scheduler keeps the queue, so that an adaptive cluster can grow."""
        return 1_000_000

    def start(self, point: Point, job: Job) -> None:
        """Hand a point to the scheduler."""
        future = self._client.submit(
            run_on_worker, job, self._event.name, key=f"{point.name}-{uuid4().hex}", pure=False
        )
        self._points[future] = point

    def wait(self, timeout_s: float) -> list[Outcome]:
        """What ended; at the latest after the time-out, then perhaps nothing."""
        give_up = time.monotonic() + timeout_s
        while self._points:
            ended = [future for future in self._points if future.done()]
            if ended or time.monotonic() > give_up:
                return [self._end(future) for future in ended]
            time.sleep(LOOK_S)
        return []

    def _end(self, future: Any) -> Outcome:
        point = self._points.pop(future)
        if future.status != "finished":
            error = future.exception() if future.status == "error" else "cancelled"
            return Outcome(point.name, point.digest, "failed", f"on its worker: {error}", 0.0)
        delivery: Delivery = future.result()
        if not delivery.archive:
            return delivery.outcome
        folder = self._folder.new_attempt(point)
        with tarfile.open(fileobj=io.BytesIO(delivery.archive), mode="r:gz") as archive:
            archive.extractall(folder, filter="data")
        if delivery.outcome.status == "finished":
            self._folder.adopt(folder)
        return delivery.outcome

    def news(self) -> list[str]:
        """Nothing: the logs are on the workers until they come back."""
        return []

    def stop(self) -> list[Outcome]:
        """End what runs, with its labs; what waits is taken back."""
        self._event.set()
        waiting = self._client.processing()
        running = {key for keys in waiting.values() for key in keys}
        for future in [future for future in self._points if future.key not in running]:
            future.cancel()
            del self._points[future]
        outcomes = []
        give_up = time.monotonic() + STOP_TIMEOUT_S + ASK_S
        while self._points and self._client.nthreads() and time.monotonic() < give_up:
            outcomes += self.wait(LOOK_S)
        return outcomes

    def close(self) -> None:
        """Let go of the cluster; a local one ends."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
