import asyncio
import contextlib
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from labkit.embedded.images.catalog import (
    CommandNotFound,
    ImageNotFound,
    InvalidImageName,
    Program,
)
from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.node.agent import NodeAgent
from labkit.embedded.node.config import NodeConfig
from labkit.embedded.node.node_proxy import NodeProxy
from labkit.embedded.processes import ProcessTable

KUBELET_TOKEN = "kubelet-token-of-the-tests"
NODE = "pool-west-1"

# Programs of the tests: `test/server` is a real process that serves what it was told,
# `test/parts` holds components that live inside the agent's event loop.
SERVER = textwrap.dedent(
    """
    import json, os, sys, time, signal
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            if self.path == "/exit":
                os._exit(3)
            body = json.dumps({"env": dict(os.environ), "argv": sys.argv[1:]}).encode()
            self.send_response(500 if self.path == "/broken" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *words):
            pass

    listen = json.loads(os.environ["LABKIT_LISTEN"])
    host, port = listen["8080"].split(":")
    HTTPServer.allow_reuse_address = True
    server = HTTPServer((host, int(port)), Handler)
    print("serving", flush=True)
    server.serve_forever()
    """
)

PARTS = ModuleType("labkit_test_parts")


async def _sleeper(container, runtime) -> int:
    runtime.log(f"{container.name} started")
    PARTS.seen.append(container)
    try:
        await asyncio.Event().wait()
    finally:
        runtime.log(f"{container.name} stops")
    return 0


async def _finish(container, runtime) -> int:
    runtime.log(f"{container.name} finished")
    PARTS.order.append(container.name)
    return 0


async def _fail(container, runtime) -> int:
    PARTS.order.append(container.name)
    runtime.log("about to fail")
    return 7


async def _raise(container, runtime) -> int:
    raise RuntimeError("this program has a fault")


async def _listen(container, runtime) -> int:
    """Echoes on every declared port."""

    async def echo(reader, writer):
        while data := await reader.read(1024):
            writer.write(data)
        writer.close()

    servers = []
    for address in container.app_sockets.values():
        host, _, port = address.rpartition(":")
        servers.append(await asyncio.start_server(echo, host, int(port)))
    PARTS.order.append(container.name)
    try:
        await asyncio.Event().wait()
    finally:
        for server in servers:
            server.close()
    return 0


async def _talk(container, runtime) -> int:
    PARTS.say = runtime.log
    await asyncio.Event().wait()
    return 0


async def _spawn(container, runtime) -> int:
    process = await runtime.spawn([sys.executable, "-c", "import time; time.sleep(600)"], name="x")
    runtime.log(f"child {process.pid}")
    return await process.wait()


PARTS.__dict__.update(
    seen=[],
    order=[],
    sleeper=_sleeper,
    finish=_finish,
    fail=_fail,
    fault=_raise,
    listen=_listen,
    spawn=_spawn,
    talk=_talk,
)


def find_program(image: str, argv: Sequence[str]) -> tuple[Program, tuple[str, ...]]:
    name = image.partition(":")[0]
    if name == "test/server":
        return Program("process", "labkit_test_server"), tuple(argv)
    if name == "test/parts":
        if not argv or argv[0] not in PARTS.__dict__:
            raise CommandNotFound(f'exec: "{argv[0]}": executable file not found in $PATH')
        return Program("component", f"labkit_test_parts:{argv[0]}"), tuple(argv[1:])
    if "::" in image:
        raise InvalidImageName(f'couldn\'t parse image name "{image}"')
    raise ImageNotFound(f'failed to resolve reference "{image}"', seen="not found")


@pytest.fixture(autouse=True)
def programs(monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    (folder / "labkit_test_server.py").write_text(SERVER)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setitem(sys.modules, "labkit_test_parts", PARTS)
    PARTS.seen.clear()
    PARTS.order.clear()
    return PARTS


@pytest.fixture
def run_dir():
    with tempfile.TemporaryDirectory(prefix="lk", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def node_config(tmp_path: Path, run_dir: Path, apiserver) -> NodeConfig:
    return NodeConfig(
        data_dir=tmp_path / "node",
        run_dir=run_dir,
        processes=ProcessTable(tmp_path / "state"),
        server=apiserver.url,
        ca_file=apiserver.ca_file,
        ca=apiserver.ca,
        kubelet_token=KUBELET_TOKEN,
        node_token=apiserver.token,
        pod_cidr="10.244.0.0/24",
        internal_ip="10.124.0.2",
        region="sfo3",
        find_program=find_program,
        has_shell=lambda image: image.startswith("test/parts:v"),
        volume_refresh_s=0.05,
        backoff_s=(0.2, 1.0),
    )


class Node:
    """A running agent and what tests do with it."""

    def __init__(self, kube: KubeClient, config: NodeConfig) -> None:
        self.kube = kube
        self.config = config
        self.agent: NodeAgent
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        proxy = NodeProxy("west", self.config, entry="labkit_test_parts:sleeper", patience_s=0.05)
        self.agent = NodeAgent(NODE, "west", self.kube, self.config, node_proxy=proxy)
        self.proxy = proxy
        self._task = asyncio.create_task(self.agent.run())
        ready = asyncio.create_task(self.agent.ready())
        await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})
            await self.proxy.stop()
            self._task = None

    async def create(self, spec: dict[str, Any], name: str = "web", **metadata: Any) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", **metadata},
            "spec": {"nodeName": NODE, "terminationGracePeriodSeconds": 2, **spec},
        }
        await self.kube.create(path_of("v1", "pods", "default"), body)

    async def pod(self, name: str = "web") -> dict[str, Any]:
        return await self.kube.get(path_of("v1", "pods", "default", name))

    async def wait(
        self,
        condition: Callable[[dict[str, Any]], Any],
        name: str = "web",
        *,
        within_s: float = 6,
    ) -> dict[str, Any]:
        """The pod, as soon as a condition on it holds."""
        found: dict[str, Any] = {}
        try:
            async with asyncio.timeout(within_s):
                while True:
                    found = await self.pod(name)
                    if condition(found):
                        return found
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"never became true; last status: {found.get('status')}")

    async def wait_gone(self, name: str = "web") -> None:
        async with asyncio.timeout(20):
            while await self._exists(name):
                await asyncio.sleep(0.02)

    async def _exists(self, name: str) -> bool:
        pods = await self.kube.list(path_of("v1", "pods", "default"))
        return name in [pod["metadata"]["name"] for pod in pods["items"]]


@pytest.fixture
async def node(kube: KubeClient, node_config: NodeConfig) -> AsyncIterator[Node]:
    """A node that is registered and waits for pods; the default service account exists."""
    for plural, name in (("serviceaccounts", "default"), ("configmaps", "kube-root-ca.crt")):
        body: dict[str, Any] = {"metadata": {"name": name}}
        if plural == "configmaps":
            body["data"] = {"ca.crt": "the cluster's CA"}
        with contextlib.suppress(KubeError):  # it may exist
            await kube.create(path_of("v1", plural, "default"), body)
    node = Node(kube, node_config)
    await node.start()
    yield node
    await node.stop()
