"""One API server: TLS, the SQLite store, the handlers; started and stopped as a whole.

Use it inside an event loop::

    server = ApiServer(config)
    await server.start()
    ...  # https://127.0.0.1:PORT is server.url
    await server.stop()
"""

import asyncio
import ipaddress
import logging
import ssl
import tempfile
from datetime import timedelta
from pathlib import Path

import aiohttp
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from labkit.certs import create_leaf, write_credential
from labkit.embedded.apiserver import bootstrap, crds, expiring
from labkit.embedded.apiserver.authorization import Authorizer
from labkit.embedded.apiserver.backend import ApiServerConfig, Backend
from labkit.embedded.apiserver.dispatch import Dispatcher
from labkit.embedded.apiserver.requests import BODY_LIMIT
from labkit.embedded.apiserver.resources import Registry
from labkit.embedded.apiserver.rules.schemas import Schemas
from labkit.embedded.apiserver.store import Store
from labkit.embedded.apiserver.tokens import ServiceAccountTokens
from labkit.embedded.apiserver.users import Authenticator, User

__all__ = ["ApiServer", "ApiServerConfig", "User"]

logger = logging.getLogger(__name__)

_CERTIFICATE_LIFETIME = timedelta(days=365)
_SHUTDOWN_S = 1.0


def _make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> web.BaseRequest:
    """A request whose body may be as large as Kubernetes permits."""
    return web.BaseRequest(
        message,
        payload,
        protocol,
        writer,
        task,
        asyncio.get_running_loop(),
        client_max_size=BODY_LIMIT,
    )


class ApiServer:
    """The Kubernetes API of one embedded cluster."""

    def __init__(self, config: ApiServerConfig) -> None:
        self.config = config
        self.backend: Backend | None = None
        self._runner: web.ServerRunner | None = None
        self._expiry: asyncio.Task[None] | None = None
        self._port = 0
        self._stopping = False

    @property
    def url(self) -> str:
        """`https://HOST:PORT`; valid after start."""
        return f"https://{self.config.host}:{self._port}"

    @property
    def port(self) -> int:
        """The port it listens on; valid after start."""
        return self._port

    async def start(self) -> None:
        """Open the store and listen. OSError when the port is taken."""
        config = self.config
        store = Store(config.database)
        accounts = ServiceAccountTokens(store, config.service_account_key)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
        )
        self.backend = Backend(
            config=config,
            store=store,
            registry=Registry(),
            schemas=Schemas.load(),
            accounts=accounts,
            authenticator=Authenticator(config.tokens, accounts),
            authorizer=Authorizer(store, enforce=config.rbac),
            http=session,
            stopping=lambda: self._stopping,
        )
        try:
            bootstrap.create(self.backend)
            crds.load(self.backend)
            await store.on_disk(store.rv)
            await self._listen(self.backend)
            self._expiry = asyncio.create_task(
                expiring.run(store), name=f"expiry of events in {config.name}"
            )
        except BaseException:
            await session.close()
            store.close()
            raise
        logger.info("API server of cluster %s listens on %s", config.name, self.url)

    async def _listen(self, backend: Backend) -> None:
        server = web.Server(
            Dispatcher(backend).handle,
            request_factory=_make_request,
            access_log=None,
            keepalive_timeout=600,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, self.config.host, self.config.port, ssl_context=self._tls()
        )
        await site.start()
        self._port = int(self._runner.addresses[0][1])

    def _tls(self) -> ssl.SSLContext:
        """The serving certificate; client certificates of the cluster's CA are welcome."""
        config = self.config
        service = next(ipaddress.ip_network(config.service_cidr).hosts())
        leaf = create_leaf(
            config.ca,
            common_name="kube-apiserver",
            dns_names=(
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
                *config.extra_names,
            ),
            ip_addresses=(config.host, str(service)),
            valid_for=_CERTIFICATE_LIFETIME,
            client=False,
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
            write_credential(leaf, certificate, key)
            context.load_cert_chain(certificate, key)
        context.load_verify_locations(cadata=config.ca.certificate.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    async def stop(self) -> None:
        """End every watch, close the listener and the store."""
        self._stopping = True
        if self.backend is not None:
            self.backend.store.wake_watchers()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._expiry is not None:
            self._expiry.cancel()
            await asyncio.gather(self._expiry, return_exceptions=True)
        if self.backend is not None:
            await self.backend.http.close()
            self.backend.store.close()
            self.backend = None
