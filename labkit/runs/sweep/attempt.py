"""One attempt at a point: a process of its own that runs the walk, watched and ended from here.

The process is a session of its own, so that Ctrl-C reaches it through its starter only; it takes
its lab down when it is asked to end and when its starter dies. What a killed attempt has left on
this machine is known by an environment variable and by the lab's folder, and ended before the next
attempt at the same point.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from labkit.chapters.latency import MEASUREMENT
from labkit.errors import StateError
from labkit.folder import LabFolder
from labkit.runs.sweep.folder import sweep_home

MARKER = "LABKIT_SWEEP_POINT"
"""Environment of every process of an attempt: the sweep's id and the point's digest."""

CHILD = "labkit.runs.sweep.child"
STOP_TIMEOUT_S = 180.0
"""A teardown on a real cloud takes a minute or two."""

LOG = "attempt.log"

Status = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True)
class Job:
    """What the process is told.

    Attributes:
        sweep: id of the sweep.
        point: name of the point.
        digest: of the point.
        params: of the lab.
        run_name: of the run folder.
        notebooks: folder of the notebooks, None for labkit's own.
        caveats: go to the run's warnings.
        turns: folder of the turns of all that share the machine; None for nobody.
    """

    sweep: str
    point: str
    digest: str
    params: dict[str, Any]
    run_name: str
    notebooks: str | None
    caveats: tuple[str, ...]
    turns: str | None = None

    @property
    def marker(self) -> str:
        """Value of `MARKER`."""
        return f"{self.sweep}/{self.digest}"

    def to_json(self) -> str:
        """As the process reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Back from `to_json`."""
        values = json.loads(text)
        return cls(**{**values, "caveats": tuple(values["caveats"])})


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        point: name of the point.
        digest: of the point.
        status: `finished`, `failed` or `interrupted`.
        error: what ended it early, empty when nothing did.
        seconds: how long it took.
    """

    point: str
    digest: str
    status: Status
    error: str
    seconds: float


class Attempt:
    """A running attempt.

    Args:
        job: what to do.
        folder: an empty folder for it, which gets the run folder and a log.
    """

    def __init__(self, job: Job, folder: Path) -> None:
        end_leftovers(job)
        self.job = job
        self.folder = folder
        self._started = time.monotonic()
        (folder / "job.json").write_text(job.to_json())
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LABKIT_")}
        with (folder / LOG).open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", CHILD, str(folder / "job.json")],
                env={
                    **kept,
                    "LABKIT_HOME": str(sweep_home(job.sweep)),
                    MARKER: job.marker,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def measured(self) -> bool:
        """Whether its measurement is over and kept."""
        return (self.folder / self.job.run_name / MEASUREMENT).exists()

    def poll(self) -> Outcome | None:
        """How it ended, None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        if code == 0:
            return self._outcome("finished", "")
        if code == 130:
            return self._outcome("interrupted", "interrupted")
        return self._outcome("failed", self._why(code))

    def _outcome(self, status: Status, error: str) -> Outcome:
        seconds = time.monotonic() - self._started
        return Outcome(self.job.point, self.job.digest, status, error, seconds)

    def _why(self, code: int) -> str:
        summary = self.folder / self.job.run_name / "summary.json"
        with suppress(OSError, ValueError, TypeError, KeyError):
            return str(json.loads(summary.read_text())["error"]["message"])
        with suppress(OSError):
            lines = (self.folder / LOG).read_text(errors="replace").strip().splitlines()
            if lines:
                return f"ended with exit code {code}: {lines[-1][:300]}"
        return f"ended with exit code {code}"

    def ask_to_stop(self) -> None:
        """Ask it to take its lab down and end."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> Outcome:
        """End it, with its lab."""
        self.ask_to_stop()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            end_leftovers(self.job)
        return self.poll() or self._outcome("interrupted", "interrupted")

    def kill(self) -> None:
        """End it at once; its lab stays for the next attempt to end."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()


def end_leftovers(job: Job) -> None:
    """End what an earlier attempt at this point has left on this machine.

    Raises:
        StateError: its lab cannot be taken down.
    """
    running = _of_the_point(job.marker)
    children = [process for process in running if CHILD in _command(process)]
    _end(children, patience_s=STOP_TIMEOUT_S)  # each takes its own lab down
    kernels = [p for p in _of_the_point(job.marker) if _is_kernel(_command(p))]
    _end(kernels, patience_s=1.0)
    folder = LabFolder(sweep_home(job.sweep) / str(job.params["lab_name"]))
    if folder.params_file.exists():
        _take_down(job, folder)
    shutil.rmtree(folder.root, ignore_errors=True)


def _take_down(job: Job, folder: LabFolder) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labkit.cli", "down", "--lab-name", folder.root.name],
        env={**os.environ, "LABKIT_HOME": str(folder.root.parent)},
        capture_output=True,
        text=True,
        timeout=2 * STOP_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise StateError(
            f"The lab of an earlier attempt at {job.point} cannot be taken down",
            seen=done.stderr.strip()[-200:],
            fix=f"LABKIT_HOME={folder.root.parent} labkit down --lab-name {folder.root.name}",
        )


def _of_the_point(marker: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARKER) == marker and process.pid != os.getpid():
                found.append(process)
    return found


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _is_kernel(command: str) -> bool:
    """Whether it is a notebook's kernel, or the template of such."""
    return "ipykernel" in command or "template_process" in command


def _end(processes: list[psutil.Process], *, patience_s: float) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=patience_s)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    if any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in alive):
        raise StateError(
            "Processes of an earlier attempt cannot be ended",
            seen=", ".join(str(process.pid) for process in alive),
            fix="end them, then run the same `labkit sweep` again",
        )
