"""The `web` container: one readable page with the figures of every namespace and workload.

No scripts and nothing from elsewhere: the page is complete HTML that asks the browser to load it
again after five seconds. The figures come from metrics-api. Other Host headers than those of
localhost and of the Service are refused, as Linkerd's dashboard does against DNS rebinding.
"""

import asyncio
import html
import logging
import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from labkit.embedded.mesh.programs import Container, Runtime
from labkit.embedded.mesh.viz.metrics_api import SOCKET as METRICS_SOCKET
from labkit.embedded.mesh.viz.peers import Peer, PeerUnavailable
from labkit.embedded.serving import served

logger = logging.getLogger(__name__)

PORT = 8084
REFRESH_S = 5
VERSION = "edge-26.6.3"

_HOSTS = re.compile(r"(localhost|127\.0\.0\.1|web\.[a-z0-9-]+(\.svc(\.[a-z0-9.-]+)?)?)(:\d+)?")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
       color: #1f2933; background: #fff }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 2rem }
th, td { text-align: left; padding: .35rem .8rem; border-bottom: 1px solid #d9e2ec }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.low { color: #b44d12; font-weight: 600 } .note { color: #52606d }
@media (prefers-color-scheme: dark) { body { background: #14181d; color: #e4e7eb }
  th, td { border-color: #323f4b } .note { color: #9aa5b1 } .low { color: #f7b267 } }
"""
_LOW_SUCCESS = 0.99

Row = dict[str, Any]


async def run(container: Container, runtime: Runtime) -> int:
    """Run until cancelled; serves port 8084."""
    async with Peer(container.run_dir / METRICS_SOCKET, "metrics-api") as metrics:
        app = create_app(metrics, container.cluster)
        async with served(app, [container.app_sockets[PORT]]):
            runtime.log(f"web: listening on port {PORT}")
            await asyncio.Event().wait()
    return 0


def create_app(metrics: Peer, cluster: str) -> web.Application:
    """The application that the `web` container serves.

    Args:
        metrics: metrics-api.
        cluster: shown in the title.
    """

    async def page(_request: web.Request) -> web.Response:
        try:
            namespaces = await metrics.get("/api/stat", resource="namespace")
            rows = await metrics.get("/api/stat")
            gateways = await metrics.get("/api/gateways")
        except PeerUnavailable as error:
            text = render(cluster, [], [], [], problem=str(error))
            return web.Response(text=text, content_type="text/html", status=503)
        text = render(cluster, namespaces, rows, gateways)
        return web.Response(text=text, content_type="text/html")

    async def version(_request: web.Request) -> web.Response:
        return web.json_response({"version": VERSION})

    async def ready(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application(middlewares=[_known_hosts])
    app.router.add_get("/", page)
    app.router.add_get("/api/version", version)
    app.router.add_get("/ready", ready)
    return app


@web.middleware
async def _known_hosts(request: web.Request, handler: Any) -> web.StreamResponse:
    if not _HOSTS.fullmatch(request.host):
        text = "It appears that you are trying to reach this service with an unknown Host header.\n"
        return web.Response(text=text, status=400)
    response: web.StreamResponse = await handler(request)
    return response


def render(
    cluster: str,
    namespaces: Sequence[Row],
    rows: Sequence[Row],
    gateways: Sequence[Row],
    *,
    problem: str = "",
) -> str:
    """The page.

    Args:
        cluster: name of the cluster.
        namespaces: of `/api/stat` for namespaces.
        rows: of `/api/stat` for deployments.
        gateways: of `/api/gateways`.
        problem: shown in place of figures.
    """
    title = html.escape(f"Linkerd viz: {cluster}")
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta http-equiv="refresh" content="{REFRESH_S}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>",
    ]
    if problem:
        parts.append(f'<p class="low" role="alert">{html.escape(problem)}</p>')
    parts += ["<h2>Namespaces</h2>", _figures(namespaces, ("Namespace",))]
    parts += ["<h2>Deployments</h2>", _figures(rows, ("Namespace", "Deployment"))]
    if gateways:
        parts += ["<h2>Gateways</h2>", _gateways(gateways)]
    parts.append(
        '<p class="note">Last minute, seen by the proxies beside the workloads. Quantiles are '
        f"interpolated inside histogram buckets. Reloads every {REFRESH_S} s.</p></body></html>"
    )
    return "\n".join(parts)


def _figures(rows: Sequence[Row], names: tuple[str, ...]) -> str:
    """A table of golden metrics; `names` are the headings of what a row is about."""
    if not rows:
        return f'<p class="note">No meshed {names[-1].lower()} has been seen yet.</p>'
    head = (*names, "Meshed", "Success", "RPS", "P50 ms", "P95 ms", "P99 ms")
    lines = [_line(head, tag="th", low=False, texts=len(names))]
    for row in rows:
        success, rps = row["success"], row["rps"]
        lines.append(
            _line(
                (
                    *((row["namespace"], row["name"]) if len(names) > 1 else (row["name"],)),
                    f"{row.get('meshed_pods', 0)}/{row.get('running_pods', 0)}",
                    "–" if success is None else f"{success:.2%}",
                    "–" if rps is None else f"{rps:.1f}",
                    *(_number(row[f"latency_ms_p{q}"]) for q in (50, 95, 99)),
                ),
                tag="td",
                low=success is not None and success < _LOW_SUCCESS,
                texts=len(names),
            )
        )
    return f"<table>{''.join(lines)}</table>"


def _gateways(rows: Sequence[Row]) -> str:
    lines = [_line(("Cluster", "Alive", "Services", "Latency ms"), tag="th", low=False)]
    lines += [
        _line(
            (
                row["clusterName"],
                "yes" if row["alive"] else "no",
                str(row["numberOfServices"]),
                _number(row["latency"]) if row["alive"] else "–",
            ),
            tag="td",
            low=not row["alive"],
        )
        for row in rows
    ]
    return f"<table>{''.join(lines)}</table>"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _line(cells: Sequence[str], *, tag: str, low: bool, texts: int = 2) -> str:
    """A row of a table; after the first `texts` cells come numbers."""
    parts = [
        f"<{tag}{' class=n' if place >= texts else ''}>{html.escape(cell)}</{tag}>"
        for place, cell in enumerate(cells)
    ]
    return f"<tr{' class=low' if low else ''}>{''.join(parts)}</tr>"
