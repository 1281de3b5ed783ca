"""The daemon is killed in the middle of bursts of writes; what it acknowledged is there afterwards.

Three kills by default. `LABKIT_KILLS=50 python -m pytest -s tests/embedded/test_durability.py` kills
fifty times and prints what was counted.
"""

import asyncio
import base64
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit.embedded.kube import KubeClient, KubeError, path_of

KILLS = int(os.environ.get("LABKIT_KILLS", "3"))
MAPS = path_of("v1", "configmaps", "default")
OURS = "app=durability"
NAMES_PER_WRITER = 8

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 30 * KILLS)]


@dataclass
class Known:
    """What a writer knows of an object that only it writes; a value of None means: not there."""

    rv: int = 0
    value: str | None = None
    trying: bool = False
    tried: str | None = None


@dataclass
class Book:
    """Everything that clients of one cluster were told, and what they tried."""

    objects: dict[str, Known] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    """Values of creates under a generated name."""
    attempted: set[str] = field(default_factory=set)
    events: list[tuple[int, str, str]] = field(default_factory=list)
    """(version, type, name) as the watch told them."""
    newest: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def see(self, answer: dict[str, Any]) -> int:
        version = int(answer["metadata"]["resourceVersion"])
        self.newest = max(self.newest, version)
        return version


def body(value: str, **name: str) -> dict[str, Any]:
    metadata = {**name, "labels": {"app": "durability"}}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": {"value": value}}


async def write_one(kube: KubeClient, book: Book, name: str) -> None:
    """One random write of an object, entered into the book when it is acknowledged."""
    known, value = book.objects.setdefault(name, Known()), secrets.token_hex(8)
    verb = "create" if known.value is None else random.choice(("replace", "patch", "delete"))
    known.trying, known.tried = True, None if verb == "delete" else value
    if verb == "create":
        known.rv = book.see(await kube.create(MAPS, body(value, name=name)))
    elif verb == "replace":
        known.rv = book.see(await kube.replace(f"{MAPS}/{name}", body(value, name=name)))
    elif verb == "patch":
        patch = {"data": {"value": value}}
        known.rv = book.see(await kube.patch(f"{MAPS}/{name}", patch))
    else:
        await kube.delete(f"{MAPS}/{name}")
    known.value, known.trying = known.tried, False
    book.counts[verb] += 1


async def writer(kube: KubeClient, book: Book, number: int) -> None:
    """Write until the server is gone."""
    names = [f"w{number}-{n}" for n in range(NAMES_PER_WRITER)]
    while True:
        try:
            await write_one(kube, book, random.choice(names))
        except KubeError as error:
            if error.status is None:
                return
            raise


async def creator(kube: KubeClient, book: Book) -> None:
    """Create under generated names until the server is gone."""
    while True:
        value = secrets.token_hex(8)
        book.attempted.add(value)
        try:
            book.see(await kube.create(MAPS, body(value, generateName="g-")))
        except KubeError as error:
            if error.status is None:
                return
            raise
        book.acknowledged.add(value)
        book.counts["create"] += 1


async def watcher(kube: KubeClient, book: Book, version: str) -> None:
    """Note every change until the server is gone."""
    try:
        async for event in kube.watch(MAPS, resource_version=version, labelSelector=OURS):
            rv = book.see(event["object"])
            if event["type"] != "BOOKMARK":
                book.events.append((rv, event["type"], event["object"]["metadata"]["name"]))
    except KubeError as error:
        if error.status is not None:
            raise


def version_of(item: dict[str, Any] | None) -> int:
    return int(item["metadata"]["resourceVersion"]) if item else 0


def check(book: Book, listed: dict[str, Any]) -> None:
    """Nothing that was told is lost, nothing is there twice, no version went back."""
    assert version_of(listed) >= book.newest, "the resourceVersion went back"
    book.newest = version_of(listed)
    items = {item["metadata"]["name"]: item for item in listed["items"]}
    assert len({item["metadata"]["uid"] for item in listed["items"]}) == len(listed["items"])
    generated = [i["data"]["value"] for n, i in items.items() if n.startswith("g-")]
    assert len(set(generated)) == len(generated), "a create was carried out twice"
    assert book.acknowledged <= set(generated) <= book.attempted
    assert [rv for rv, _, _ in book.events] == sorted({rv for rv, _, _ in book.events})
    check_told(book, items)
    for name, known in book.objects.items():
        found = items.get(name)
        value = found["data"]["value"] if found else None
        assert value in ({known.value, known.tried} if known.trying else {known.value}), name
        if found:
            fresh = version_of(found) > known.rv
            assert fresh == (value != known.value), name
        known.rv, known.value, known.trying = version_of(found) or book.newest, value, False


def check_told(book: Book, items: dict[str, dict[str, Any]]) -> None:
    """What a watch told is at least what is there now, also of writes that nobody acknowledged."""
    for name, (rv, kind) in {name: (rv, kind) for rv, kind, name in book.events}.items():
        known, now = book.objects.get(name, Known()), version_of(items.get(name))
        if kind == "DELETED":
            assert now == 0 or now > rv, f"{name} is back"
        elif now == 0:
            removed = known.trying and known.tried is None
            assert removed or rv <= known.rv, f"{name} is lost"
        else:
            assert now >= rv, f"{name} went back"


async def resume(kube: KubeClient, book: Book) -> None:
    """Resume a watch from the last event: it goes on, or 410 says that one must list again."""
    last = book.events[-1][0] if book.events else book.newest
    probe = book.see(await kube.create(MAPS, body("probe", name="probe")))
    assert probe > max(last, *(known.rv for known in book.objects.values()))
    try:
        async with asyncio.timeout(30):
            async for event in kube.watch(MAPS, resource_version=str(last), labelSelector=OURS):
                if book.see(event["object"]) == probe:
                    break
                assert event["type"] == "BOOKMARK", "after a restart there is no history to tell"
        book.counts["watch resumed"] += 1
    except KubeError as error:
        if error.status != 410:
            raise
        book.counts["watch told 410"] += 1
    await kube.delete(f"{MAPS}/probe")
    book.events.clear()


class Lab:
    """Two empty clusters in a folder of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state = home / "demo" / "cloud"

    def labkit(self, *words: str) -> str:
        environ = {**os.environ, "LABKIT_HOME": str(self.home)}
        argv = [sys.executable, "-m", "labkit.cli", *words]
        return subprocess.run(
            argv, env=environ, capture_output=True, text=True, timeout=120, check=True
        ).stdout

    def start(self) -> int:
        """Start the daemon again; its pid."""
        argv = [sys.executable, "-m", "labkit.embedded", "start", "--state", str(self.state)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return int(json.loads(done.stdout)["pid"])

    def clients(self) -> list[KubeClient]:
        """One connection per cluster, with the rights of the kubeconfig."""
        config = yaml.safe_load((self.home / "demo" / "kubeconfig").read_text())
        users = {user["name"]: user["user"] for user in config["users"]}
        found = []
        for context in config["contexts"]:
            chosen = context["context"]
            cluster = next(c for c in config["clusters"] if c["name"] == chosen["cluster"])
            ca = self.home / f"{context['name']}.ca"
            ca.write_bytes(base64.b64decode(cluster["cluster"]["certificate-authority-data"]))
            token = users[chosen["user"]]["token"]
            found.append(KubeClient(cluster["cluster"]["server"], token=token, ca_file=ca))
        return found


@pytest.fixture
def lab(tmp_path):
    found = Lab(tmp_path)
    found.labkit("up", "--bare", "--nodes", "0")
    yield found
    found.labkit("down")


async def burst(lab: Lab, pid: int, books: list[Book]) -> None:
    """Writers and watchers on both clusters, and SIGKILL at a moment that nobody chose."""
    clients: list[KubeClient] = []
    tasks = []
    for number, book in enumerate(books):
        connections = [lab.clients()[number] for _ in range(5)]
        clients += connections
        listed = await connections[4].list(MAPS)
        tasks += [
            *(writer(kube, book, n) for n, kube in enumerate(connections[:3])),
            creator(connections[3], book),
            watcher(connections[4], book, str(book.see(listed))),
        ]
    running = asyncio.gather(*tasks)
    await asyncio.sleep(random.uniform(0.3, 1.2))
    os.kill(pid, signal.SIGKILL)
    await running
    for client in clients:
        await client.close()


async def test_what_was_acknowledged_outlives_kill_9(lab):
    books, started = [Book(), Book()], time.monotonic()
    for _ in range(KILLS):
        await burst(lab, await asyncio.to_thread(lab.start), books)
        await asyncio.to_thread(lab.start)
        for book, kube in zip(books, lab.clients(), strict=True):
            check(book, await kube.list(MAPS, labelSelector=OURS))
            await resume(kube, book)
            await kube.close()
    counts = sum((book.counts for book in books), Counter())
    print(  # noqa: T201 - figures for whoever asks by -s
        f"\n{KILLS} kills in {time.monotonic() - started:.0f} s: {dict(counts)}"
    )
    assert min(counts[verb] for verb in ("create", "replace", "patch", "delete")) > KILLS
    assert counts["watch resumed"] + counts["watch told 410"] == 2 * KILLS
