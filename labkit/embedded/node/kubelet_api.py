"""The kubelet's own API on 127.0.0.1, over TLS: logs, exec, attach, port-forward of its pods.

Only the API server calls it, with the cluster's kubelet token.
"""

import asyncio
import contextlib
import hmac
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from labkit.certs import create_leaf, write_credential
from labkit.embedded.node import channels, logs, port_forward, spdy_forward, timestamps
from labkit.embedded.node.attaching import Attach
from labkit.embedded.node.channels import Channels
from labkit.embedded.node.config import NodeConfig
from labkit.embedded.node.executing import Exec
from labkit.embedded.node.lives import ContainerLife
from labkit.embedded.node.pods import PodWorker
from labkit.embedded.node.programs import Container
from labkit.embedded.node.spdy_forward import SpdyForward

logger = logging.getLogger(__name__)

_CERTIFICATE_LIFE = timedelta(days=3650)

FindWorker = Callable[[str, str], PodWorker | None]


class KubeletApi:
    """The HTTPS server of one node."""

    def __init__(self, node: str, config: NodeConfig, find_worker: FindWorker) -> None:
        self._node = node
        self._config = config
        self._find = find_worker
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen; returns ``127.0.0.1:N``."""
        app = web.Application(middlewares=[self._authenticate])
        app.router.add_get("/healthz", _healthz)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        app.router.add_get("/portForward/{namespace}/{pod}", self._port_forward)
        app.router.add_get("/exec/{namespace}/{pod}/{container}", self._exec)
        app.router.add_get("/attach/{namespace}/{pod}/{container}", self._attach)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, "127.0.0.1", self._config.kubelet_port, ssl_context=self._tls()
        )
        await site.start()
        return f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._runner:
            await self._runner.cleanup()

    def _tls(self) -> ssl.SSLContext:
        leaf = create_leaf(
            self._config.ca,
            dns_names=(self._node, "localhost"),
            ip_addresses=("127.0.0.1", self._config.internal_ip),
            common_name=f"system:node:{self._node}",
            organizations=("system:nodes",),
            valid_for=_CERTIFICATE_LIFE,
        )
        certificate = self._config.data_dir / "kubelet.crt"
        key = self._config.data_dir / "kubelet.key"
        write_credential(leaf, certificate, key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    @web.middleware
    async def _authenticate(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._config.kubelet_token.encode()):
            return web.Response(status=401, text="Unauthorized")
        return await handler(request)

    def _worker(self, request: web.Request) -> PodWorker:
        namespace, name = request.match_info["namespace"], request.match_info["pod"]
        worker = self._find(namespace, name)
        if worker is None:
            text = f"pod {namespace}/{name} is not running on node {self._node}"
            raise web.HTTPNotFound(text=text)
        return worker

    # logs

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        container = request.match_info["container"]
        life = worker.lives.get(container)
        if life is None:
            text = f'container "{container}" in pod "{worker.name}" is not available'
            raise web.HTTPNotFound(text=text)
        try:
            query = log_query(request.query)
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        previous = request.query.get("previous") == "true"
        path = life.log_path(previous=previous)
        if not path.exists():
            path = self._explain(worker, life, previous=previous)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            if query.follow and not previous and life.log and life.log.path == path:
                await _send(response, logs.follow(life.log, query), query.limit_bytes)
            else:
                lines = await asyncio.to_thread(logs.read, path, query)
                data = b"".join(lines)
                await response.write(data[: query.limit_bytes])
            await response.write_eof()
        return response

    def _explain(self, worker: PodWorker, life: ContainerLife, *, previous: bool) -> Path:
        name = life.state.name
        if previous:
            text = f'previous terminated container "{name}" in pod "{worker.name}" not found'
            raise web.HTTPBadRequest(text=text)
        if life.state.restarts and (older := life.log_path(previous=True)).exists():
            return older
        reason, _ = life.state.waiting
        text = (
            f'container "{name}" in pod "{worker.name}" is waiting to start: '
            f"{reason or 'ContainerCreating'}"
        )
        raise web.HTTPBadRequest(text=text)

    # exec and attach

    def _life(self, request: web.Request) -> tuple[ContainerLife, Container]:
        """The container that is meant; it runs."""
        name = request.match_info["container"]
        life = self._worker(request).lives.get(name)
        if life is None or life.container is None:
            raise web.HTTPNotFound(text=f'container not found ("{name}")')
        return life, life.container

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        life, container = self._life(request)
        running, log, ended = life.running, life.log, life.ended
        if running is None or log is None:
            raise web.HTTPNotFound(text=f'container not found ("{life.state.name}")')
        stream = await _prepared(request)
        await Attach(
            Channels(stream),
            running=running,
            log=log,
            stdin=_asks(request, "stdin") and container.stdin,
            once=life.stdin_once,
        ).run(ended)
        return stream

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        life, container = self._life(request)
        argv = request.query.getall("command", [])
        if not argv:
            raise web.HTTPBadRequest(text="you must specify at least 1 command")
        stream = await _prepared(request)
        session = Exec(
            Channels(stream),
            config=self._config,
            container=container,
            argv=argv,
            stdin=_asks(request, "stdin"),
            tty=_asks(request, "tty"),
        )
        running = asyncio.create_task(session.run(), name=f"exec in {container.pod}")
        ended = asyncio.create_task(life.ended.wait())
        try:
            await asyncio.wait({running, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (running, ended):
                task.cancel()
            await asyncio.gather(running, ended, return_exceptions=True)
        return stream

    # port-forward

    async def _port_forward(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        if spdy_forward.PROTOCOL in request.headers.get("Sec-WebSocket-Protocol", ""):
            tunnel = web.WebSocketResponse(protocols=(spdy_forward.PROTOCOL,), max_msg_size=0)
            await tunnel.prepare(request)
            await SpdyForward(tunnel, worker.locate, worker.uid).run()
            return tunnel
        words = [word for value in request.query.getall("ports", []) for word in value.split(",")]
        if not words or not all(word.isdigit() and 0 < int(word) < 65536 for word in words):
            raise web.HTTPBadRequest(text="query parameter 'ports' is required: ports=8080")
        stream = web.WebSocketResponse(protocols=(port_forward.PROTOCOL,), max_msg_size=0)
        if not stream.can_prepare(request):
            raise web.HTTPBadRequest(text="you must use a WebSocket to port-forward")
        await stream.prepare(request)
        await port_forward.PortForward(stream, worker, [int(word) for word in words]).run()
        return stream


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok")


def _asks(request: web.Request, option: str) -> bool:
    return request.query.get(option) in ("true", "1")


async def _prepared(request: web.Request) -> web.WebSocketResponse:
    """The WebSocket of an exec or attach."""
    stream = web.WebSocketResponse(protocols=channels.PROTOCOLS, max_msg_size=0)
    if not stream.can_prepare(request):
        raise web.HTTPBadRequest(text="you must use a WebSocket")
    await stream.prepare(request)
    return stream


async def _send(
    response: web.StreamResponse, lines: AsyncIterator[bytes], limit: int | None
) -> None:
    """Send lines as they come, up to the limit of bytes."""
    left = limit
    async for line in lines:
        await response.write(line[:left])
        if left is not None:
            left -= len(line)
            if left <= 0:
                return


def log_query(query: Mapping[str, str]) -> logs.LogQuery:
    """Read the query of a log request.

    Raises:
        ValueError: a number or time is none.
    """

    def number(name: str) -> int | None:
        text = query.get(name)
        if text is None or text == "":
            return None
        if not text.isdigit():
            raise ValueError(f"{name} must be a number that is not negative, not {text!r}")
        return int(text)

    seconds = number("sinceSeconds")
    since = datetime.now(UTC) - timedelta(seconds=seconds) if seconds is not None else None
    if query.get("sinceTime"):
        since = timestamps.parse(query["sinceTime"])
    return logs.LogQuery(
        follow=query.get("follow") == "true",
        tail_lines=number("tailLines"),
        since=since,
        timestamps=query.get("timestamps") == "true",
        limit_bytes=number("limitBytes"),
    )
