"""From an HTTP request to its handler: who asks, may they, what is it, and what if it fails.

The only place where errors become responses, and where an answer waits until what it tells is on
disk. Every refusal for lack of rights leaves one audit line in the log.
"""

import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from labkit.embedded.apiserver import (
    deleting,
    impersonation,
    patches,
    proxying,
    reading,
    requests,
    responses,
    reviews,
    status,
    streaming,
    subresources,
    token_requests,
    watching,
    wellknown,
    writing,
)
from labkit.embedded.apiserver.authorization import Attributes, require
from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.requests import Call
from labkit.embedded.apiserver.store import DiskError
from labkit.embedded.apiserver.users import User

logger = logging.getLogger(__name__)

Handler = Callable[[Backend, Call], Awaitable[web.StreamResponse]]

_OBJECTS: dict[str, Handler] = {
    "get": reading.get,
    "list": reading.list_objects,
    "watch": watching.watch,
    "create": writing.create,
    "update": writing.update,
    "patch": patches.patch,
    "delete": deleting.delete,
    "deletecollection": deleting.delete_collection,
}
_SUBRESOURCES: dict[str, Handler] = {
    "attach": streaming.upgrade,
    "binding": subresources.bind,
    "eviction": subresources.evict,
    "exec": streaming.upgrade,
    "finalize": subresources.finalize,
    "log": streaming.log,
    "portforward": streaming.upgrade,
    "proxy": proxying.proxy,
    "scale": subresources.scale,
    "token": token_requests.request_token,
}


def handler_of(call: Call) -> Handler:
    """The function that answers a call whose resource is known."""
    if call.subresource in _SUBRESOURCES:
        return _SUBRESOURCES[call.subresource]
    if call.plural in reviews.RESOURCES and call.group.endswith(".k8s.io"):
        return reviews.review
    if call.plural == "bindings" and not call.group:
        return subresources.bind
    return _OBJECTS[call.verb]


class Dispatcher:
    """The request handler of one API server."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, whatever it is, when what the answer tells is on disk."""
        response = await self._handle(request)
        if "Upgrade" in request.headers and not response.prepared:
            # aiohttp loses its place when a declined upgrade has a body that nobody read
            response.force_close()
        return response

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        call = requests.parse(request)
        response = await self._told(request, call, self._answer(request, call))
        store = self._backend.store
        rv = store.rv if call is None or call.shown is None else call.shown
        if rv <= store.rv_on_disk:
            return response
        return await self._told(request, call, self._on_disk(response, rv))

    async def _on_disk(self, response: web.StreamResponse, rv: int) -> web.StreamResponse:
        await self._backend.store.on_disk(rv)
        return response

    async def _answer(self, request: web.BaseRequest, call: Call | None) -> web.StreamResponse:
        backend = self._backend
        user = backend.authenticator.user(request)
        if impersonation.wanted(request):
            user = impersonation.effective_user(user, request, backend.authorizer)
        if call is None:
            return await self._path(request, user)
        call.user = user
        return await self._resource(call)

    async def _told(
        self, request: web.BaseRequest, call: Call | None, work: Awaitable[web.StreamResponse]
    ) -> web.StreamResponse:
        """What comes of the work, or the Status of its failure."""
        try:
            return await work
        except status.ApiError as error:
            return _refusal(error, call)
        except (sqlite3.Error, DiskError) as error:
            logger.exception("cannot store: %s %s", request.method, request.path)
            return _refusal(status.internal(f"the database refused: {error}"), call)
        except (ConnectionError, TimeoutError) as error:
            logger.debug("%s %s: %s", request.method, request.path, error)
            raise
        except Exception as error:
            logger.exception("%s %s failed", request.method, request.path)
            return _refusal(status.internal(f"{type(error).__name__}: {error}"), call)

    async def _resource(self, call: Call) -> web.StreamResponse:
        require(self._backend.authorizer, call.user, call.attributes)
        registry = self._backend.registry
        if registry.find(call.group, call.version, call.plural) is None:
            if not registry.is_built_in(call.group):
                return web.Response(status=404, text="404 page not found\n")
            raise status.no_such_resource()
        requests.resolve(call, registry)
        return await handler_of(call)(self._backend, call)

    async def _path(self, request: web.BaseRequest, user: User) -> web.StreamResponse:
        verb = {"GET": "get", "HEAD": "get"}.get(request.method, request.method.lower())
        attributes = Attributes(verb=verb, path=request.path)
        require(self._backend.authorizer, user, attributes)
        return await wellknown.respond(self._backend, request)


def _refusal(error: status.ApiError, call: Call | None) -> web.Response:
    body: Any = json.dumps(error.body, separators=(",", ":"), ensure_ascii=False)
    response = responses.raw(body.encode("utf-8", "replace"), code=error.code, call=call)
    seconds = (error.body.get("details") or {}).get("retryAfterSeconds")
    if seconds:
        response.headers["Retry-After"] = str(seconds)
    return response
