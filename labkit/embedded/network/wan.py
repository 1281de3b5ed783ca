"""The network between clusters: who reaches which public address through which socket.

For each address and port of a LoadBalancer service, every cluster gets a socket: the target pods'
own sockets in the service's cluster, and in any other cluster a listener of the WAN relay that adds
the round trip between the two regions. The result is written to the ConfigMap
``kube-system/network-routes`` of every cluster, for proxies to read:
``{"203.0.113.10_4143": '["127.0.0.1:45001"]'}``.

It deliberately does not watch the round-trip table; `WideAreaNetwork.change` applies a new one
live.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from labkit.embedded.informing import Informer
from labkit.embedded.kube import KubeError, path_of
from labkit.embedded.network.relay_pipes import RouteSpec
from labkit.embedded.network.relay_process import RelayProcess
from labkit.embedded.network.wan_config import WanConfig
from labkit.embedded.network.watched_cluster import Address, ClusterNetwork, WatchedCluster
from labkit.embedded.ports import allocate_port, release_port
from labkit.embedded.processes import ProcessTable
from labkit.errors import StateError

logger = logging.getLogger(__name__)

__all__ = ["ClusterNetwork", "WanConfig", "WideAreaNetwork", "run"]

ROUTES_NAME = "network-routes"
ROUTES_NAMESPACE = "kube-system"
_RUNNING = "status.phase=Running"
_SETTLE_S = 0.01
_RETRY_S = 0.5
_SYNC_S = 5.0


class WideAreaNetwork:
    """Keeps the relay's routes and every cluster's ``network-routes``.

    Args:
        wan: round trips.
        run_dir: folder for the relay's control socket.
        log_file: of the relay process.
        processes: the lab's table of child processes.
    """

    def __init__(
        self, wan: WanConfig, *, run_dir: Path, log_file: Path, processes: ProcessTable
    ) -> None:
        self.wan = wan
        self.relay = RelayProcess(
            run_dir / "relay.sock", log_file=log_file, processes=processes, on_start=self._changed
        )
        self._clusters: dict[str, WatchedCluster] = {}
        self._ports: dict[str, int] = {}
        self._sent: dict[str, RouteSpec] = {}
        self._dirty = asyncio.Event()
        self._settled = asyncio.Event()

    def add(self, cluster: ClusterNetwork) -> None:
        """Take a cluster in.

        Raises:
            InputError: no round trip to one of the others is known.
        """
        for other in self._clusters.values():
            self.wan.rtt_ms(cluster.region, other.cluster.region)
        watched = WatchedCluster(
            cluster,
            services=self._informer(cluster, path_of("v1", "services")),
            slices=self._informer(cluster, path_of("discovery.k8s.io/v1", "endpointslices")),
            # Others have no sockets; the server leaves them out at a fraction of the cost.
            pods=self._informer(cluster, path_of("v1", "pods"), fieldSelector=_RUNNING),
        )
        for informer in (watched.services, watched.slices, watched.pods):
            name = f"network of {cluster.name}: {informer.path}"
            watched.tasks.append(asyncio.create_task(informer.run(), name=name))
        self._clusters[cluster.name] = watched
        self._dirty.set()

    def _informer(self, cluster: ClusterNetwork, path: str, **query: object) -> Informer:
        return Informer(cluster.kube, path, on_change=lambda *_: self._dirty.set(), **query)

    async def remove(self, name: str) -> None:
        """Leave a cluster out; its addresses vanish everywhere."""
        watched = self._clusters.pop(name, None)
        if watched:
            await _cancel(watched.tasks)
        self._dirty.set()

    def change(self, wan: WanConfig) -> None:
        """Apply other round trips to the bytes that come from now on."""
        self.wan = wan
        self._settled.clear()
        self._dirty.set()

    async def settled(self) -> None:
        """Wait until the relay and every cluster know what was changed before."""
        await self._settled.wait()

    async def run(self) -> None:
        """Work until cancelled; the relay ends with it."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.relay.run(), name="WAN relay")
                group.create_task(self._reconcile(), name="WAN routes")
        finally:
            for watched in self._clusters.values():
                await _cancel(watched.tasks)
            for port in self._ports.values():
                release_port(port)
            self._ports.clear()

    async def _reconcile(self) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(_SETTLE_S)
            self._dirty.clear()
            try:
                await self._apply()
                if not self._dirty.is_set():
                    self._settled.set()
            except (KubeError, StateError, OSError) as error:
                logger.warning("the routes between clusters are not up to date: %s", error)
                await asyncio.sleep(_RETRY_S)
                self._dirty.set()

    async def _apply(self) -> None:
        """Relay first, so that a published socket is one that listens."""
        clusters = list(self._clusters.values())
        for watched in clusters:
            try:
                async with asyncio.timeout(_SYNC_S):
                    for informer in (watched.services, watched.slices, watched.pods):
                        await informer.synced()
            except TimeoutError as error:
                name = watched.cluster.name
                raise StateError(f"Cluster {name} cannot be read", fix="trying again") from error
        public = {watched.cluster.name: watched.public() for watched in clusters}
        routes = self._routes(public)
        if routes != self._sent:
            await self._send(routes)
        for watched in clusters:
            await self._publish(watched, self._table(watched, public))

    def _routes(
        self, public: Mapping[str, Mapping[Address, tuple[str, ...]]]
    ) -> dict[str, RouteSpec]:
        routes = {}
        for source in self._clusters.values():
            for name, addresses in public.items():
                if name == source.cluster.name:
                    continue
                region = self._clusters[name].cluster.region
                rtt = self.wan.rtt_ms(source.cluster.region, region)
                for (ip, port), targets in addresses.items():
                    route = _route_id(source.cluster.name, name, ip, port)
                    routes[route] = RouteSpec(
                        id=route,
                        listen=f"127.0.0.1:{self._port(route)}",
                        targets=targets,
                        rtt_ms=rtt,
                        jitter_ms=self.wan.jitter_ms,
                        jitter_law=self.wan.jitter_law,
                        loss=self.wan.loss,
                        blackhole=self.wan.blackhole,
                        seed=self.wan.seed,
                    )
        return routes

    def _port(self, route: str) -> int:
        if route not in self._ports:
            self._ports[route] = allocate_port()
        return self._ports[route]

    async def _send(self, routes: dict[str, RouteSpec]) -> None:
        client = await self.relay.client()
        await client.put_all(routes)
        self._sent = dict(routes)
        for gone in set(self._ports) - set(routes):
            release_port(self._ports.pop(gone))

    def _changed(self) -> None:
        """The relay began anew, without routes."""
        self._sent = {}
        self._dirty.set()

    def _table(
        self, watched: WatchedCluster, public: Mapping[str, Mapping[Address, tuple[str, ...]]]
    ) -> dict[str, str]:
        table = {}
        own = watched.cluster.name
        for name, addresses in public.items():
            for (ip, port), targets in addresses.items():
                route = _route_id(own, name, ip, port)
                there = list(targets) if name == own else [f"127.0.0.1:{self._ports[route]}"]
                table[f"{ip}_{port}"] = json.dumps(there)
        return table

    async def _publish(self, watched: WatchedCluster, table: dict[str, str]) -> None:
        if table == watched.written:
            return
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": ROUTES_NAME, "namespace": ROUTES_NAMESPACE},
            "data": table,
        }
        kube = watched.cluster.kube
        try:
            await kube.replace(path_of("v1", "configmaps", ROUTES_NAMESPACE, ROUTES_NAME), body)
        except KubeError as error:
            if error.status != 404:
                raise
            await kube.create(path_of("v1", "configmaps", ROUTES_NAMESPACE), body)
        watched.written = table


def _route_id(source: str, target: str, ip: str, port: int) -> str:
    return f"{source}.{target}.{ip}.{port}"


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)


async def run(
    clusters: Mapping[str, ClusterNetwork],
    wan: WanConfig,
    *,
    run_dir: Path,
    log_file: Path,
    processes: ProcessTable,
) -> None:
    """Run the network of a fixed set of clusters until cancelled."""
    network = WideAreaNetwork(wan, run_dir=run_dir, log_file=log_file, processes=processes)
    for cluster in clusters.values():
        network.add(cluster)
    await network.run()
