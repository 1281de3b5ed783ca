"""Follows the Kubernetes objects that decide what can be reached, and calls back on changes."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from labkit.embedded.informing import Informer
from labkit.embedded.kube import KubeClient, path_of
from labkit.embedded.mesh.policies import GROUP, KINDS
from labkit.embedded.mesh.splits import SOURCES
from labkit.embedded.mesh.topology import Topology
from labkit.embedded.mesh.topology_reader import TopologyReader

logger = logging.getLogger(__name__)

DEBOUNCE_S = 0.02
"""A rollout changes many objects at once; they become one new configuration."""


class TopologyWatcher:
    """The topology of a cluster, kept current.

    Args:
        kube: client of the cluster's API server.
        on_change: awaited with each new topology, one at a time.
        rules: follow Linkerd's policies and HTTPRoutes, too; only meshed pods obey them.
    """

    def __init__(
        self,
        kube: KubeClient,
        on_change: Callable[[Topology], Awaitable[None]],
        *,
        rules: bool = True,
    ) -> None:
        self._on_change = on_change
        self._dirty = asyncio.Event()
        core = {
            name: self._informer(kube, path_of("v1", name))
            for name in ("pods", "services", "endpoints", "namespaces")
        }
        self._objects = core
        self._slices = self._informer(kube, path_of("discovery.k8s.io/v1", "endpointslices"))
        self._routes = self._informer(
            kube,
            path_of("v1", "configmaps", "kube-system"),
            fieldSelector="metadata.name=network-routes",
        )
        # Their kinds may not be there: nobody waits for them.
        self._policies = {
            plural: self._informer(kube, path_of(f"{GROUP}/{version}", plural))
            for plural, version in KINDS.items()
            if rules
        }
        self._http_routes = [
            self._informer(kube, path_of(version, plural)) for version, plural in SOURCES if rules
        ]

    def _informer(self, kube: KubeClient, path: str, **query: str) -> Informer:
        return Informer(kube, path, on_change=self._changed, **query)

    def _changed(self, _change: str, _item: object) -> None:
        self._dirty.set()

    async def run(self) -> None:
        """Follow until cancelled; the first call comes when everything has been listed."""
        informers = [*self._objects.values(), self._slices, self._routes]
        async with asyncio.TaskGroup() as tasks:
            for informer in (*informers, *self._policies.values(), *self._http_routes):
                tasks.create_task(informer.run(), name=f"mesh watches {informer.path}")
            for informer in informers:
                await informer.synced()
            self._dirty.set()
            while True:
                await self._dirty.wait()
                await asyncio.sleep(DEBOUNCE_S)
                self._dirty.clear()
                await self._report()

    async def _report(self) -> None:
        started = time.perf_counter()
        try:
            topology = self._read()
        except (KeyError, TypeError, ValueError, AttributeError):
            logger.exception("the cluster's objects could not be read; the old topology stays")
            return
        await self._on_change(topology)
        logger.debug("new topology in %.1f ms", (time.perf_counter() - started) * 1000)

    def _read(self) -> Topology:
        routes = [
            item.get("data") or {}
            for (_, name), item in self._routes.store.items()
            if name == "network-routes"
        ]
        return TopologyReader(
            pods=list(self._objects["pods"].store.values()),
            services=list(self._objects["services"].store.values()),
            endpoints=list(self._objects["endpoints"].store.values()),
            namespaces=list(self._objects["namespaces"].store.values()),
            slices=list(self._slices.store.values()),
            routes=routes[0] if routes else {},
            policies={
                plural: list(informer.store.values()) for plural, informer in self._policies.items()
            },
            http_routes=[
                item for informer in self._http_routes for item in informer.store.values()
            ],
        ).read()
