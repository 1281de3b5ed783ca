"""The admin pages of components, on those of the usual ports that their pods declare."""

from collections.abc import Callable, Iterable, Mapping

from aiohttp import web


def admin_application(
    ready: Callable[[], bool], metrics: Callable[[], str] = lambda: ""
) -> web.Application:
    """`/ready`, `/live`, `/ping` and `/metrics`, as every control-plane container of Linkerd."""

    async def get_ready(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if ready() else web.Response(status=503, text="starting\n")

    async def get_live(_: web.Request) -> web.Response:
        return web.Response(text="pong\n")

    async def get_metrics(_: web.Request) -> web.Response:
        return web.Response(text=metrics(), content_type="text/plain")

    app = web.Application()
    app.router.add_get("/ready", get_ready)
    app.router.add_get("/live", get_live)
    app.router.add_get("/ping", get_live)
    app.router.add_get("/metrics", get_metrics)
    return app


def chosen(sockets: Mapping[int, str], ports: Iterable[int]) -> list[str]:
    """The addresses of those ports that the pod has."""
    return [sockets[port] for port in ports if port in sockets]
