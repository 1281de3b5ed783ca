"""The cluster's own proxy: egress of pods without a sidecar, and the shared grouping.

Every pod's programs reach the network through an HTTP proxy. For pods outside the mesh it is a
listener of this one Envoy per cluster: plain HTTP and CONNECT, no certificate, no metrics. With
`LABKIT_PROXY_GROUPING=cluster` the same Envoy also hosts all meshed pods that have registered
with their certificate; their configuration comes from the same generator.

It is not a pod: nothing restarts it, so it restarts its Envoy itself.
"""

import asyncio
import contextlib
import json
import logging
import uuid
from pathlib import Path

from aiohttp import web

from labkit.embedded.envoy.admin import EnvoyAdmin
from labkit.embedded.envoy.bootstrap import bootstrap
from labkit.embedded.envoy.process import arguments
from labkit.embedded.envoy.types import CLUSTERS, LISTENERS, ROUTES, SECRETS, Json
from labkit.embedded.envoy.xds import XdsServer
from labkit.embedded.mesh import names
from labkit.embedded.mesh.configuration import Configuration
from labkit.embedded.mesh.programs import Container, Runtime, kube_client
from labkit.embedded.mesh.shared_proxy import ADMIN, SOCKET
from labkit.embedded.mesh.topology import Topology
from labkit.embedded.mesh.watching import TopologyWatcher
from labkit.embedded.serving import served

logger = logging.getLogger(__name__)

NODE_ID = "node"
_CLUSTERS_FIRST_S = 0.5
"""How long listeners and routes wait for Envoy to take new clusters."""
_BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)


class NodeProxy:
    """What the node proxy's Envoy is told.

    Args:
        run_dir: the cluster's folder of sockets.
        xds: serves it.
    """

    def __init__(self, run_dir: Path, xds: XdsServer) -> None:
        self._run_dir = run_dir
        self._xds = xds
        self._topology = Topology((), ())
        self._secrets: dict[str, list[Json]] = {}
        self._seen: set[str] = set()
        self.admin = EnvoyAdmin(run_dir / ADMIN)
        self._dirty = asyncio.Event()
        self._publish_secrets()

    async def update(self, topology: Topology) -> None:
        """Use a new topology."""
        self._topology = topology
        self._dirty.set()

    async def run(self) -> None:
        """Publish after each change, until cancelled."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._publish()

    async def _publish(self) -> None:
        configuration = Configuration(self._topology, self._run_dir)
        meshed = [pod for pod in self._topology.pods if pod.key in self._secrets and pod.meshed]
        plain = [pod for pod in self._topology.pods if not pod.meshed]
        parts = [configuration.unmeshed_pods(plain)]
        for pod in meshed:
            parts.append(configuration.meshed_pod(pod, prefix=f"{pod.key}|"))
            await asyncio.sleep(0)
        merged = {
            kind: [resource for part in parts for resource in part[kind]]
            for kind in (CLUSTERS, LISTENERS, ROUTES)
        }
        if self._xds.publish(NODE_ID, {CLUSTERS: merged[CLUSTERS]}):
            await self._xds.taken(NODE_ID, CLUSTERS, timeout_s=_CLUSTERS_FIRST_S)
        self._xds.publish(NODE_ID, {kind: merged[kind] for kind in (LISTENERS, ROUTES)})

    def _publish_secrets(self) -> None:
        secrets = [secret for pair in self._secrets.values() for secret in pair]
        self._xds.publish(NODE_ID, {SECRETS: secrets})

    def application(self) -> web.Application:
        """XDS for the Envoy, and `POST /register` for pods; it is held while the pod lives."""
        app = self._xds.application()
        app.router.add_post("/register", self._register)
        return app

    async def _register(self, request: web.Request) -> web.Response:
        body = await request.json()
        pod, secrets = str(body["pod"]), body["secrets"]
        if pod in self._seen and pod not in self._secrets:
            # Its sidecar is a new one with a new pipe, while Envoy still has the old one open.
            await self.admin.text("/reopen_logs", method="POST")
        self._seen.add(pod)
        self._secrets[pod] = secrets
        self._publish_secrets()
        self._dirty.set()
        try:
            await asyncio.Event().wait()
        finally:
            # A renewal registers again before this request ends; then the pod stays.
            if self._secrets.get(pod) is secrets:
                del self._secrets[pod]
                self._dirty.set()
        return web.Response()


async def _keep_envoy(container: Container, runtime: Runtime) -> None:
    """Run Envoy, again and again, until cancelled."""
    failures = 0
    while True:
        process = await _start_envoy(container, runtime)
        started = asyncio.get_running_loop().time()
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()
        runtime.log(f"node proxy: Envoy ended with {code}; it is started again")
        lived = asyncio.get_running_loop().time() - started
        failures = 0 if lived > 10 else min(failures + 1, len(_BACKOFF_S) - 1)
        await asyncio.sleep(_BACKOFF_S[failures])


async def _start_envoy(container: Container, runtime: Runtime) -> asyncio.subprocess.Process:
    socket = container.run_dir / SOCKET
    configuration = bootstrap(
        node_id=NODE_ID,
        cluster=container.cluster,
        admin_socket=container.run_dir / ADMIN,
        xds={names.XDS: socket, names.SDS: socket},
        dynamic_from=names.XDS,
        instance=uuid.uuid4().hex,
    )
    file = container.work_dir / "envoy.json"
    file.write_text(json.dumps(configuration))
    (container.run_dir / ADMIN).unlink(missing_ok=True)
    return await runtime.spawn(
        arguments(file, log_file=container.work_dir / "envoy.log"),
        name="envoy",
        env={},
        cwd=container.work_dir,
    )


async def live(run_dir: Path) -> bool:
    """Whether the node proxy's Envoy serves."""
    async with EnvoyAdmin(run_dir / ADMIN) as admin:
        return await admin.live()


async def run(container: Container, runtime: Runtime) -> int:
    """Run until cancelled.

    Args:
        container: of it, `cluster`, `run_dir`, `work_dir`, `server`, `token` and `ca_file` are
            used; the token must be allowed to read pods, services, endpoints, endpoint slices,
            namespaces and ConfigMaps of kube-system.
        runtime: starts Envoy.
    """
    xds = XdsServer(
        container.run_dir / SOCKET,
        on_rejected=lambda _, kind: runtime.log(f"node proxy: Envoy refused its new {kind}"),
    )
    proxy = NodeProxy(container.run_dir, xds)
    async with (
        proxy.admin,
        kube_client(container, "node-proxy") as kube,
        served(proxy.application(), path=container.run_dir / SOCKET),
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(_keep_envoy(container, runtime), name="node proxy: envoy")
        tasks.create_task(proxy.run(), name="node proxy: configuration")
        watcher = TopologyWatcher(kube, proxy.update, rules=names.grouped())
        tasks.create_task(watcher.run(), name="node proxy: watch")
    return 0
