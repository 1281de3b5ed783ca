"""Child processes with a name and an owner.

Problem solved: after ``kill -9`` of the daemon nothing of it may be left, neither an Envoy nor an
application. Every child is therefore recorded on disk with its process id *and* start time (ids
are used again), leads its own process group, and on Linux dies with the daemon (PR_SET_PDEATHSIG,
set by util-linux' ``setpriv``, because Python's ``preexec_fn`` is unsafe beside threads).
:func:`reap` kills what is left, at the next start or by ``labkit down``.

It deliberately does not restart anything: the owner of a process decides that.
"""

import asyncio
import contextlib
import errno
import functools
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

from labkit.errors import StateError

logger = logging.getLogger(__name__)

FOLDER = "processes"
_START_TIME_TOLERANCE_S = 2.0  # the kernel's boot time, a term of it, moves when the clock is set
_EXEC_IF_OWNED = 'test "$PPID" = "$0" && exec "$@"'


@dataclass(frozen=True)
class ProcessRecord:
    """One child process as it stands in the table."""

    pid: int
    create_time: float
    """Start of the process, seconds since 1970, as psutil reports it."""
    name: str

    def alive(self) -> bool:
        """Whether this very process, not another one with its id, still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.create_time) <= _START_TIME_TOLERANCE_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


class ProcessTable:
    """The table of child processes of one lab: a file per process below the state folder.

    A file per process needs no lock between processes, and no rewrite of a common file.
    """

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / FOLDER
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._watchers: set[asyncio.Task[None]] = set()

    def record(self, pid: int, create_time: float | None = None, *, name: str) -> ProcessRecord:
        """Write a process into the table.

        Args:
            pid: its process id, which is also its process group.
            create_time: its start time; asked of the system when not given.
            name: what it is, for people: ``emojivoto/web-7d9/web-svc``.

        Raises:
            ProcessLookupError: there is no such process (any more).
        """
        if create_time is None:
            try:
                create_time = psutil.Process(pid).create_time()
            except psutil.Error as error:
                raise ProcessLookupError(errno.ESRCH, f"no process {pid} ({name})") from error
        record = ProcessRecord(pid, create_time, name)
        draft = self.folder / f".{pid}"
        draft.write_text(json.dumps(asdict(record)), encoding="utf-8")
        draft.replace(self.folder / f"{pid}.json")
        return record

    def forget(self, pid: int) -> None:
        """Remove a process that has ended."""
        (self.folder / f"{pid}.json").unlink(missing_ok=True)

    def records(self) -> list[ProcessRecord]:
        """Every process in the table, dead or alive."""
        return list(_read(self.folder))

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        output: int | IO[bytes] | None = None,
        stdin: int | None = None,
        errors: int | None = None,
    ) -> asyncio.subprocess.Process:
        """Start a recorded child process in its own process group.

        Call it from the thread that lives as long as the daemon: the death signal is bound to
        the thread that forks.

        Args:
            argv: program and arguments.
            name: for the table.
            env: the whole environment; None for the daemon's own.
            cwd: working directory.
            output: file or ``asyncio.subprocess.PIPE`` for stdout and stderr together; None
                discards both.
            stdin: ``asyncio.subprocess.PIPE`` for input; None gives none.
            errors: ``asyncio.subprocess.PIPE`` to keep stderr apart from stdout.

        Raises:
            OSError: the program could not be started.
        """
        target = asyncio.subprocess.DEVNULL if output is None else output
        joined = asyncio.subprocess.STDOUT if output is not None else target
        process = await asyncio.create_subprocess_exec(
            *death_bound(argv),
            env=env,
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else stdin,
            stdout=target,
            stderr=joined if errors is None else errors,
            start_new_session=True,
        )
        with contextlib.suppress(ProcessLookupError):  # ended at once; wait() tells
            self.record(process.pid, name=name)
        watcher = asyncio.create_task(self._watch(process), name=f"process {name}")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        return process

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self.forget(process.pid)


def _read(folder: Path) -> Iterator[ProcessRecord]:
    for path in sorted(folder.glob("*.json")):
        try:
            yield ProcessRecord(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # vanished, or cut off by a full disk
            logger.warning("ignoring the unreadable process record %s", path.name)


def reap(state_dir: Path, *, timeout_s: float = 5.0) -> list[ProcessRecord]:
    """Kill every recorded process that still runs, with its group, and empty the table.

    Safe to call at any time when no daemon owns the folder. A process whose start time differs
    from the recorded one is somebody else's and is left alone.

    Returns:
        the processes that were killed.

    Raises:
        StateError: a process did not die in time.
    """
    folder = state_dir / FOLDER
    killed = [record for record in _read(folder) if record.alive()]
    processes = []
    for record in killed:
        with contextlib.suppress(psutil.Error):
            processes.append(psutil.Process(record.pid))
        kill_group(record.pid)
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    stubborn = [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    if stubborn:
        pids = ", ".join(str(process.pid) for process in stubborn)
        raise StateError(
            "Left-over processes of this lab did not end",
            seen=f"pid {pids} survived SIGKILL for {timeout_s:g} s",
            fix="look at them with `ps`; a process in state D waits for the disk",
        )
    for path in [*folder.glob("*.json"), *folder.glob(".*")]:
        path.unlink(missing_ok=True)
    return killed


def kill_group(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to the process group led by ``pid``; no error when it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def kill_session(pid: int) -> None:
    """SIGKILL for every process of the session led by ``pid``: jobs of a shell on a terminal."""
    for other in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if other != os.getpid() and os.getsid(other) == pid:
                os.kill(other, signal.SIGKILL)


async def stop(process: asyncio.subprocess.Process, *, grace_s: float) -> int:
    """SIGTERM, then SIGKILL to the whole group after the grace; return the exit code."""
    if process.returncode is None:
        kill_group(process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
        except TimeoutError:
            kill_group(process.pid)
    code = await process.wait()
    kill_group(process.pid)  # children that the leader left behind
    return code


@functools.cache
def _setpriv() -> str | None:
    return shutil.which("setpriv") if sys.platform == "linux" else None


def death_bound(argv: Sequence[str]) -> list[str]:
    """The command that runs ``argv`` and has the kernel kill it when its parent dies.

    A parent that dies before the signal is bound is never heard of again: the child asks whose
    it is once the signal is bound, and ends when that is no longer this process. Without
    ``setpriv`` (macOS, a minimal Linux) it is ``argv`` itself, and only :func:`reap` stands
    between a killed daemon and its leftovers.
    """
    launcher = _setpriv()
    if launcher is None:
        return list(argv)
    return [
        launcher,
        "--pdeathsig",
        "KILL",
        "--",
        "sh",
        "-c",
        _EXEC_IF_OWNED,
        str(os.getpid()),
        *argv,
    ]
