"""The `prometheus` container: scrapes the mesh and answers Prometheus' HTTP API.

Served: query, query_range, series, labels, label values, targets, build information, readiness.
Rules, alerts, exemplars, metadata and remote storage are not; their paths answer 404.
"""

import asyncio
import contextlib
import logging
import time
from pathlib import Path

from labkit.embedded.informing import Informer
from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.mesh.programs import Container, Runtime, kube_client
from labkit.embedded.mesh.viz.prometheus_api import create_app
from labkit.embedded.mesh.viz.scrape import ScrapePool
from labkit.embedded.mesh.viz.targets import scrape_interval_s, targets_of
from labkit.embedded.mesh.viz.tsdb import Database
from labkit.embedded.serving import served

logger = logging.getLogger(__name__)

PORT = 9090
SOCKET = "prom.sock"
"""Name of the unix socket for metrics-api, in the cluster's folder."""

CONFIGURATION = "etc/prometheus/prometheus.yml"
"""Where the volume of ConfigMap prometheus-config is mounted."""

_CONFIG_MAP = "prometheus-config"
_EXPIRE_EVERY_S = 300.0


async def run(container: Container, runtime: Runtime) -> int:
    """Run until cancelled.

    Args:
        container: what the node says about the container; port 9090 is served.
        runtime: the node's log.
    """
    database = Database()
    async with kube_client(container, "prometheus") as kube:
        configuration = Configuration(container.root / CONFIGURATION)
        pool = ScrapePool(database, interval_s=configuration.interval_s)
        changed = asyncio.Event()
        pods = Informer(kube, path_of("v1", "pods"), on_change=lambda *_: changed.set())
        async with (
            served(
                create_app(database, pool),
                [container.app_sockets[PORT]],
                path=container.run_dir / SOCKET,
            ),
            asyncio.TaskGroup() as tasks,
        ):
            runtime.log(f"prometheus: listening on port {PORT}, retention 6h in memory")
            try:
                await configuration.load(kube, container.namespace)
                tasks.create_task(pods.run(), name="prometheus pods")
                tasks.create_task(_expire(database), name="prometheus retention")
                await _follow(pods, pool, changed)
            finally:
                await pool.close()
    return 0


class Configuration:
    """prometheus.yml: the mounted file, or ConfigMap prometheus-config where it is not mounted.

    A mounted file is read again for every interval, so an edited ConfigMap takes effect as soon
    as the node has refreshed the volume. The ConfigMap itself is read once.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._text = ""

    async def load(self, kube: KubeClient, namespace: str) -> None:
        """Read the ConfigMap if there is no file; without both, defaults hold."""
        if self._file.exists():
            return
        try:
            found = await kube.get(path_of("v1", "configmaps", namespace, _CONFIG_MAP))
        except KubeError as error:
            logger.warning("no prometheus configuration, using defaults: %s", error)
            return
        self._text = found.get("data", {}).get("prometheus.yml", "")

    def interval_s(self) -> float:
        """Seconds between two scrapes of a target."""
        with contextlib.suppress(OSError):
            self._text = self._file.read_text()
        return scrape_interval_s(self._text)


async def _follow(pods: Informer, pool: ScrapePool, changed: asyncio.Event) -> None:
    await pods.synced()
    while True:
        changed.clear()
        pool.set_targets(targets_of(list(pods.store.values())))
        await changed.wait()


async def _expire(database: Database) -> None:
    while True:
        await asyncio.sleep(_EXPIRE_EVERY_S)
        await asyncio.to_thread(database.expire, round(time.time() * 1000))
