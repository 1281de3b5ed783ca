"""The destination component: tells every proxy of a cluster whom it can reach, and how.

It watches the Kubernetes API and serves each meshed pod's Envoy its listeners, clusters and
routes on a unix socket. In the shared grouping the cluster's node proxy does that itself, and
this component only follows along.
"""

import asyncio

from labkit.embedded.envoy.types import CLUSTERS, LISTENERS, ROUTES
from labkit.embedded.envoy.xds import XdsServer
from labkit.embedded.mesh import names
from labkit.embedded.mesh.configuration import Configuration
from labkit.embedded.mesh.programs import Container, Runtime, kube_client
from labkit.embedded.mesh.serving import admin_application, chosen
from labkit.embedded.mesh.topology import Topology
from labkit.embedded.mesh.watching import TopologyWatcher
from labkit.embedded.serving import served

_PORTS = (8086, 9996)
_CLUSTERS_FIRST_S = 0.5
"""How long routes wait for proxies to take new clusters, so that none names an unknown one."""


class Destination:
    """Publishes configurations of all meshed pods.

    Args:
        container: for the folder of sockets.
        xds: where proxies ask.
    """

    def __init__(self, container: Container, xds: XdsServer) -> None:
        self._run_dir = container.run_dir
        self._xds = xds
        self._published: set[str] = set()
        self.synced = False

    async def update(self, topology: Topology) -> None:
        """Publish what follows from a topology; pods that are gone are forgotten."""
        configuration = Configuration(topology, self._run_dir)
        meshed = {pod.key: pod for pod in topology.pods if pod.meshed}
        changed = []
        late = []
        for key, pod in meshed.items():
            resources = configuration.meshed_pod(pod)
            if self._xds.publish(key, {CLUSTERS: resources[CLUSTERS]}):
                changed.append(key)
            late.append((key, {kind: resources[kind] for kind in (LISTENERS, ROUTES)}))
            await asyncio.sleep(0)
        waits = (self._xds.taken(k, CLUSTERS, timeout_s=_CLUSTERS_FIRST_S) for k in changed)
        await asyncio.gather(*waits)
        for key, resources in late:
            self._xds.publish(key, resources)
        for key in self._published - set(meshed):
            self._xds.forget(key)
        self._published = set(meshed)
        self.synced = True


async def run(container: Container, runtime: Runtime) -> int:
    """Run until cancelled."""
    xds = XdsServer(
        container.run_dir / "destination.sock",
        on_rejected=lambda node, kind: runtime.log(f"proxy of {node} refused its new {kind}"),
    )
    destination = Destination(container, xds)
    admin = admin_application(lambda: destination.synced)
    async with (
        kube_client(container, "linkerd-destination") as kube,
        served(admin, chosen(container.app_sockets, _PORTS)),
    ):
        await xds.start()
        runtime.log("destination: serving listeners, clusters and routes")
        try:
            if names.grouped():
                destination.synced = True
                await asyncio.Event().wait()
            await TopologyWatcher(kube, destination.update).run()
        finally:
            await xds.stop()
    return 0
