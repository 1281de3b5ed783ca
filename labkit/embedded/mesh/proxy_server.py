"""The HTTP side of a `linkerd-proxy` container, behind its ports 4191 and 4190.

`/ready`, `/live`, `/metrics` and `/shutdown` as Linkerd's proxy has them; `/tap` streams JSON
lines, one tap event each, in the place of Linkerd's gRPC tap.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from labkit.embedded.mesh.tap_events import TapHub


def proxy_application(
    *,
    ready: Callable[[], Awaitable[bool]],
    metrics: Callable[[], Awaitable[str]],
    tap: TapHub,
    stop: Callable[[], None],
) -> web.Application:
    """The application.

    Args:
        ready: whether the proxy can carry traffic.
        metrics: the Prometheus text.
        tap: source of tap events.
        stop: ends the proxy.
    """

    async def get_ready(_: web.Request) -> web.Response:
        if await ready():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="unready\n")

    async def get_live(_: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def get_metrics(_: web.Request) -> web.Response:
        return web.Response(text=await metrics(), content_type="text/plain")

    async def post_shutdown(_: web.Request) -> web.Response:
        asyncio.get_running_loop().call_later(0.05, stop)
        return web.Response(text="shutdown\n")

    async def get_tap(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        with tap.subscribe() as events:
            await response.prepare(request)
            while True:
                line = json.dumps(await events.get(), separators=(",", ":"))
                await response.write(line.encode() + b"\n")

    app = web.Application()
    app.router.add_get("/ready", get_ready)
    app.router.add_get("/live", get_live)
    app.router.add_get("/metrics", get_metrics)
    app.router.add_post("/shutdown", post_shutdown)
    app.router.add_get("/tap", get_tap)
    return app
