"""Mirrors the exported Services of one target cluster while one Link exists.

Work is level-triggered: every change on either side only says *which* Service to look at; what to
do follows from the state read then. So a lost event, a restart or a deleted mirror Service ends in
the same state. The watcher stops with its Link but leaves the mirrors, as Linkerd does.

Gateway mode and remote discovery are done; federated services are not.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from labkit.embedded.informing import Informer, WorkQueue
from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.mesh import mirror_objects as objects
from labkit.embedded.mesh.gateway_probe import GatewayMetrics, GatewayProbe
from labkit.embedded.mesh.mirror_link import LinkSpec, Mode, is_address
from labkit.embedded.mesh.mirror_status import LinkStatus
from labkit.embedded.mesh.mirror_writer import MirrorWriter

logger = logging.getLogger(__name__)

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name of a Service of the target cluster."""

REFRESH_S = 60.0
"""Gateway names are resolved and all mirrors looked at again this often, as in Linkerd."""

_RETRIES_S = (0.2, 1.0, 3.0)
_PROBE_KEY: Key = ("", "")
"""Stands for the probe Service's Endpoints in the queue."""


@dataclass(frozen=True)
class Place:
    """Where the controller runs.

    Attributes:
        namespace: of the Link, the credentials and the probe Service.
        probe_service: name of the probe Service.
        egress: the pod's http_proxy.
    """

    namespace: str
    probe_service: str
    egress: str


class ClusterWatcher:
    """Runs one link.

    Args:
        link: what to mirror.
        status: the Link's status, written by this watcher only.
        local: client of the cluster with the mirrors (the source).
        target: client of the exporting cluster.
        place: where the controller runs.
        metrics: of the gateway.
        log: one line for the container's log.
    """

    def __init__(
        self,
        link: LinkSpec,
        *,
        status: LinkStatus,
        local: KubeClient,
        target: KubeClient,
        place: Place,
        metrics: GatewayMetrics,
        log: Callable[[str], None],
    ) -> None:
        self._link, self._status, self._place = link, status, place
        self._local, self._target = local, target
        self._metrics, self._log = metrics, log
        self._writer = MirrorWriter(local, link)
        self._alive = True
        self._addresses: tuple[str, ...] = ()
        self._queue: WorkQueue[Key] = WorkQueue()
        self._failures: dict[Key, int] = {}
        self._skipped: set[Key] = set()
        own = f"{objects.MIRRORED_SERVICE}=true,{objects.CLUSTER_NAME}={link.cluster}"
        self._services = Informer(target, path_of("v1", "services"), on_change=self._on_remote)
        self._endpoints = Informer(target, path_of("v1", "endpoints"), on_change=self._on_remote)
        self._namespaces = Informer(
            local, path_of("v1", "namespaces"), on_change=self._on_namespace
        )
        self._mirrors = Informer(
            local, path_of("v1", "services"), on_change=self._on_mirror, labelSelector=own
        )
        self._mirror_endpoints = Informer(
            local, path_of("v1", "endpoints"), on_change=self._on_mirror, labelSelector=own
        )

    async def run(self) -> None:
        """Mirror until cancelled.

        Raises:
            KubeError: the target cannot be reached at the start.
        """
        await self._target.list(path_of("v1", "services"), limit=1)
        self._log(f"link {self._link.name}: connected to {self._target.server}")
        informers = (
            self._services,
            self._endpoints,
            self._namespaces,
            self._mirrors,
            self._mirror_endpoints,
        )
        async with asyncio.TaskGroup() as tasks:
            for informer in informers:
                tasks.create_task(informer.run(), name=f"mirror informer {informer.path}")
            for informer in informers:
                await informer.synced()
            await self._resolve()
            self._status.forget_except(self._exported())
            self._add_all()
            tasks.create_task(self._refresh(), name="mirror refresh")
            tasks.create_task(self._status.run(), name="mirror link status")
            if self._link.gateway_addresses:
                tasks.create_task(self._probe().run(), name="mirror gateway probe")
            await self._work()

    def _probe(self) -> GatewayProbe:
        place, spec = self._place, self._link.probe
        return GatewayProbe(
            f"http://{place.probe_service}.{place.namespace}:{spec.port}{spec.path}",
            egress=place.egress,
            spec=spec,
            metrics=self._metrics,
            on_change=self._on_liveness,
        )

    # -- what changed ---------------------------------------------------------------------------

    def _on_remote(self, _change: str, item: Object) -> None:
        metadata = item["metadata"]
        self._queue.add((metadata["namespace"], metadata["name"]))

    def _on_mirror(self, _change: str, item: Object) -> None:
        metadata = item["metadata"]
        name = metadata["name"].removesuffix(f"-{self._link.cluster}")
        self._queue.add((metadata["namespace"], name))

    def _on_namespace(self, _change: str, item: Object) -> None:
        for key in self._services.store:
            if key[0] == item["metadata"]["name"]:
                self._queue.add(key)

    def _on_liveness(self, alive: bool) -> None:  # noqa: FBT001 - a callback's only argument
        self._alive = alive
        self._log(f"link {self._link.name}: gateway {'alive' if alive else 'dead'}")
        self._add_all()

    def _exported(self) -> Iterable[Key]:
        return [k for k, s in self._services.store.items() if self._link.mode_of(s) is not None]

    def _add_all(self) -> None:
        suffix = f"-{self._link.cluster}"
        mirrored = [(ns, name.removesuffix(suffix)) for ns, name in self._mirrors.store]
        for key in {*self._exported(), *mirrored, _PROBE_KEY}:
            self._queue.add(key)

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            await self._resolve()
            self._metrics.repairs += 1
            self._add_all()

    async def _resolve(self) -> None:
        found: set[str] = set()
        for address in self._link.gateway_addresses:
            if is_address(address):
                found.add(address)
                continue
            loop = asyncio.get_running_loop()
            try:
                answers = await loop.getaddrinfo(address, None, type=socket.SOCK_STREAM)
            except OSError as error:
                self._log(f"link {self._link.name}: gateway {address} has no address: {error}")
            else:
                found |= {str(answer[4][0]) for answer in answers}
        self._addresses = tuple(sorted(found))

    # -- what to do -----------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._reconcile(key)
                self._failures.pop(key, None)
            except KubeError as error:
                self._retry(key, error)
            finally:
                self._queue.done(key)

    def _retry(self, key: Key, error: KubeError) -> None:
        count = self._failures.get(key, 0)
        if count < len(_RETRIES_S):
            self._failures[key] = count + 1
            self._queue.add_after(key, _RETRIES_S[count])
            return
        # The next refresh tries again.
        self._failures.pop(key)
        self._log(f"link {self._link.name}: {'/'.join(key)} given up: {error}")
        if key != _PROBE_KEY:
            self._status.set(key, reason="Error", message=str(error))

    async def _reconcile(self, key: Key) -> None:
        if key == _PROBE_KEY:
            await self._ensure_probe()
            return
        remote = self._services.store.get(key)
        mode = None if remote is None else self._link.mode_of(remote)
        if remote is None or mode is None:
            await self._remove(key)
            return
        if not self._has_namespace(key[0]):
            await self._skip(key, remote)
            return
        self._skipped.discard(key)
        if mode == "gateway" and not self._link.gateway_addresses:
            message = "the link has no gateway; export the service for remote discovery"
            self._status.set(key, reason="InvalidService", message=message)
            return
        await self._mirror(key, remote, mode)

    def _has_namespace(self, name: str) -> bool:
        namespace = self._namespaces.store.get(("", name))
        return namespace is not None and "deletionTimestamp" not in namespace["metadata"]

    async def _mirror(self, key: Key, remote: Object, mode: Mode) -> None:
        service = objects.mirror_service(remote, self._link, mode)
        mirror_name = service["metadata"]["name"]
        outcome = await self._writer.ensure_service(service)
        if outcome == "foreign":
            message = f"Service {mirror_name} exists and is not a mirror"
            self._status.set(key, reason="Error", message=message)
            return
        if outcome == "created":
            self._log(f"link {self._link.name}: created Service {key[0]}/{mirror_name}")
        if mode == "gateway":
            pods = objects.has_ready_addresses(self._endpoints.store.get(key))
            await self._writer.ensure_endpoints(
                objects.mirror_endpoints(
                    remote, self._link, addresses=self._addresses, alive=self._alive, has_pods=pods
                )
            )
        else:
            await self._drop_endpoints(key[0], mirror_name)
        self._status.set(key, reason="Mirrored")

    async def _ensure_probe(self) -> None:
        if not self._link.gateway_addresses:
            return
        name, namespace = self._place.probe_service, self._place.namespace
        await self._writer.ensure_endpoints(
            objects.probe_endpoints(name, namespace, self._link, addresses=self._addresses)
        )

    async def _remove(self, key: Key) -> None:
        namespace, name = key[0], objects.mirror_name(key[1], self._link)
        self._skipped.discard(key)
        if (namespace, name) in self._mirrors.store:
            await self._writer.delete("services", namespace, name)
            self._log(f"link {self._link.name}: deleted Service {namespace}/{name}")
        await self._drop_endpoints(namespace, name)
        self._status.remove(key)

    async def _drop_endpoints(self, namespace: str, name: str) -> None:
        if (namespace, name) in self._mirror_endpoints.store:
            await self._writer.delete("endpoints", namespace, name)

    async def _skip(self, key: Key, remote: Object) -> None:
        message = f"Skipped mirroring service: namespace does not exist: {key[0]}"
        self._status.set(key, reason="MissingNamespace", message=message)
        if key in self._skipped:
            return
        self._skipped.add(key)
        self._log(f"link {self._link.name}: {message}")
        event = objects.skipped_event(remote, message)
        try:
            await self._target.create(path_of("v1", "events", key[0]), event)
        except KubeError as error:
            logger.warning("no event on %s: %s", "/".join(key), error)
