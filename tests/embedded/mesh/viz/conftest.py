"""A Prometheus HTTP API over fixed samples, and small servers to scrape and to tap."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.mesh.viz.prometheus_api import create_app
from labkit.embedded.mesh.viz.scrape import ScrapePool
from labkit.embedded.mesh.viz.tsdb import Database, make_labels
from labkit.embedded.serving import served

GOLDEN = Path(__file__).parent / "golden"


@cache
def _golden_samples() -> list[dict[str, Any]]:
    return json.loads((GOLDEN / "samples.json").read_text())


@pytest.fixture
def golden_database() -> Database:
    database = Database()
    for entry in _golden_samples():
        labels = make_labels({"__name__": entry["name"], **entry["labels"]})
        for seconds, value in entry["points"]:
            database.append(labels, round(seconds * 1000), value)
    return database


@pytest.fixture
async def golden_api(golden_database: Database) -> AsyncIterator[str]:
    """Base URL of an API over the samples of golden/samples.json."""
    pool = ScrapePool(golden_database, interval_s=lambda: 10.0)
    async with served(create_app(golden_database, pool), ["127.0.0.1:0"]) as (socket,):
        yield f"http://{socket}"


@dataclass
class FakeContainer:
    """What the node tells a component of viz."""

    root: Path
    work_dir: Path
    run_dir: Path
    server: str
    token: str
    ca_file: Path
    app_sockets: dict[int, str]
    egress: str = ""
    argv: tuple[str, ...] = ()
    cluster: str = "west"
    namespace: str = "linkerd-viz"
    pod: str = "viz-1"


@dataclass
class FakeRuntime:
    lines: list[str] = field(default_factory=list)

    def log(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A folder whose unix sockets have short paths."""
    with tempfile.TemporaryDirectory(prefix="viz") as folder:
        yield Path(folder)


@pytest.fixture
async def container(
    apiserver: Any, kube: KubeClient, tmp_path: Path, run_dir: Path, unused_tcp_port_factory: Any
) -> FakeContainer:
    """A container of namespace linkerd-viz with a socket for every port of viz."""
    for name in ("linkerd-viz", "emojivoto"):
        await kube.create(path_of("v1", "namespaces"), {"metadata": {"name": name}})
    ports = (8084, 8085, 8088, 8443, 9090)
    return FakeContainer(
        root=tmp_path / "root",
        work_dir=tmp_path,
        run_dir=run_dir,
        server=apiserver.url,
        token=apiserver.token,
        ca_file=apiserver.ca_file,
        app_sockets={port: f"127.0.0.1:{unused_tcp_port_factory()}" for port in ports},
    )


@pytest.fixture
async def start(container: FakeContainer) -> AsyncIterator[Callable[[Any, int], Awaitable[str]]]:
    """Starts a component (its `run`) and waits for a port; returns the base URL."""
    tasks = []

    async def start_component(run: Any, port: int) -> str:
        task = asyncio.create_task(run(container, FakeRuntime()))
        tasks.append(task)
        socket = container.app_sockets[port]
        host, _, number = socket.rpartition(":")
        async with asyncio.timeout(10):
            while True:
                if task.done():
                    task.result()
                try:
                    _, writer = await asyncio.open_connection(host, int(number))
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                await writer.wait_closed()
                return f"http://{socket}"

    yield start_component
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def make_pod(
    name: str = "web-1",
    *,
    deployment: str = "web",
    ip: str = "10.244.0.5",
    sockets: dict[str, str] | None = None,
    app_sockets: dict[str, str] | None = None,
    tappable: bool = True,
    labels: dict[str, str] | None = None,
    namespace: str = "emojivoto",
) -> dict[str, Any]:
    """A running meshed pod as injector and node leave it."""
    annotations = {
        "network.labkit.dev/sockets": json.dumps(sockets or {}),
        "network.labkit.dev/app-sockets": json.dumps(app_sockets or {}),
    }
    if tappable:
        annotations["viz.linkerd.io/tap-enabled"] = "true"
    own = {
        "app": f"{deployment}-svc",
        "linkerd.io/control-plane-ns": "linkerd",
        "linkerd.io/proxy-deployment": deployment,
        "linkerd.io/workload-ns": namespace,
        "pod-template-hash": "abc",
    }
    proxy = {"name": "linkerd-proxy", "image": "cr.l5d.io/linkerd/proxy", "restartPolicy": "Always"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {**own, **(labels or {})},
            "annotations": annotations,
        },
        "spec": {
            "serviceAccountName": "default",
            "initContainers": [proxy],
            "containers": [{"name": "web-svc", "image": "web"}],
        },
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    }


async def create_pod(kube: KubeClient, pod: dict[str, Any]) -> dict[str, Any]:
    """Create a pod and then set its status, as scheduler and node do."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    account = {"metadata": {"name": "default"}}
    with contextlib.suppress(KubeError):
        await kube.create(path_of("v1", "serviceaccounts", namespace), account)
    await kube.create(path_of("v1", "pods", namespace), pod)
    path = path_of("v1", "pods", namespace, name, "status")
    return await kube.patch(path, {"status": pod["status"]})


async def until(condition: Callable[[], Awaitable[Any]], *, timeout_s: float = 15) -> Any:
    """Poll until the condition's value is true; no server yet counts as not yet."""
    last: object = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while True:
                with contextlib.suppress(OSError, aiohttp.ClientError):
                    last = await condition()
                    if last:
                        return last
                await asyncio.sleep(0.03)
    raise AssertionError(f"not within {timeout_s} s; last seen {last!r}")


class Helpers:
    """What tests of this folder share, reached through a fixture (the folder is no package)."""

    make_pod = staticmethod(make_pod)
    create_pod = staticmethod(create_pod)
    until = staticmethod(until)


@pytest.fixture
def helpers() -> type[Helpers]:
    return Helpers


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client
