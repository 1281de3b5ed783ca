"""The `tap` container: shows requests of meshed pods as they happen.

`GET /tap?namespace=&resource=deploy/vote-bot` on port 8088 answers with one JSON event per line
until the client leaves. The events come from the proxies' tap listeners (4190); this component
merges the pods' streams, filters, limits the rate and adds metadata. The set of pods is that of
the moment of the request, as in Linkerd.
"""

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web

from labkit.embedded.informing import Informer
from labkit.embedded.kube import KubeClient, path_of
from labkit.embedded.mesh.programs import Container, Runtime, kube_client
from labkit.embedded.mesh.viz.resources import Object, owner_labels, parse_resource, pods_of
from labkit.embedded.mesh.viz.tap_filter import EVENT_KINDS, Event, TapFilter, TapMatch, hydrate
from labkit.embedded.mesh.viz.targets import is_meshed, sockets_of
from labkit.embedded.serving import served
from labkit.errors import InputError

logger = logging.getLogger(__name__)

PORT = 8088
TAP_ENABLED = "viz.linkerd.io/tap-enabled"
DEFAULT_MAX_RPS = 100.0

_PROXY_TAP = "4190"
_QUEUE_EVENTS = 1000
_POLL_S = 0.5
_RECONNECT_S = 1.0
_LINE_BYTES = 2**20


async def run(container: Container, runtime: Runtime) -> int:
    """Run until cancelled; serves port 8088."""
    async with (
        kube_client(container, "tap") as kube,
        aiohttp.ClientSession() as session,
    ):
        taps = Taps(kube, session)
        async with served(create_app(taps), [container.app_sockets[PORT]]):
            runtime.log(f"tap: listening on port {PORT}")
            await taps.run()
    return 0


class PodIndex:
    """Pods by address, with their labels as metadata."""

    def __init__(self, kube: KubeClient) -> None:
        self._labels: dict[str, dict[str, str]] = {}
        self._address: dict[tuple[str, str], str] = {}
        self.informer = Informer(kube, path_of("v1", "pods"), on_change=self._on_change)

    def _on_change(self, change: str, pod: dict[str, Any]) -> None:
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        old = self._address.pop(key, None)
        if old is not None:
            self._labels.pop(old, None)
        address = pod.get("status", {}).get("podIP")
        if change != "DELETED" and address:
            self._address[key] = address
            self._labels[address] = owner_labels(pod)

    def labels_of(self, address: str) -> dict[str, str] | None:
        """Metadata of the pod with an address."""
        return self._labels.get(address)


class Taps:
    """Opens and merges the streams of proxies."""

    def __init__(self, kube: KubeClient, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.index = PodIndex(kube)

    async def run(self) -> None:
        """Follow the pods until cancelled."""
        await self.index.informer.run()

    def pods(self, query: Mapping[str, str]) -> list[Object]:
        """The tappable pods of a request.

        Raises:
            InputError: a resource's kind is unknown.
            LookupError: there is no pod to tap; the text says why.
        """
        resource = parse_resource(query.get("resource", ""))
        namespace = query.get("namespace", "")
        found = pods_of(resource, namespace, self.index.informer.select())
        meshed = [pod for pod in found if is_meshed(pod)]
        enabled = [pod for pod in meshed if TAP_ENABLED in _annotations(pod)]
        if enabled:
            return enabled
        where = f'{resource} in namespace "{namespace}"'
        if meshed:
            names = "\n".join(f"\t* {pod['metadata']['name']}" for pod in meshed)
            raise LookupError(
                f"no pods to tap for {where}\n{len(meshed)} pods found with tap not enabled:\n"
                f"{names}\nrestart these pods to enable tap and make them valid tap targets"
            )
        raise LookupError(f"no pods found for {where}")

    async def stream(
        self, pod: Object, base: int, *, tap_filter: TapFilter, queue: "asyncio.Queue[Event]"
    ) -> None:
        """Put one pod's admitted events into the queue; events that do not fit are dropped.

        Args:
            pod: whose proxy is asked.
            base: goes into the events' ids, which are unique only within one proxy.
            tap_filter: what is shown.
            queue: receives the events.
        """
        name = pod["metadata"]["name"]
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        while True:
            socket = sockets_of(pod).get(_PROXY_TAP)
            try:
                async with self._session.get(
                    f"http://{socket}/tap", timeout=timeout, read_bufsize=_LINE_BYTES
                ) as response:
                    response.raise_for_status()
                    async for line in response.content:
                        self._offer(line, base, tap_filter=tap_filter, queue=queue)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                logger.debug("tap of %s: %r", name, error)
            await asyncio.sleep(_RECONNECT_S)

    def _offer(
        self, line: bytes, base: int, *, tap_filter: TapFilter, queue: "asyncio.Queue[Event]"
    ) -> None:
        if not line.strip():
            return
        event: Event = json.loads(line)
        hydrate(event, self.index.labels_of)
        if tap_filter.admits(event) and not queue.full():
            for kind in EVENT_KINDS:
                if kind in event:
                    event[kind]["id"] = {**event[kind]["id"], "base": base}
            queue.put_nowait(event)


def _annotations(pod: Object) -> Mapping[str, str]:
    return pod["metadata"].get("annotations") or {}


def parse_match(query: Mapping[str, str]) -> TapMatch:
    """The filters of a request.

    Raises:
        InputError: the kind of `to` is unknown.
    """
    to = query.get("to", "")
    return TapMatch(
        method=query.get("method", ""),
        path=query.get("path", ""),
        authority=query.get("authority", ""),
        scheme=query.get("scheme", ""),
        to=parse_resource(to) if to else None,
        to_namespace=query.get("to_namespace") or query.get("namespace", ""),
    )


def parse_rate(query: Mapping[str, str]) -> float:
    """Requests per second, 100 without a wish.

    Raises:
        InputError: not a positive number.
    """
    text = query.get("max_rps") or str(DEFAULT_MAX_RPS)
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise InputError(f"max_rps must be a positive number, not {text!r}")
    return rate


def create_app(taps: Taps) -> web.Application:
    """The application that the `tap` container serves."""

    async def tap(request: web.Request) -> web.StreamResponse:
        await taps.index.informer.synced()
        try:
            match, rate = parse_match(request.query), parse_rate(request.query)
            pods = taps.pods(request.query)
        except InputError as error:
            return web.json_response({"error": str(error)}, status=400)
        except LookupError as error:
            return web.json_response({"error": str(error.args[0])}, status=404)
        return await _stream(request, taps, pods, match=match, rate=rate)

    async def ready(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application()
    app.router.add_get("/tap", tap)
    app.router.add_get("/ready", ready)
    app.router.add_get("/ping", ready)
    return app


async def _stream(
    request: web.Request, taps: Taps, pods: list[Object], *, match: TapMatch, rate: float
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    queue: asyncio.Queue[Event] = asyncio.Queue(_QUEUE_EVENTS)
    limit = max(1.0, rate / len(pods))
    tasks = [
        asyncio.create_task(
            taps.stream(
                pod,
                base,
                tap_filter=TapFilter(match, rate_limit=limit, clock=time.monotonic),
                queue=queue,
            ),
            name=f"tap of {pod['metadata']['name']}",
        )
        for base, pod in enumerate(pods)
    ]
    try:
        while request.transport is not None and not request.transport.is_closing():
            try:
                async with asyncio.timeout(_POLL_S):
                    event = await queue.get()
            except TimeoutError:
                continue
            await response.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
    except ConnectionError:
        logger.debug("the tap client has left")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return response
