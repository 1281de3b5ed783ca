import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from labkit.embedded import processes
from labkit.embedded.processes import ProcessTable, reap

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for(condition, what):
    give_up = time.monotonic() + 10
    while not condition():
        if time.monotonic() > give_up:
            pytest.fail(f"never: {what}")
        time.sleep(0.01)


async def test_a_child_is_in_the_table_while_it_runs(tmp_path):
    table = ProcessTable(tmp_path)
    child = await table.spawn(SLEEP, name="sleeper")
    (record,) = table.records()
    assert (record.pid, record.name, record.alive()) == (child.pid, "sleeper", True)
    assert await processes.stop(child, grace_s=5) == -signal.SIGTERM
    async with asyncio.timeout(5):
        while table.records():
            await asyncio.sleep(0.01)


async def test_a_child_that_ignores_the_polite_signal_is_killed(tmp_path):
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    table = ProcessTable(tmp_path)
    child = await table.spawn(
        [sys.executable, "-c", code], name="stubborn", output=asyncio.subprocess.PIPE
    )
    assert await child.stdout.readline() == b"1\n"
    assert await processes.stop(child, grace_s=0.1) == -signal.SIGKILL


OWNER = """
import asyncio, sys
from pathlib import Path
from labkit.embedded import processes
if sys.argv[2] == "unbound":
    processes.death_bound = list

async def main():
    table = processes.ProcessTable(Path(sys.argv[1]))
    child = await table.spawn([sys.executable, "-c", "import time; time.sleep(600)"], name="x")
    print(child.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def start_owner(
    folder: Path, mode: str, *, env: dict[str, str] | None = None
) -> tuple["subprocess.Popen[bytes]", int]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder), mode], stdout=subprocess.PIPE, env=env
    )
    return owner, int(owner.stdout.readline())


def kill_owner(owner):
    owner.kill()
    owner.wait()
    owner.stdout.close()


def test_leftovers_of_a_killed_owner_are_reaped(tmp_path):
    owner, pid = start_owner(tmp_path, "unbound")
    kill_owner(owner)
    assert not gone(pid)
    assert [record.pid for record in reap(tmp_path)] == [pid]
    wait_for(lambda: gone(pid), "the child dies")
    assert reap(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a death signal")
def test_a_child_dies_with_its_killed_owner(tmp_path):
    owner, pid = start_owner(tmp_path, "bound")
    kill_owner(owner)
    wait_for(lambda: gone(pid), "the child dies with its owner")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a death signal")
def test_a_child_whose_owner_died_before_the_signal_was_bound_ends(tmp_path):
    slow = tmp_path / "bin" / "setpriv"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\nsleep 0.5\nexec {shutil.which("setpriv")} "$@"\n')
    slow.chmod(0o755)
    env = os.environ | {"PATH": f"{slow.parent}:{os.environ['PATH']}"}
    owner, pid = start_owner(tmp_path, "bound", env=env)
    kill_owner(owner)
    assert not gone(pid)
    wait_for(lambda: gone(pid), "the child ends by itself")


def test_a_process_that_only_has_the_same_id_is_left_alone(tmp_path):
    stranger = subprocess.Popen(SLEEP, start_new_session=True)
    try:
        began = psutil.Process(stranger.pid).create_time()
        ProcessTable(tmp_path).record(stranger.pid, began - 100, name="old one")
        assert reap(tmp_path) == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_record_that_was_cut_off_is_ignored(tmp_path):
    table = ProcessTable(tmp_path)
    (table.folder / "17.json").write_text('{"pid": 17')
    assert table.records() == []
    assert reap(tmp_path) == []


def test_a_record_needs_a_living_process(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with pytest.raises(ProcessLookupError):
        ProcessTable(tmp_path).record(child.pid, name="gone")
