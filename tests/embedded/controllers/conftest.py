"""A cluster with all controllers running against a real API server, and a tiny kubelet.

The kubelet runs nothing: it marks pods that are bound to a node as Running and Ready, and lets
deleted pods go, all of it through the API.
"""

import asyncio
import contextlib
import ipaddress
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from labkit.embedded.controllers import manager
from labkit.embedded.informing import Informer
from labkit.embedded.kube import KubeClient, KubeError, path_of

# Without a word from us pytest-asyncio 1.5 makes a loop for the main thread that nobody closes.
asyncio.set_event_loop(None)

Object = dict[str, Any]
TIMEOUT_S = 20.0


async def eventually(look: Callable[[], Awaitable[Any]], *, timeout_s: float = TIMEOUT_S) -> Any:
    """Look until something true is seen; a refusal or a missing part counts as not yet."""
    seen: Any = None
    end = asyncio.get_running_loop().time() + timeout_s
    while asyncio.get_running_loop().time() < end:
        try:
            seen = await look()
        except (KubeError, LookupError, ValueError) as error:
            seen = error
        else:
            if seen:
                return seen
        await asyncio.sleep(0.02)
    pytest.fail(f"not seen in {timeout_s} s; last: {seen}")


class Kubelet:
    """Marks pods; `broken` images never become ready."""

    def __init__(self, kube: KubeClient) -> None:
        self.kube = kube
        self.broken = "broken:1"
        self._tasks: set[asyncio.Task[None]] = set()
        self._addresses = ipaddress.ip_network("10.244.0.0/16").hosts()
        self._started: set[str] = set()
        self.informer = Informer(kube, path_of("v1", "pods"), on_change=self._changed)

    def _changed(self, change: str, pod: Object) -> None:
        if change == "DELETED" or not pod["spec"].get("nodeName"):
            return
        uid = pod["metadata"]["uid"]
        if pod["metadata"].get("deletionTimestamp"):
            self._start(self._kill(pod))
        elif uid not in self._started:
            self._started.add(uid)
            self._start(self._run(pod))

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, pod: Object) -> None:
        ready = pod["spec"]["containers"][0]["image"] != self.broken
        ip = str(next(self._addresses))
        done = pod["spec"].get("restartPolicy") == "Never"
        word = "True" if ready and not done else "False"
        conditions = [
            {"type": kind, "status": word, "lastTransitionTime": "2026-01-01T00:00:00Z"}
            for kind in ("Ready", "ContainersReady")
        ]
        status = {
            "phase": "Succeeded" if done else "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": conditions,
        }
        await self._patch(pod, status)

    async def _patch(self, pod: Object, status: Object) -> None:
        metadata = pod["metadata"]
        path = path_of("v1", "pods", metadata["namespace"], metadata["name"], "status")
        with contextlib.suppress(KubeError):
            await self.kube.patch(path, {"status": status}, kind="strategic")

    async def _kill(self, pod: Object) -> None:
        path = path_of("v1", "pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
        with contextlib.suppress(KubeError):
            await self.kube.delete(path, gracePeriodSeconds=0)

    async def run(self) -> None:
        await self.informer.run()


@contextlib.asynccontextmanager
async def running(*coroutines: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
        for task in tasks:
            assert not task.done(), task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Cluster:
    """A client for a cluster whose controllers run, and what the tests do with it."""

    def __init__(self, kube: KubeClient) -> None:
        self.kube = kube
        self.eventually = eventually

    async def items(self, api_version: str, plural: str, namespace: str) -> list[Object]:
        return (await self.kube.list(path_of(api_version, plural, namespace)))["items"]

    async def pods(self, namespace: str) -> list[Object]:
        return await self.items("v1", "pods", namespace)

    async def add_node(self, name: str, **spec: Any) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "spec": spec,
        }
        await self.kube.create(path_of("v1", "nodes"), body)
        status = {"status": {"conditions": [READY]}}
        path = path_of("v1", "nodes", None, name, "status")
        await self.kube.patch(path, status, kind="strategic")

    async def add_namespace(self, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await self.kube.create(path_of("v1", "namespaces"), body)
        path = path_of("v1", "serviceaccounts", name, "default")
        await eventually(lambda: self.kube.get(path))

    async def create(self, body: Object, namespace: str, plural: str = "") -> Object:
        plural = plural or f"{body['kind'].lower()}s"
        return await self.kube.create(path_of(body["apiVersion"], plural, namespace), body)

    async def is_gone(self, api_version: str, plural: str, namespace: str, name: str) -> bool:
        try:
            await self.kube.get(path_of(api_version, plural, namespace, name))
        except KubeError as error:
            return error.status == 404
        return False


@pytest.fixture
async def cluster(apiserver, kube: KubeClient) -> AsyncIterator[Cluster]:
    """All controllers, without a cloud."""
    ca_pem = apiserver.ca_file.read_text()
    async with KubeClient(
        apiserver.url, token=apiserver.token, ca_file=apiserver.ca_file, user_agent="controllers"
    ) as client:
        options = manager.Options(ca_pem=ca_pem)
        async with running(manager.run_all(client, options=options)):
            yield Cluster(kube)


READY = {
    "type": "Ready",
    "status": "True",
    "reason": "KubeletReady",
    "message": "ready",
    "lastHeartbeatTime": "2026-01-01T00:00:00Z",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


@pytest.fixture
async def kubelet(cluster: Cluster) -> AsyncIterator[Kubelet]:
    """Two Ready nodes and the tiny kubelet."""
    for name in ("node-a", "node-b"):
        await cluster.add_node(name)
    machine = Kubelet(cluster.kube)
    async with running(machine.run()):
        yield machine
        for task in list(machine._tasks):
            task.cancel()
        await asyncio.gather(*machine._tasks, return_exceptions=True)


@pytest.fixture
def run_in_background() -> Any:
    """The context manager that runs coroutines beside a test."""
    return running


@pytest.fixture(scope="session")
def kubectl_command() -> Path:
    """The real kubectl of the environment."""
    return Path(sys.executable).with_name("kubectl")
