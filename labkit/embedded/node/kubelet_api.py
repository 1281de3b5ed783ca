"""The kubelet's own API on 127.0.0.1, over TLS: logs, exec and port-forward of this node's pods.

Only the API server calls it, with the cluster's kubelet token. ``attach`` is not served: it
answers 501, which the API server hands on.
"""

import asyncio
import contextlib
import hmac
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import WSMsgType, web

from labkit.certs import create_leaf, write_credential
from labkit.embedded.node import executing, logs, spdy_forward, timestamps
from labkit.embedded.node.config import NodeConfig
from labkit.embedded.node.lives import ContainerLife
from labkit.embedded.node.pods import PodWorker
from labkit.embedded.node.spdy_forward import SpdyForward

logger = logging.getLogger(__name__)

PORT_FORWARD_PROTOCOL = "v4.channel.k8s.io"
_CERTIFICATE_LIFE = timedelta(days=3650)
_CHUNK = 32 * 1024

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
        app.router.add_route("*", "/attach/{namespace}/{pod}/{container}", _absent)
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

    # exec

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        name, worker = request.match_info["container"], self._worker(request)
        life = worker.lives.get(name)
        argv = request.query.getall("command", [])
        if life is None or life.container is None:
            raise web.HTTPNotFound(text=f'container not found ("{name}")')
        if not argv:
            raise web.HTTPBadRequest(text="you must specify at least 1 command")
        if request.query.get("tty") == "true":
            text = "exec with a terminal (-t) is not part of the embedded cloud: leave out -t"
            return web.Response(status=501, text=text)
        stream = web.WebSocketResponse(protocols=executing.PROTOCOLS, max_msg_size=0)
        if not stream.can_prepare(request):
            raise web.HTTPBadRequest(text="you must use a WebSocket to exec")
        await stream.prepare(request)
        stdin = request.query.get("stdin") == "true"
        session = executing.Exec(
            stream, config=self._config, container=life.container, argv=argv, stdin=stdin
        )
        running = asyncio.create_task(session.run(), name=f"exec in {worker.title}")
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
        stream = web.WebSocketResponse(protocols=(PORT_FORWARD_PROTOCOL,), max_msg_size=0)
        if not stream.can_prepare(request):
            raise web.HTTPBadRequest(text="you must use a WebSocket to port-forward")
        await stream.prepare(request)
        await PortForward(stream, worker, [int(word) for word in words]).run()
        return stream


class PortForward:
    """One WebSocket of a port-forward: a connection for each port.

    Port number i of the request has data channel 2i and error channel 2i+1.
    """

    def __init__(self, stream: web.WebSocketResponse, worker: PodWorker, ports: list[int]) -> None:
        self._stream = stream
        self._worker = worker
        self._ports = ports
        self._writers: dict[int, asyncio.StreamWriter] = {}

    async def run(self) -> None:
        """Copy bytes until either side ends."""
        tasks = []
        for index, port in enumerate(self._ports):
            prefix = port.to_bytes(2, "little")
            await self._stream.send_bytes(bytes([2 * index]) + prefix)
            await self._stream.send_bytes(bytes([2 * index + 1]) + prefix)
        for index, port in enumerate(self._ports):
            reader = await self._connect(index, port)
            if reader is not None:
                tasks.append(asyncio.create_task(self._copy_out(index, reader)))
        copying_in = asyncio.create_task(self._copy_in())
        try:
            if tasks:
                done = asyncio.ensure_future(asyncio.wait(tasks))
                await asyncio.wait((copying_in, done), return_when=asyncio.FIRST_COMPLETED)
                done.cancel()
        finally:
            for task in [*tasks, copying_in]:
                task.cancel()
            for writer in self._writers.values():
                writer.close()
            with contextlib.suppress(ConnectionError):
                await self._stream.close()

    async def _connect(self, index: int, port: int) -> asyncio.StreamReader | None:
        address = self._worker.locate(port)
        try:
            if address is None:
                raise ConnectionRefusedError("nothing in the pod declares this port")
            host, _, real = address.rpartition(":")
            reader, self._writers[index] = await asyncio.open_connection(host, int(real))
        except OSError:
            text = spdy_forward.refusal(port, self._worker.uid)
            await self._stream.send_bytes(bytes([2 * index + 1]) + text)
            return None
        return reader

    async def _copy_out(self, index: int, reader: asyncio.StreamReader) -> None:
        channel = bytes([2 * index])
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                await self._stream.send_bytes(channel + data)

    async def _copy_in(self) -> None:
        async for message in self._stream:
            if message.type is WSMsgType.BINARY:
                data: bytes = message.data
            elif message.type is WSMsgType.TEXT:
                data = message.data.encode()
            else:
                return
            writer = self._writers.get(data[0] // 2) if data and data[0] % 2 == 0 else None
            if writer is not None and len(data) > 1:
                writer.write(data[1:])
                with contextlib.suppress(ConnectionError):
                    await writer.drain()


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _absent(_: web.Request) -> web.Response:
    return web.Response(status=501, text="attach is not part of the embedded cloud: read the logs")


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
