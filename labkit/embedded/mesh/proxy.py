"""The `linkerd-proxy` container: one pod's Envoy and everything around it.

It gets the pod's certificate from the identity component and renews it, starts Envoy (or joins
the cluster's shared one), reads its access log, and serves metrics, readiness and tap. When its
Envoy dies it ends with Envoy's exit code, and the node restarts the container.
"""

import asyncio
import contextlib
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from labkit.embedded.envoy.admin import EnvoyAdmin
from labkit.embedded.envoy.bootstrap import bootstrap
from labkit.embedded.envoy.process import arguments
from labkit.embedded.envoy.types import SECRETS
from labkit.embedded.envoy.xds import XdsServer
from labkit.embedded.mesh import names
from labkit.embedded.mesh.access_log import AccessLogPipe, Entry
from labkit.embedded.mesh.certificates import Certificate, CertificateKeeper
from labkit.embedded.mesh.configuration import expected_sockets
from labkit.embedded.mesh.metrics import ProxyMetrics
from labkit.embedded.mesh.programs import Container, Runtime
from labkit.embedded.mesh.proxy_server import proxy_application
from labkit.embedded.mesh.shared_proxy import SharedEnvoy
from labkit.embedded.mesh.tap_events import TapHub
from labkit.embedded.serving import served
from labkit.errors import LabkitError

logger = logging.getLogger(__name__)

BIND_GRACE_S = 15.0
"""How long a listener may be missing while the rest serves, before the proxy gives up."""

_GOODBYE_S = 1.0
_TOKEN = "var/run/secrets/tokens/linkerd-identity-token"  # noqa: S105 - a path
_TRUST_ANCHORS = "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS"


class Host(Protocol):
    """The Envoy that carries a pod's traffic."""

    prefix: str
    admin: EnvoyAdmin

    def use(self, certificate: Certificate) -> None:
        """Hand over a certificate."""

    async def run(self) -> int:
        """Serve until Envoy ends; its exit code. Cancelling stops it."""


class OwnEnvoy:
    """An Envoy of the pod's own.

    Args:
        container: the sidecar.
        runtime: starts the process.
    """

    def __init__(self, container: Container, runtime: Runtime) -> None:
        self.prefix = ""
        self._container = container
        self._runtime = runtime
        self._node_id = f"{container.namespace}/{container.pod}"
        self.admin = EnvoyAdmin(self._socket("admin"))
        self._sds = XdsServer(self._socket("sds"))

    def _socket(self, kind: str) -> Path:
        return names.pod_socket(self._container.run_dir, self._container.pod_uid, kind)

    def use(self, certificate: Certificate) -> None:
        """Hand over a certificate."""
        self._sds.publish(self._node_id, {SECRETS: certificate.secrets()})

    async def run(self) -> int:
        """Serve until Envoy ends; its exit code. Cancelling stops it."""
        await self._sds.start()
        try:
            process = await self._start()
            try:
                code = await process.wait()
                # As Kubernetes shows the end by a signal.
                return 128 - code if code < 0 else code
            finally:
                await self._end(process)
        finally:
            await self._sds.stop()
            await self.admin.close()
            self._socket("admin").unlink(missing_ok=True)

    async def _start(self) -> asyncio.subprocess.Process:
        work_dir = self._container.work_dir
        file = work_dir / "envoy.json"
        configuration = bootstrap(
            node_id=self._node_id,
            cluster=self._container.cluster,
            admin_socket=self._socket("admin"),
            xds={
                names.XDS: self._container.run_dir / "destination.sock",
                names.SDS: self._socket("sds"),
            },
            dynamic_from=names.XDS,
            instance=uuid.uuid4().hex,
        )
        file.write_text(json.dumps(configuration))
        self._socket("admin").unlink(missing_ok=True)
        return await self._runtime.spawn(
            arguments(file, log_file=work_dir / "envoy.log"), name="envoy", env={}, cwd=work_dir
        )

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await self._finish_requests()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_GOODBYE_S):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        log = self._container.work_dir / "envoy.log"
        for line in _last_lines(log):
            self._runtime.log(line)

    async def _finish_requests(self) -> None:
        """Let requests in flight end; new ones are not taken any more."""
        await self.admin.drain()
        # Metrics, tap and Envoy's own admin page are requests, too; they do not count.
        pattern = r"^http\.(outbound|in/.*|gateway)\.downstream_rq_active$"
        while any((await self.admin.counters(pattern)).values()):  # noqa: ASYNC110 - Envoy announces no change of its counters
            await asyncio.sleep(0.05)


def _last_lines(log: Path, count: int = 10) -> list[str]:
    try:
        return log.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        return []


class Proxy:
    """One pod's sidecar.

    Args:
        container: the sidecar's container.
        runtime: its node.
        host: the Envoy that carries its traffic.
    """

    def __init__(self, container: Container, runtime: Runtime, host: Host) -> None:
        self._container = container
        self._log = runtime.log
        self._host = host
        self._tap = TapHub()
        self._metrics = ProxyMetrics(container.pod_ip, prefix=host.prefix)
        self._stopped = asyncio.Event()
        self._started_at = time.time()
        self._expected = expected_sockets(
            container.sockets,
            container.egress,
            gateway=container.annotations.get(names.ENABLE_GATEWAY) == "true",
        )
        self._keeper = CertificateKeeper(
            container.run_dir / "identity.sock",
            name=names.identity_of(container.service_account, container.namespace),
            token=self._token,
            anchors=container.env.get(_TRUST_ANCHORS, "").strip(),
            on_certificate=host.use,
            log=runtime.log,
        )

    def _token(self) -> str:
        file = self._container.root / _TOKEN
        return file.read_text().strip() if file.exists() else self._container.token

    def _socket(self, kind: str) -> Path:
        return names.pod_socket(self._container.run_dir, self._container.pod_uid, kind)

    def _observe(self, entry: Entry) -> None:
        if entry.direction == "conn" and entry.text("reason"):
            port, reason = entry.text("port"), entry.text("reason")
            self._log(f"WARN connection to port {port} refused: {reason}")
        self._tap.publish(self._metrics.observe(entry))

    async def missing(self) -> set[str]:
        """Addresses that should be open and are not."""
        return self._expected - await self._host.admin.listeners()

    async def ready(self) -> bool:
        """Whether Envoy serves, all listeners are open and the certificate is there."""
        if self._keeper.current is None or not await self._host.admin.live():
            return False
        return not await self.missing()

    async def metrics(self) -> str:
        """The text for Prometheus."""
        certificate = self._keeper.current
        extra = {"process_start_time_seconds": self._started_at}
        if certificate is not None:
            expires = certificate.not_after.timestamp()
            extra["control_identity_cert_expiration_timestamp_seconds"] = expires
            extra["control_identity_cert_refreshes_total"] = self._keeper.refreshes
        return self._metrics.render(await self._host.admin.counters(), extra)

    async def run(self) -> int:
        """Serve until cancelled, shut down, or Envoy has ended; the exit code."""
        pipe = AccessLogPipe(self._socket("log"), self._observe)
        application = proxy_application(
            ready=self.ready, metrics=self.metrics, tap=self._tap, stop=self._stopped.set
        )
        pipe.open()
        try:
            async with served(application, path=self._socket("http")):
                return await self._first(
                    self._host.run,
                    self._forever(self._keeper.run),
                    self._check_listeners,
                    self._stop,
                )
        finally:
            pipe.close()

    @staticmethod
    def _forever(work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[int]]:
        async def run() -> int:
            await work()
            return 1

        return run

    @staticmethod
    async def _first(*jobs: Callable[[], Awaitable[int]]) -> int:
        """Run jobs together until one returns an exit code; then cancel the others."""
        tasks = [asyncio.ensure_future(job()) for job in jobs]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stop(self) -> int:
        await self._stopped.wait()
        self._log("INFO Received shutdown")
        return 0

    async def _check_listeners(self) -> int:
        """A listener that cannot bind does not make Envoy fail: watch for it here.

        Envoy does not try again by itself; ending lets the node restart the container.
        """
        missing_since: float | None = None
        while True:
            await asyncio.sleep(1.0 if missing_since else 0.5)
            some_open = bool(await self._host.admin.listeners())
            missing = await self.missing() if some_open else set()
            now = asyncio.get_running_loop().time()
            if not missing:
                missing_since = None
                if some_open and self._keeper.current is not None:
                    await asyncio.Event().wait()
            elif missing_since is None:
                missing_since = now
            elif now - missing_since > BIND_GRACE_S:
                where = ", ".join(sorted(missing))
                self._log(f"ERROR listeners could not be opened: {where}; is the port taken?")
                return 98


async def run(container: Container, runtime: Runtime) -> int:
    """Run until cancelled or Envoy has ended; the exit code."""
    host: Host
    try:
        host = SharedEnvoy(container) if names.grouped() else OwnEnvoy(container, runtime)
        return await Proxy(container, runtime, host).run()
    except LabkitError as error:
        runtime.log(f"ERROR {error}")
        return 1
