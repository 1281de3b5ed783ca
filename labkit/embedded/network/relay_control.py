"""Control of the relay: HTTP and JSON over a unix socket that only its owner may open.

========  ================  ============================================================
method    path              meaning
========  ================  ============================================================
GET       /routes           every route with its figures, by id
PUT       /routes           exactly these routes: ``{"id": {...}, …}``; others are closed
GET       /routes/{id}      one route
PUT       /routes/{id}      make it, or change it live (a changed ``listen`` makes it anew)
PATCH     /routes/{id}      change some fields: ``{"rtt_ms": 80}``
DELETE    /routes/{id}      close it and reset its connections
GET       /healthz          ``ok``
========  ================  ============================================================

Both sides are here: the relay's site and the manager's client.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Self, cast

import aiohttp
from aiohttp import web

from labkit.embedded.network.relay_clock import Alarms
from labkit.embedded.network.relay_pipes import RouteSpec
from labkit.embedded.network.relay_routes import Route
from labkit.errors import StateError

_FIELDS = {item.name for item in fields(RouteSpec)}


def spec_from_json(route_id: str, body: Any) -> RouteSpec:
    """A route's specification from JSON.

    Raises:
        ValueError: the body is not one.
    """
    if not isinstance(body, dict):
        raise ValueError("a route is a JSON object")  # noqa: TRY004 - one error for bad input
    values = {key: value for key, value in body.items() if key != "stats"}
    unknown = sorted(set(values) - _FIELDS)
    if unknown:
        raise ValueError(f"unknown fields: {', '.join(unknown)}; known: {sorted(_FIELDS)}")
    targets = values.pop("targets", [])
    values.pop("id", None)
    try:
        return RouteSpec(id=route_id, targets=tuple(str(target) for target in targets), **values)
    except TypeError as error:
        raise ValueError(str(error)) from error


class _Control:
    def __init__(self, routes: dict[str, Route]) -> None:
        self._routes = routes
        self.alarms = Alarms()
        self._lock = asyncio.Lock()

    async def put(self, spec: RouteSpec) -> Route:
        async with self._lock:
            route = self._routes.get(spec.id)
            if route and spec.listen in ("127.0.0.1:0", route.spec.listen):
                route.change(spec)
                return route
            if route:
                await self._routes.pop(spec.id).stop()
            route = Route(spec, self.alarms)
            await route.start()
            self._routes[spec.id] = route
            return route

    async def drop(self, route_id: str) -> None:
        async with self._lock:
            await self._routes.pop(route_id).stop()

    # handlers

    async def handle_list(self, _: web.Request) -> web.Response:
        return web.json_response({key: route.describe() for key, route in self._routes.items()})

    async def handle_get(self, request: web.Request) -> web.Response:
        return web.json_response(self._find(request).describe())

    async def handle_put_all(self, request: web.Request) -> web.Response:
        body = await request.json()
        if not isinstance(body, dict):
            raise ValueError("the body is an object of routes by id")  # noqa: TRY004 - answered as 400
        specs = [spec_from_json(key, value) for key, value in body.items()]
        for gone in set(self._routes) - set(body):
            await self.drop(gone)
        for spec in specs:
            await self.put(spec)
        return await self.handle_list(request)

    async def handle_put(self, request: web.Request) -> web.Response:
        spec = spec_from_json(request.match_info["id"], await request.json())
        return web.json_response((await self.put(spec)).describe())

    async def handle_patch(self, request: web.Request) -> web.Response:
        route = self._find(request)
        body = await request.json()
        if not isinstance(body, dict):
            raise ValueError("a patch is a JSON object")  # noqa: TRY004 - answered as 400
        spec = spec_from_json(route.spec.id, {**asdict(route.spec), **body})
        return web.json_response((await self.put(spec)).describe())

    async def handle_delete(self, request: web.Request) -> web.Response:
        await self.drop(self._find(request).spec.id)
        return web.json_response({})

    def _find(self, request: web.Request) -> Route:
        route_id = request.match_info["id"]
        if route_id not in self._routes:
            raise web.HTTPNotFound(text=f"no route {route_id}; there are {sorted(self._routes)}")
        return self._routes[route_id]


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except ValueError as error:
        return web.Response(status=400, text=str(error))
    except OSError as error:
        return web.Response(status=409, text=str(error))
    return response


@contextlib.asynccontextmanager
async def control_site(routes: dict[str, Route], path: str) -> AsyncIterator[None]:
    """Serve the control of ``routes`` on the unix socket ``path`` (mode 0600)."""
    control = _Control(routes)
    app = web.Application(middlewares=[_errors])
    app.router.add_get("/routes", control.handle_list)
    app.router.add_put("/routes", control.handle_put_all)
    app.router.add_get("/routes/{id}", control.handle_get, allow_head=False)
    app.router.add_put("/routes/{id}", control.handle_put)
    app.router.add_patch("/routes/{id}", control.handle_patch)
    app.router.add_delete("/routes/{id}", control.handle_delete)
    app.router.add_get("/healthz", lambda _: _ok())
    socket = Path(path)
    await asyncio.to_thread(socket.unlink, missing_ok=True)  # of a killed relay
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, path).start()
    finally:
        os.umask(before)
    try:
        yield
    finally:
        await runner.cleanup()
        for route in routes.values():
            await route.stop()
        control.alarms.close()
        socket.unlink(missing_ok=True)  # noqa: ASYNC240 - the last act of the process


async def _ok() -> web.Response:
    return web.Response(text="ok")


class RelayClient:
    """The manager's side of the control socket."""

    def __init__(self, control: str | Path) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=str(control)),
            timeout=aiohttp.ClientTimeout(total=5),
        )

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def healthy(self) -> bool:
        """Whether the relay answers."""
        try:
            async with self._session.get("http://relay/healthz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False

    async def routes(self) -> dict[str, dict[str, Any]]:
        """Every route with its figures."""
        return cast("dict[str, dict[str, Any]]", await self._call("GET", "/routes"))

    async def put_all(self, specs: Mapping[str, RouteSpec]) -> dict[str, dict[str, Any]]:
        """Make the relay have exactly these routes."""
        body = {key: asdict(spec) for key, spec in specs.items()}
        return cast("dict[str, dict[str, Any]]", await self._call("PUT", "/routes", body))

    async def put(self, spec: RouteSpec) -> dict[str, Any]:
        """Make or change one route; the answer holds its real ``listen`` address."""
        answer = await self._call("PUT", f"/routes/{spec.id}", asdict(spec))
        return cast("dict[str, Any]", answer)

    async def patch(self, route_id: str, **changes: Any) -> dict[str, Any]:
        """Change some fields of a route live."""
        answer = await self._call("PATCH", f"/routes/{route_id}", changes)
        return cast("dict[str, Any]", answer)

    async def delete(self, route_id: str) -> None:
        """Close a route."""
        await self._call("DELETE", f"/routes/{route_id}")

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        try:
            async with self._session.request(method, f"http://relay{path}", json=body) as answer:
                if answer.status == 200:
                    return await answer.json()
                seen = f"{answer.status}: {await answer.text()}"
        except (aiohttp.ClientError, OSError) as error:
            seen = repr(error)
        raise StateError(
            f"The WAN relay did not do {method} {path}",
            seen=seen,
            fix="look at the relay's log in the lab's state folder",
        )
