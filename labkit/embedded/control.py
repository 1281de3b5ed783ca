"""Starting, stopping and looking at the daemon, from outside it.

All of it works whatever state the last daemon left: a leftover process of a killed daemon is
found by pid and start time and ended, never by name.
"""

import contextlib
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from labkit.embedded import processes
from labkit.embedded.state import StateFolder, find_process
from labkit.errors import StateError, WaitTimeout

START_TIMEOUT_S = 30.0
TURN_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.02
GROUPING = "LABKIT_PROXY_GROUPING"
"""Environment of the daemon: one Envoy per `pod` or per `cluster`."""

MEMORY = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "65536"}
"""For glibc: large buffers, as those of TLS connections, go back to the system when freed."""


def running(state: StateFolder) -> psutil.Process | None:
    """The daemon's process, None when it does not run."""
    return find_process(state.read_daemon())


def start(state: StateFolder, *, grouping: str, wan: dict[str, Any] | None) -> dict[str, Any]:
    """Start the daemon, or find it running.

    Args:
        state: the state folder.
        grouping: `pod` (one Envoy per meshed pod) or `cluster`.
        wan: round-trip times between regions; None keeps what the folder has.

    Returns:
        What the daemon announced, with `already` true when it ran before.

    Raises:
        StateError: the daemon ended while starting; its last log lines are quoted.
        WaitTimeout: it did not become ready in 30 s.
    """
    with state.turn(TURN_TIMEOUT_S):
        if running(state) is not None:
            return {**state.read_daemon(), "already": True}
        _end_daemon(state)
        processes.reap(state.root)
        return {**_start(state, grouping=grouping, wan=wan), "already": False}


def _start(state: StateFolder, *, grouping: str, wan: dict[str, Any] | None) -> dict[str, Any]:
    state.daemon_file.unlink(missing_ok=True)
    if wan is not None:
        state.wan_file.write_text(json.dumps(wan, indent=1))
    state.write_settings({**state.read_settings(), "grouping": grouping})
    process = _spawn(state)
    deadline = time.monotonic() + START_TIMEOUT_S
    while running(state) is None:
        if process.poll() is not None:
            raise _early_end(state)
        if time.monotonic() > deadline:
            process.kill()
            raise WaitTimeout(
                f"The embedded cloud in {state.root} was not ready within {START_TIMEOUT_S:.0f} s",
                seen=_last_line(state.log_file),
                fix=f"read {state.log_file}, then run `labkit down` and `labkit up`",
            )
        time.sleep(POLL_S)
    return state.read_daemon()


def _early_end(state: StateFolder) -> StateError:
    """Why the daemon ended: its own words, which `__main__` has left as JSON in the log."""
    last = _last_line(state.log_file)
    try:
        told = json.loads(last)
        return StateError(told["what"], seen=told["seen"], fix=told["fix"])
    except (ValueError, KeyError, TypeError):
        return StateError(
            f"The embedded cloud in {state.root} ended while starting",
            seen=last,
            fix=f"read {state.log_file}",
        )


def _spawn(state: StateFolder) -> subprocess.Popen[bytes]:
    with state.log_file.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "labkit.embedded", "serve", "--state", str(state.root)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=state.root,
            env={
                **os.environ,
                **MEMORY,
                GROUPING: str(state.read_settings().get("grouping", "pod")),
            },
            start_new_session=True,
        )


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def stop(state: StateFolder, *, forget: bool = False) -> dict[str, Any]:
    """End the daemon and everything it started.

    Args:
        state: the state folder.
        forget: remove the cloud's state too, so that the next start is a new cloud.

    Returns:
        `was_running`, `ended` (names of leftover processes that had to be ended) and
        `processes_left` (always empty unless a process cannot be killed).
    """
    if not state.root.exists():
        was_running = _end_daemon(state)  # its children die with it
        state.remove_run_dir()
        return {"was_running": was_running, "ended": [], "processes_left": []}
    with state.turn(TURN_TIMEOUT_S):
        was_running = _end_daemon(state)
        ended = [record.name for record in processes.reap(state.root)]
        state.daemon_file.unlink(missing_ok=True)
        state.remove_run_dir()
        left = [record.name for record in _living(state)]
        if forget and not left:
            state.forget()
    return {"was_running": was_running, "ended": ended, "processes_left": left}


def _end_daemon(state: StateFolder) -> bool:
    """End the daemon, also one that is still starting or has lost its folder; whether it was."""
    known = (state.read_daemon(), state.read_holder(), state.read_trace())
    process = next((found for facts in known if (found := find_process(facts))), None)
    if process is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(5)
    return True


def status(state: StateFolder) -> dict[str, Any]:
    """Facts about the daemon and its processes; memory as proportional set size in MB."""
    process = running(state)
    if process is None:
        left = [record.name for record in _living(state)]
        return {"running": False, "processes": left}
    facts = {**state.read_daemon(), "running": True}
    family = [("daemon", process.pid)]
    family += [(record.name, record.pid) for record in _living(state)]
    facts["processes"] = [
        {"name": name, "pid": pid, "pss_mb": _pss_mb(pid)} for name, pid in family
    ]
    return facts


def set_faults(state: StateFolder, faults: list[dict[str, Any]]) -> dict[str, Any]:
    """Switch these faults of the account's API on, and all others off.

    Raises:
        StateError: the daemon does not run, or there is no such fault.
    """
    if running(state) is None:
        raise StateError(f"The embedded cloud in {state.root} is not running", fix="`labkit up`")
    facts = state.read_daemon()
    request = urllib.request.Request(  # noqa: S310 - the daemon's own endpoint
        f"{facts['endpoint']}/labkit/faults",
        json.dumps({"faults": faults}).encode(),
        {"Authorization": f"Bearer {state.token()}", "Content-Type": "application/json"},
        method="PUT",
    )
    context = ssl.create_default_context(cafile=facts["ca_file"])
    try:
        with urllib.request.urlopen(  # noqa: S310
            request, context=context, timeout=TURN_TIMEOUT_S
        ) as answer:
            shown: dict[str, Any] = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            message = json.loads(error.read())["message"]
        raise StateError("The faults were not switched", seen=message) from error
    return shown


def _living(state: StateFolder) -> list[processes.ProcessRecord]:
    if not state.root.exists():
        return []
    return [record for record in processes.ProcessTable(state.root).records() if record.alive()]


def _pss_mb(pid: int) -> float | None:
    try:
        info = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return None
    # macOS has no proportional set size; the unique set size is the nearest it offers.
    size = getattr(info, "pss", None) or info.uss
    return float(round(size / 2**20, 1))
