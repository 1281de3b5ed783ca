"""A mesh without Kubernetes: real proxies, a real destination server, a small identity."""

import asyncio
import contextlib
import json
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from labkit import certs
from labkit.embedded.envoy.admin import EnvoyAdmin
from labkit.embedded.envoy.xds import XdsServer
from labkit.embedded.mesh import names, proxy
from labkit.embedded.mesh.destination import Destination
from labkit.embedded.mesh.topology_reader import TopologyReader
from labkit.embedded.node.programs import Container
from labkit.embedded.ports import allocate_port
from labkit.embedded.serving import served

Object = dict[str, Any]


def free_socket() -> str:
    return f"127.0.0.1:{allocate_port()}"


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 20) -> None:
    """Wait for a condition; a server that is not there yet is a "not yet"."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(OSError, aiohttp.ClientError):
                if await condition():
                    return
            await asyncio.sleep(0.02)


class NodeStandIn:
    """The part of a node that a component may ask."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.processes: list[asyncio.subprocess.Process] = []

    def log(self, line: str) -> None:
        self.lines.append(line)

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        name: str,  # noqa: ARG002
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(*argv, env=env, cwd=cwd)
        self.processes.append(process)
        return process


class Trust:
    """A root and an issuer."""

    def __init__(self) -> None:
        self.root = certs.create_root()
        self.issuer = certs.create_issuer(self.root)

    @property
    def anchors(self) -> str:
        return self.root.certificate.decode()


@dataclass
class MeshPod:
    """A pod whose proxy runs."""

    item: Object
    container: Container
    node: NodeStandIn
    task: "asyncio.Task[int] | None" = None

    @property
    def egress(self) -> str:
        return self.container.egress

    @property
    def sockets(self) -> Mapping[int, str]:
        return self.container.sockets

    @property
    def ip(self) -> str:
        return self.container.pod_ip


@dataclass
class MeshCluster:
    """One cluster: pods, services and the two components every proxy asks."""

    name: str
    run_dir: Path
    trust: Trust
    network: int
    pods: list[MeshPod] = field(default_factory=list)
    unmeshed: list[Object] = field(default_factory=list)
    services: list[Object] = field(default_factory=list)
    endpoints: list[Object] = field(default_factory=list)
    routes: dict[str, str] = field(default_factory=dict)
    policies: dict[str, list[Object]] = field(default_factory=dict)
    http_routes: list[Object] = field(default_factory=list)
    lifetime: timedelta = timedelta(hours=24)
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def start(self) -> None:
        self.xds = XdsServer(self.run_dir / "destination.sock")
        await self.xds.start()
        self.stack.push_async_callback(self.xds.stop)
        self.destination = Destination(self, self.xds)  # type: ignore[arg-type]
        app = web.Application()
        app.router.add_post("/certify", self._certify)
        await self.stack.enter_async_context(served(app, path=self.run_dir / "identity.sock"))

    async def _certify(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = body["token"]
        chain = certs.sign_csr(
            self.trust.issuer, body["csr"].encode(), dns_name=name, valid_for=self.lifetime
        )
        return web.json_response(
            {"chain": chain.decode(), "trust_roots": self.trust.anchors, "name": name}
        )

    def add_pod(
        self,
        name: str,
        *,
        app: Mapping[int, str] | None = None,
        account: str = "default",
        namespace: str = "emojivoto",
        gateway: bool = False,
        meshed: bool = True,
    ) -> MeshPod:
        """A pod object with sockets, and the container of its sidecar."""
        app = dict(app or {})
        uid = str(uuid.uuid4())
        number = len(self.pods) + len(self.unmeshed) + 5
        ip = f"10.{self.network}.0.{number}"
        sockets = dict(app)
        if meshed:
            ports = [*app, *((4143,) if gateway else ()), 4190, 4191]
            sockets = {port: free_socket() for port in ports}
        egress = free_socket()
        annotations = {
            names.SOCKETS: json.dumps(sockets),
            names.APP_SOCKETS: json.dumps(app),
            names.EGRESS: egress,
        }
        if gateway:
            annotations[names.ENABLE_GATEWAY] = "true"
        container = [{"name": "app", "ports": [{"containerPort": port} for port in app]}]
        item: Object = {
            "metadata": {
                "namespace": namespace,
                "name": f"{name}-77f8-abcde",
                "uid": uid,
                "annotations": annotations,
                "labels": {"app": name, "pod-template-hash": "77f8"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": f"{name}-77f8"}],
            },
            "spec": {
                "serviceAccountName": account,
                "containers": container,
                "initContainers": [{"name": "linkerd-proxy"}] if meshed else [],
            },
            "status": {"podIP": ip, "hostIP": "10.124.0.2", "phase": "Running"},
        }
        work_dir = self.run_dir / uid[:8]
        work_dir.mkdir()
        made = MeshPod(
            item,
            Container(
                cluster=self.name,
                namespace=namespace,
                pod=item["metadata"]["name"],
                pod_uid=uid,
                pod_ip=ip,
                service_account=account,
                labels=item["metadata"]["labels"],
                annotations=annotations,
                name="linkerd-proxy",
                image="cr.l5d.io/linkerd/proxy:edge-26.6.3",
                argv=(),
                env={},
                app_sockets=app,
                sockets=sockets,
                egress=egress,
                root=work_dir,
                run_dir=self.run_dir,
                work_dir=work_dir,
                server="https://127.0.0.1:1",
                token=names.identity_of(account, namespace),
                ca_file=work_dir / "ca.crt",
            ),
            NodeStandIn(),
        )
        if meshed:
            self.pods.append(made)
        else:
            self.unmeshed.append(item)
        return made

    def add_service(
        self, name: str, pod: MeshPod | None, port: int, target: int, namespace: str = "emojivoto"
    ) -> None:
        """A service with the pod as its endpoint."""
        metadata = {"namespace": namespace, "name": name}
        self.services.append(
            {
                "metadata": metadata,
                "spec": {
                    "clusterIP": f"10.96.0.{len(self.services) + 10}",
                    "ports": [{"name": "http", "port": port}],
                },
            }
        )
        addresses = [{"ip": pod.ip}] if pod else []
        self.endpoints.append(
            {
                "metadata": metadata,
                "subsets": [{"addresses": addresses, "ports": [{"name": "http", "port": target}]}],
            }
        )

    def add_mirror(self, service: str, cluster: str, address: str, *, identity: str) -> None:
        """The mirror of another cluster's service."""
        labels = {names.MIRRORED: "true", names.MIRROR_CLUSTER: cluster}
        remote = names.service_name(service, "emojivoto")
        metadata: Object = {"namespace": "emojivoto", "name": f"{service}-{cluster}"}
        metadata |= {"labels": labels, "annotations": {names.REMOTE_NAME: remote}}
        self.services.append(
            {
                "metadata": metadata,
                "spec": {"clusterIP": "10.96.9.9", "ports": [{"name": "http", "port": 80}]},
            }
        )
        subset = {"addresses": [{"ip": address}], "ports": [{"name": "http", "port": 4143}]}
        annotations = {names.REMOTE_NAME: remote, names.REMOTE_IDENTITY: identity}
        self.endpoints.append(
            {"metadata": metadata | {"annotations": annotations}, "subsets": [subset]}
        )

    async def publish(self) -> None:
        """What the destination component does after a change."""
        topology = TopologyReader(
            pods=[*(pod.item for pod in self.pods), *self.unmeshed],
            services=self.services,
            endpoints=self.endpoints,
            routes=self.routes,
            policies=self.policies,
            http_routes=self.http_routes,
        ).read()
        await self.destination.update(topology)

    async def run(self, pod: MeshPod, *, wait: bool = True) -> None:
        """Start the pod's sidecar."""
        pod.task = asyncio.create_task(proxy.run(pod.container, pod.node))
        if wait:
            await until(lambda: is_ready(pod))

    async def stop(self) -> None:
        tasks = [pod.task for pod in self.pods if pod.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.stack.aclose()


async def is_ready(pod: MeshPod) -> bool:
    """What the kubelet's readiness probe sees."""
    if pod.task is not None and pod.task.done():
        raise AssertionError(f"the proxy has ended: {pod.task!r}: {pod.node.lines}")
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://{pod.sockets[4191]}/ready") as response,
        ):
            return response.status == 200
    except (aiohttp.ClientError, OSError):
        return False


async def fetch(pod: MeshPod, url: str, **options: Any) -> tuple[int, str, Mapping[str, str]]:
    """What a program of the pod gets through its `http_proxy`."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(url, proxy=f"http://{pod.egress}", **options) as response,
    ):
        return response.status, await response.text(), response.headers


async def metrics_answer(pod: MeshPod) -> tuple[int, str]:
    """Status and text of the proxy's /metrics."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://{pod.sockets[4191]}/metrics") as response,
    ):
        return response.status, await response.text()


async def metrics_of(pod: MeshPod) -> str:
    """The text of the proxy's /metrics."""
    status, text = await metrics_answer(pod)
    assert status == 200
    return text


@pytest.fixture
def folder() -> "Any":
    """A folder with a path short enough for unix sockets."""
    path = Path(tempfile.mkdtemp(prefix="lk"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def trust() -> Trust:
    return Trust()


def admin_of(pod: MeshPod) -> EnvoyAdmin:
    """The admin interface of the pod's Envoy."""
    return EnvoyAdmin(names.pod_socket(pod.container.run_dir, pod.container.pod_uid, "admin"))


@contextlib.asynccontextmanager
async def tap(pod: MeshPod) -> AsyncIterator[Callable[[], Awaitable[Object]]]:
    """Listen to the pod's tap; yields a function that waits for the next event."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http,
        http.get(f"http://{pod.sockets[4190]}/tap") as response,
    ):
        assert response.status == 200

        async def event() -> Object:
            return json.loads(await response.content.readline())

        yield event


MakeCluster = Callable[..., Awaitable[MeshCluster]]


@pytest.fixture
async def make_cluster(folder: Path, trust: Trust) -> AsyncIterator[MakeCluster]:
    """Makes clusters that share a trust anchor unless told otherwise."""
    made: list[MeshCluster] = []

    async def make(name: str = "west", own_trust: Trust | None = None) -> MeshCluster:
        run_dir = folder / name
        run_dir.mkdir(mode=0o700)
        cluster = MeshCluster(name, run_dir, own_trust or trust, 244 + len(made))
        await cluster.start()
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        await cluster.stop()


StartApp = Callable[..., Awaitable[str]]


@pytest.fixture
async def start_app() -> AsyncIterator[StartApp]:
    """Starts an HTTP application that answers what it saw; returns its address."""
    runners: list[web.AppRunner] = []

    async def seen(request: web.Request) -> web.Response:
        status = int(request.query.get("status", "200"))
        headers = {name.lower(): value for name, value in request.headers.items()}
        return web.json_response({"host": request.host, "headers": headers}, status=status)

    async def start() -> str:
        app = web.Application()
        app.router.add_get("/{any:.*}", seen)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        address = free_socket()
        host, port = address.split(":")
        await web.TCPSite(runner, host, int(port)).start()
        runners.append(runner)
        return address

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
def mesh() -> SimpleNamespace:
    """The helpers of this file, for tests (test folders are not packages)."""
    return SimpleNamespace(
        fetch=fetch,
        metrics_of=metrics_of,
        metrics_answer=metrics_answer,
        until=until,
        tap=tap,
        admin_of=admin_of,
        is_ready=is_ready,
        free_socket=free_socket,
        Trust=Trust,
        NodeStandIn=NodeStandIn,
    )


class Forwarder:
    """A relay without delay: bytes in, bytes out; it can be cut."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self.target.split(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        ways = ((reader, far_writer), (far_reader, writer))
        tasks = [asyncio.create_task(self._pipe(*way)) for way in ways]
        self.tasks.update(tasks)

    @staticmethod
    async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def stop(self) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@dataclass
class TwoClusters:
    """West's vote-bot, a relay, and east's gateway and web."""

    west: MeshCluster
    east: MeshCluster
    bot: MeshPod
    gateway: MeshPod
    web: MeshPod
    relay: Forwarder


@pytest.fixture
async def two_clusters(
    make_cluster: MakeCluster, start_app: StartApp
) -> AsyncIterator[Callable[..., Awaitable[TwoClusters]]]:
    """Builds the lab's chain; nothing is started yet when `run` is false."""
    relays: list[Forwarder] = []

    async def build(*, west_trust: Trust | None = None, run: bool = True) -> TwoClusters:
        west = await make_cluster("west", west_trust)
        east = await make_cluster("east")
        bot = west.add_pod("vote-bot")
        gateway = east.add_pod(
            "linkerd-gateway",
            account="linkerd-gateway",
            namespace="linkerd-multicluster",
            gateway=True,
        )
        web = east.add_pod("web", app={8080: await start_app()}, account="web")
        east.add_service("web-svc", web, 80, 8080)
        relay = Forwarder(gateway.sockets[4143])
        relays.append(relay)
        west.routes = {"203.0.113.10_4143": json.dumps([await relay.start()])}
        west.add_mirror("web-svc", "east", "203.0.113.10", identity=GATEWAY)
        await west.publish()
        await east.publish()
        if run:
            await asyncio.gather(west.run(bot), east.run(gateway), east.run(web))
        return TwoClusters(west, east, bot, gateway, web, relay)

    yield build
    for relay in relays:
        await relay.stop()


GATEWAY = names.identity_of("linkerd-gateway", "linkerd-multicluster")
