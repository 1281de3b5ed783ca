"""Acknowledged means on disk: one fsync for many writes, and nothing is told before it."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from labkit.embedded.apiserver.disk import Database, Row
from labkit.embedded.apiserver.group_commit import GroupCommit
from labkit.embedded.apiserver.store import DiskError, Store
from labkit.embedded.kube import KubeError, path_of


def _config_map(name: str) -> dict[str, object]:
    metadata = {"namespace": "default", "name": name}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}


class SlowDisk:
    """A disk that commits when it is told to."""

    def __init__(self) -> None:
        self.commits: list[list[int]] = []
        self.full = False
        self.free = threading.Semaphore(0)

    def commit(self, rows: Sequence[Row]) -> None:
        assert self.free.acquire(timeout=30)
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        self.commits.append([row[3] for row in rows])


def _row(version: int) -> Row:
    return "configmaps", "default", "a", version, b"{}"


async def test_writes_that_come_during_a_commit_share_the_next_one() -> None:
    disk, reached = SlowDisk(), []
    commit = GroupCommit(disk.commit, version=0, on_disk=reached.append, on_refusal=reached.clear)
    commit.add(_row(1))
    await asyncio.sleep(0)  # the first commit begins
    for version in range(2, 50):
        commit.add(_row(version))
    waiters = [asyncio.create_task(commit.wait(version)) for version in (49, 1, 2)]
    waiters[2].cancel()
    await asyncio.sleep(0)
    assert (commit.version, reached) == (0, [])

    disk.free.release()
    await waiters[1]
    assert (commit.version, waiters[0].done()) == (1, False)
    disk.free.release()
    await waiters[0]
    assert (commit.version, reached) == (49, [1, 49])
    assert disk.commits == [[1], list(range(2, 50))]
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
    store._commit._commit = disk.commit
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


def test_a_group_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite")
    one, two = ("maps", "default", "one"), ("maps", "default", "two")
    database.commit([(*one, 1, b"1"), (*two, 2, b"2"), (*one, 3, None), (*two, 4, b"4")])
    many = [("maps", "default", f"m{number:03}", 5 + number, b"m") for number in range(100)]
    database.commit([*many, (*one, 105, b"again")])
    assert database.removed() == 3
    rows = {name: (rv, body) for _, _, name, rv, body in database.rows()}
    assert len(rows) == 102
    assert (rows["one"], rows["two"], rows["m099"]) == ((105, b"again"), (4, b"4"), (104, b"m"))

    before = list(database.rows())
    pages = database._db.execute("PRAGMA page_count").fetchone()[0]
    database._db.execute(f"PRAGMA max_page_count = {pages + 5}").fetchall()
    big = [(*one, 106, None), *(("maps", "big", str(n), 107 + n, b"x" * 50_000) for n in range(40))]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        database.commit(big)
    assert (list(database.rows()), database.removed()) == (before, 3)
    database.close()


async def test_what_the_database_refuses_has_never_been_and_nobody_hears_of_it(
    apiserver, kube
) -> None:
    """Everything that was written after it goes, too: it may have been built on it."""
    path = path_of("v1", "configmaps", "default")
    kept, gone = [await kube.create(path, _config_map(name)) for name in ("kept", "gone")]
    disk, store = SlowDisk(), apiserver.server.backend.store
    good, store._commit._commit = store._commit._commit, disk.commit
    rv = store.rv
    watcher = store.subscribe("configmaps")
    changed = {"data": {"a": "b"}}
    requests = [
        asyncio.create_task(request)
        for request in (
            kube.create(path, _config_map("new")),
            kube.patch(f"{path}/kept", changed),
            kube.delete(f"{path}/gone"),
        )
    ]
    while store.rv < rv + 3:
        await asyncio.sleep(0.001)
    seen = asyncio.create_task(kube.get(f"{path}/new"))
    while len(store._commit._waiting) < 4:
        await asyncio.sleep(0.001)
    disk.full = True
    disk.free.release()
    answers = await asyncio.gather(*requests, seen, return_exceptions=True)
    assert [answer.status for answer in answers] == [500] * 4
    assert all("full" in answer.body["message"] for answer in answers)
    assert (store.rv, store.rv_on_disk) == (rv, rv)
    assert await watcher.next(0) == []

    store._commit._commit = good
    assert await kube.get(f"{path}/kept") == kept
    assert await kube.get(f"{path}/gone") == gone
    names = [item["metadata"]["name"] for item in (await kube.list(path))["items"]]
    assert sorted(names) == names
    assert {"kept", "gone"} <= set(names)
    assert "new" not in names
    later = await kube.create(path, _config_map("new"))
    assert int(later["metadata"]["resourceVersion"]) == rv + 1
    assert [event.entry.name for event in await watcher.next(5)] == ["new"]


async def test_a_definition_that_the_database_refuses_is_not_served(apiserver, kube) -> None:
    """What was derived from it goes with it, and it can be created again."""
    definitions = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions")
    names = {"plural": "lamps", "singular": "lamp", "kind": "Lamp"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    versions = [{"name": "v1", "served": True, "storage": True, "schema": schema}]
    spec = {"group": "labkit.dev", "names": names, "scope": "Namespaced", "versions": versions}
    lamps = {"metadata": {"name": "lamps.labkit.dev"}, "spec": spec}
    disk, store = SlowDisk(), apiserver.server.backend.store
    good, store._commit._commit = store._commit._commit, disk.commit
    disk.full = True
    creating = asyncio.create_task(kube.create(definitions, lamps))
    while apiserver.server.backend.registry.find("labkit.dev", "v1", "lamps") is None:
        await asyncio.sleep(0.001)
    for _ in range(5):
        disk.free.release()
    with pytest.raises(KubeError, match="500"):
        await creating
    store._commit._commit = good
    with pytest.raises(KubeError) as missing:
        await kube.list("/apis/labkit.dev/v1/lamps")
    assert missing.value.status == 404
    await kube.create(definitions, lamps)
    assert (await kube.list("/apis/labkit.dev/v1/lamps"))["items"] == []
