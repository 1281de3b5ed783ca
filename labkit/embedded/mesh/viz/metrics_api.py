"""The `metrics-api` container: figures of the mesh as JSON.

`GET /api/stat`, `/api/edges` and `/api/gateways` on port 8085. The figures come from Prometheus,
the existing workloads from Kubernetes. The real component speaks gRPC; JSON over HTTP is what the
lab's `linkerd` and the web page need.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiohttp import web

from labkit.embedded.informing import Informer
from labkit.embedded.kube import KubeClient, path_of
from labkit.embedded.mesh.programs import Container, Runtime, kube_client
from labkit.embedded.mesh.viz.peers import Peer, PeerUnavailable
from labkit.embedded.mesh.viz.prometheus import SOCKET as PROMETHEUS_SOCKET
from labkit.embedded.mesh.viz.resources import Resource, owner_labels, parse_resource
from labkit.embedded.mesh.viz.statistics import (
    Key,
    Row,
    StatRequest,
    edge_queries,
    edge_rows,
    gateway_rows,
    parse_stat_request,
    stat_queries,
    stat_rows,
)
from labkit.embedded.mesh.viz.targets import is_meshed
from labkit.embedded.serving import served
from labkit.errors import InputError

logger = logging.getLogger(__name__)

PORT = 8085
SOCKET = "metrics.sock"
"""Name of the unix socket for the web page, in the cluster's folder."""

MIRRORED = "mirror.linkerd.io/mirrored-service=true"
_CLUSTER = "mirror.linkerd.io/cluster-name"


async def run(container: Container, runtime: Runtime) -> int:
    """Run until cancelled; serves port 8085."""
    async with (
        kube_client(container, "metrics-api") as kube,
        Peer(container.run_dir / PROMETHEUS_SOCKET, "prometheus") as prometheus,
    ):
        figures = Figures(kube, prometheus)
        socket = container.app_sockets[PORT]
        async with served(create_app(figures), [socket], path=container.run_dir / SOCKET):
            runtime.log(f"metrics-api: listening on port {PORT}")
            await figures.run()
    return 0


class Figures:
    """Asks Prometheus and Kubernetes.

    Args:
        kube: the cluster.
        prometheus: answers queries.
    """

    def __init__(self, kube: KubeClient, prometheus: Peer) -> None:
        self._prometheus = prometheus
        self._pods = Informer(kube, path_of("v1", "pods"))
        self._mirrors = Informer(kube, path_of("v1", "services"), labelSelector=MIRRORED)

    async def run(self) -> None:
        """Follow pods and mirror Services until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pods.run(), name="metrics-api pods")
            tasks.create_task(self._mirrors.run(), name="metrics-api services")

    async def _ask(self, queries: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
        async def ask(query: str) -> list[dict[str, Any]]:
            answer = await self._prometheus.get("/api/v1/query", query=query)
            result: list[dict[str, Any]] = answer["data"]["result"]
            return result

        results = await asyncio.gather(*(ask(query) for query in queries.values()))
        return dict(zip(queries, results, strict=True))

    async def stat(self, request: StatRequest) -> list[Row]:
        """Rows of `linkerd viz stat -o json`, with `meshed_pods` and `running_pods`.

        Raises:
            PeerUnavailable: Prometheus did not answer.
        """
        await self._pods.synced()
        counts = _count_pods(request.resource, request.namespace, self._pods.select())
        known = [] if request.from_ else [key for key, (meshed, _) in counts.items() if meshed]
        rows = stat_rows(request, await self._ask(stat_queries(request)), known)
        for row in rows:
            key = (row["namespace"], row["name"])
            row["meshed_pods"], row["running_pods"] = counts.get(key, (0, 0))
        return rows

    async def edges(self, resource: Resource, namespace: str) -> list[Row]:
        """Rows of `linkerd viz edges -o json`.

        Raises:
            PeerUnavailable: Prometheus did not answer.
        """
        await self._pods.synced()
        identities = {}
        for pod in self._pods.select():
            own = owner_labels(pod)
            key = (own["namespace"], own.get(resource.label, ""))
            identities[key] = f"{own['serviceaccount']}.{own['namespace']}"
        return edge_rows(resource, await self._ask(edge_queries(resource, namespace)), identities)

    async def gateways(self) -> list[Row]:
        """Rows of `linkerd multicluster gateways -o json`.

        Raises:
            PeerUnavailable: Prometheus did not answer.
        """
        await self._mirrors.synced()
        services: dict[str, int] = {}
        for service in self._mirrors.select():
            cluster = service["metadata"]["labels"].get(_CLUSTER, "")
            services[cluster] = services.get(cluster, 0) + 1
        answers = await self._ask(
            {
                "alive": "gateway_alive and on (target_cluster_name) (gateway_enabled == 1)",
                "latency": "gateway_latency",
            }
        )
        return gateway_rows(answers["alive"], answers["latency"], services)


def _count_pods(
    resource: Resource, namespace: str, pods: Iterable[dict[str, Any]]
) -> dict[Key, tuple[int, int]]:
    """Meshed and running pods of each resource of a kind."""
    counts: dict[Key, tuple[int, int]] = {}
    for pod in pods:
        own = owner_labels(pod)
        name = own.get(resource.label)
        if (
            name is None
            or resource.name not in ("", name)
            or namespace not in ("", own["namespace"])
        ):
            continue
        if pod.get("status", {}).get("phase") != "Running":
            continue
        key = (own["namespace"], name)
        meshed, running = counts.get(key, (0, 0))
        counts[key] = (meshed + is_meshed(pod), running + 1)
    return counts


def create_app(figures: Figures) -> web.Application:
    """The application that the `metrics-api` container serves."""

    def answering(
        answer: Callable[[Mapping[str, str]], Awaitable[list[Row]]],
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                return web.json_response(await answer(request.query))
            except InputError as error:
                return web.json_response({"error": str(error)}, status=400)
            except PeerUnavailable as error:
                return web.json_response({"error": str(error)}, status=503)

        return handle

    async def stat(query: Mapping[str, str]) -> list[Row]:
        return await figures.stat(parse_stat_request(query))

    async def edges(query: Mapping[str, str]) -> list[Row]:
        resource = parse_resource(query.get("resource", "deployment"))
        return await figures.edges(resource, query.get("namespace", ""))

    async def gateways(_query: Mapping[str, str]) -> list[Row]:
        return await figures.gateways()

    async def ready(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application()
    app.router.add_get("/api/stat", answering(stat))
    app.router.add_get("/api/edges", answering(edges))
    app.router.add_get("/api/gateways", answering(gateways))
    app.router.add_get("/ready", ready)
    app.router.add_get("/ping", ready)
    return app
