"""What was acknowledged is there after kill -9, and the version never goes back."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from labkit.embedded.apiserver.store import Store
from labkit.embedded.kube import KubeError, path_of

WRITER = """
import sys
from pathlib import Path
from labkit.embedded.apiserver.store import Store

store = Store(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    entry = store.put(
        "configmaps",
        {
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": {"name": f"m{number % 50}", "namespace": "default"},
            "data": {"number": str(number)},
        },
    )
    print(entry.rv, entry.name, number, flush=True)
    if number % 7 == 0:
        removed = store.remove("configmaps", "default", entry.name)
        print(removed.rv, entry.name, "gone", flush=True)
"""


async def killed_writer(database: Path) -> list[list[str]]:
    """What a writer acknowledged before it was killed; a last, torn line does not count."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(database), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(200)]
    os.kill(process.pid, signal.SIGKILL)
    lines += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    return [line.decode().split() for line in lines if line.endswith(b"\n")]


async def test_no_acknowledged_write_is_lost_by_kill_9(tmp_path):
    database = tmp_path / "west.sqlite"
    last_version = 0
    for _ in range(4):
        acknowledged = await killed_writer(database)
        newest = {name: (int(rv), state) for rv, name, state in acknowledged}
        store = Store(database)
        assert store.rv >= int(acknowledged[-1][0]) > last_version
        for name, (rv, state) in newest.items():
            entry = store.get("configmaps", "default", name)
            later = entry is not None and entry.rv > rv
            if state == "gone":
                assert entry is None or later
            elif not later and store.rv == int(acknowledged[-1][0]):
                assert entry is not None
                assert entry.obj["data"]["number"] == state
        names = [entry.name for entry in store.entries("configmaps")]
        assert len(names) == len(set(names))
        last_version = store.rv
        store.close()


def test_a_deleted_object_does_not_take_its_version_back(tmp_path):
    store = Store(tmp_path / "a.sqlite")
    metadata = {"name": "a", "namespace": "default"}
    store.put("configmaps", {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata})
    store.remove("configmaps", "default", "a")
    version = store.rv
    store.close()
    again = Store(tmp_path / "a.sqlite")
    assert again.rv == version
    again.close()


def test_the_database_is_private(tmp_path):
    store = Store(tmp_path / "a.sqlite")
    assert (tmp_path / "a.sqlite").stat().st_mode & 0o777 == 0o600
    store.close()


async def test_a_full_disk_is_an_answer_and_nothing_is_half_written(apiserver, kube):
    """SQLite's own limit of pages raises what a full disk raises."""
    store = apiserver.server.backend.store
    pages = store._database._db.execute("PRAGMA page_count").fetchone()[0]
    store._database._db.execute(f"PRAGMA max_page_count = {pages + 50}").fetchall()
    path = path_of("v1", "configmaps", "default")
    body = {"metadata": {"generateName": "big-"}, "data": {"a": "x" * 100_000}}

    async def fill() -> None:
        for _ in range(20):
            await kube.create(path, body)

    with pytest.raises(KubeError) as refused:
        await fill()
    assert refused.value.status == 500
    assert "full" in refused.value.body["message"]
    version, number = store.rv, len((await kube.list(path))["items"])
    store._database._db.execute("PRAGMA max_page_count = 1000000").fetchall()
    later = await kube.create(path, body)
    assert int(later["metadata"]["resourceVersion"]) == version + 1
    assert len((await kube.list(path))["items"]) == number + 1
