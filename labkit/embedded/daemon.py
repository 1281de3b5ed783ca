"""The daemon: one process that holds a whole small cloud and puts its parts together.

It serves the DigitalOcean API, runs the clusters that the account asks for, and the network
between them. Everything it needs to go on after `kill -9` is in the state folder: it starts the
same clusters on the same ports, and containers come back as after a node's reboot.
"""

import asyncio
import ctypes
import gc
import json
import logging
import os
import signal
import ssl
from typing import Any

import uvloop
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from labkit import certs
from labkit.embedded.cluster import CloudAccess, Cluster, require_free_port
from labkit.embedded.digitalocean.app import create_app
from labkit.embedded.digitalocean.state import DigitalOceanState
from labkit.embedded.digitalocean.wanted import WantedCluster
from labkit.embedded.envoy.process import envoy_binary
from labkit.embedded.network import wan_live
from labkit.embedded.network.wan import ClusterNetwork, WanConfig, WideAreaNetwork
from labkit.embedded.network.wan_live import LiveWan
from labkit.embedded.ports import allocate_port
from labkit.embedded.processes import ProcessTable, reap
from labkit.embedded.state import StateFolder, own_facts
from labkit.errors import StateError

logger = logging.getLogger(__name__)

CREATE_RETRY_S = 2.0
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BUFFER = 2**19


def serve(state: StateFolder) -> None:
    """Run the daemon until SIGTERM or SIGINT."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").addFilter(_tells_of_this_program)
    _keep_buffers()
    state.prepare()
    envoy_binary()  # without it nothing works: better said now than by a pod's event
    with state.lock():
        reap(state.root)
        uvloop.run(Daemon(state).run())
    # Everything is closed. Taking the heap apart object by object would keep `down` waiting 1.5 s.
    logging.shutdown()
    os._exit(0)


def _tells_of_this_program(record: logging.LogRecord) -> bool:
    """False for broken requests, which aiohttp logs as errors with a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)


class Daemon:
    """The cloud of one state folder."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state
        self._account = DigitalOceanState(state.database)
        self._table = ProcessTable(state.root)
        self._clusters: dict[str, Cluster] = {}
        self._reconciled = asyncio.Event()
        self._wan = LiveWan(WanConfig.from_json(_wan_table(state)), state.live_wan_file)
        self._network = WideAreaNetwork(
            self._wan.now,
            run_dir=state.run_dir,
            log_file=state.root / "relay.log",
            processes=self._table,
        )
        self._access = CloudAccess("", state.token(), state.ca_file)

    async def run(self) -> None:
        """Serve until a signal asks to stop."""
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        self._state.prepare_run_dir()
        for wanted in self._account.wanted_clusters():
            require_free_port(self._state.cluster_dir(wanted.id), name=wanted.name)
        runner = await self._serve_api()
        network = asyncio.create_task(self._network.run(), name="network")
        reconciler = asyncio.create_task(self._reconcile_for_ever(), name="clusters")
        for task in (network, reconciler):  # neither ends by itself; half a cloud helps nobody
            task.add_done_callback(lambda _: stopping.set())
        # Clusters of an earlier daemon serve again before anybody is told that the cloud is up.
        first = asyncio.create_task(self._reconciled.wait(), name="first clusters")
        ended = asyncio.create_task(stopping.wait(), name="stop signal")
        await asyncio.wait((first, ended), return_when=asyncio.FIRST_COMPLETED)
        first.cancel()
        if not stopping.is_set():
            self._announce()
            _spare_the_collector()
        await ended
        _report_broken(network, reconciler)
        logger.info("stopping")
        reconciler.cancel()
        await asyncio.gather(reconciler, return_exceptions=True)
        await asyncio.gather(*(c.stop(forget=False) for c in self._clusters.values()))
        network.cancel()
        await asyncio.gather(network, return_exceptions=True)
        await runner.cleanup()
        self._account.close()

    def _announce(self) -> None:
        facts = {
            **own_facts(),
            "endpoint": self._access.endpoint,
            "ca_file": str(self._state.ca_file),
        }
        self._state.write_daemon(facts)

    async def _serve_api(self) -> web.AppRunner:
        """Serve the DigitalOcean API over TLS."""
        leaf = certs.create_leaf(
            self._state.ca(),
            dns_names=["localhost"],
            ip_addresses=["127.0.0.1"],
            client=False,
        )
        certs.write_credential(leaf, self._state.root / "api.crt", self._state.root / "api.key")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._state.root / "api.crt", self._state.root / "api.key")
        settings = self._state.read_settings()
        port = settings.setdefault("port", allocate_port())
        self._state.write_settings(settings)
        app = create_app(
            self._account,
            self._state.token(),
            beside=wan_live.routes(self._wan, self._network),
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
        except OSError as error:
            raise StateError(
                f"The cloud's API cannot listen on 127.0.0.1:{port}",
                seen=error.strerror or str(error),
                fix=f"end the program that uses port {port}, then `labkit up` again; or "
                "`labkit down`, which forgets the port",
            ) from error
        self._access = CloudAccess(
            f"https://127.0.0.1:{port}", self._state.token(), self._state.ca_file
        )
        return runner

    async def _reconcile_for_ever(self) -> None:
        """Run the clusters that the account asks for, one change after the other."""
        seen = -1
        while True:
            seen = await self._account.changed.wait(seen)
            wanted = {cluster.id: cluster for cluster in self._account.wanted_clusters()}
            gone = [c for c in wanted.values() if c.deleting]
            new = [c for c in wanted.values() if not c.deleting and c.id not in self._clusters]
            await asyncio.gather(*(self._remove(cluster) for cluster in gone))
            await asyncio.gather(*(self._add(cluster) for cluster in new))
            self._reconciled.set()

    async def _add(self, wanted: WantedCluster) -> None:
        cluster = Cluster(
            wanted,
            folder=self._state.cluster_dir(wanted.id),
            run_dir=self._state.run_dir / wanted.name[-20:],
            cloud=self._access,
            table=self._table,
        )
        try:
            await cluster.start()
            self._network.add(ClusterNetwork(wanted.name, wanted.region, cluster.client("network")))
        except Exception:  # whatever it was: the other clusters go on, and this one is retried
            logger.exception("cluster %s did not start; trying again", wanted.name)
            await cluster.stop(forget=False)
            asyncio.get_running_loop().call_later(CREATE_RETRY_S, self._account.changed.notify)
            return
        self._clusters[wanted.id] = cluster
        self._account.cluster_ready(
            wanted.id,
            endpoint=cluster.url,
            ca_pem=cluster.ca_file.read_bytes(),
            token=cluster.admin_token,
        )

    async def _remove(self, wanted: WantedCluster) -> None:
        cluster = self._clusters.pop(wanted.id, None)
        if cluster is not None:
            await self._network.remove(wanted.name)
            await cluster.stop(forget=True)
        self._account.forget(wanted.id)


def _wan_table(state: StateFolder) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(state.wan_file.read_text())
    except FileNotFoundError:
        return {}
    return content


def _keep_buffers() -> None:
    """Let glibc serve the quarter megabyte that every read of TLS asks for from its heap.

    By default it maps, shrinks and unmaps it each time: three system calls for every request.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BUFFER)
        mallopt(_M_TRIM_THRESHOLD, 2 * _KEPT_BUFFER)


def _spare_the_collector() -> None:
    """Let the garbage collector leave alone what is there now, and come less often.

    Objects of the API are trees without cycles: reference counts free them, and walking over tens
    of thousands of them again and again would stop everything for a moment each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 200, 20)


def _report_broken(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception() is not None:
            logger.error("%s ended", task.get_name(), exc_info=task.exception())
