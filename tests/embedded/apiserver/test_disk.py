"""Acknowledged means on disk: one fsync for many writes, and nothing is told before it."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from labkit.embedded.apiserver.disk import GroupCommit
from labkit.embedded.apiserver.store import DiskError, Store
from labkit.embedded.kube import KubeError, path_of


def _config_map(name: str) -> dict[str, object]:
    metadata = {"namespace": "default", "name": name}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}


class SlowDisk:
    """A disk that syncs when it is told to."""

    def __init__(self) -> None:
        self.syncs = 0
        self.free = threading.Semaphore(0)

    def sync(self) -> None:
        assert self.free.acquire(timeout=30)
        self.syncs += 1


async def test_writes_that_come_during_a_sync_share_the_next_one() -> None:
    disk, reached = SlowDisk(), []
    commit = GroupCommit(disk.sync, version=0, on_disk=reached.append)
    commit.wrote(1)
    await asyncio.sleep(0)  # the first sync begins
    for version in range(2, 50):
        commit.wrote(version)
    waiters = [asyncio.create_task(commit.wait(version)) for version in (49, 1, 2)]
    waiters[2].cancel()
    await asyncio.sleep(0)
    assert (commit.version, reached) == (0, [])

    disk.free.release()
    await waiters[1]
    assert (commit.version, waiters[0].done()) == (1, False)
    disk.free.release()
    await waiters[0]
    assert (commit.version, reached, disk.syncs) == (49, [1, 49], 2)
    commit.close()


async def test_watchers_hear_of_a_change_only_when_it_is_on_disk(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.sqlite")
    watcher = store.subscribe("configmaps")
    entry = store.put("configmaps", _config_map("a"))
    late = store.subscribe("configmaps")

    assert store.get("configmaps", "default", "a") is entry
    assert await watcher.next(0) == []
    await store.on_disk(entry.rv)
    assert [event.entry for event in await watcher.next(5)] == [entry]
    assert await late.next(0) == [], "it has seen this state when it began"
    store.close()


async def test_a_disk_that_fails_is_an_answer_and_nothing_more_is_written(
    apiserver, kube, tmp_path
):
    """A log that cannot be synced: the file behind its number is a pipe."""
    path = path_of("v1", "configmaps", "default")
    before = await kube.create(path, {"metadata": {"name": "before"}})
    store = apiserver.server.backend.store
    reader, writer = os.pipe()
    os.dup2(writer, store._database._log)
    try:
        for name in ("first", "second"):
            with pytest.raises(KubeError) as refused:
                await kube.create(path, {"metadata": {"name": name}})
            assert refused.value.status == 500
            assert "the disk has failed" in refused.value.body["message"]
        with pytest.raises(KubeError):  # written, but not acknowledged: it may not be shown
            await kube.get(f"{path}/first")
        assert (await kube.get(f"{path}/before"))["metadata"] == before["metadata"]
        with pytest.raises(DiskError):
            store.put("configmaps", _config_map("third"))
    finally:
        os.close(reader)
        os.close(writer)


async def test_no_answer_tells_of_what_is_not_on_disk_yet(apiserver, kube):
    path = path_of("v1", "configmaps", "default")
    await kube.create(path, {"metadata": {"name": "before"}})
    disk, store = SlowDisk(), apiserver.server.backend.store
    store._commit._sync = disk.sync
    created = asyncio.create_task(kube.create(path, {"metadata": {"name": "new"}}))
    while store.get("configmaps", "default", "new") is None:
        await asyncio.sleep(0.001)
    telling = (kube.list(path), kube.get(f"{path}/new"), kube.create(path, _config_map("new")))
    waiting = [created, *(asyncio.ensure_future(request) for request in telling)]

    assert (await kube.get(f"{path}/before"))["metadata"]["name"] == "before"
    _, pending = await asyncio.wait(waiting, timeout=0.3)
    assert pending == set(waiting)
    disk.free.release()
    made, listed, read, refused = await asyncio.gather(*waiting, return_exceptions=True)
    assert made == read
    assert len(listed["items"]) == 2
    assert refused.status == 409
