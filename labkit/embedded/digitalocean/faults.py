"""Switches that make the emulated account as nasty as a real one can be.

A switch is one `Fault`: a name of `FAULTS`, which requests it meets, how many it lets pass before
and how many it takes. Switches live in memory only: a daemon that starts has none. What a fault
has done to a resource (a cluster that will end in `error`) stays with the resource. The middleware
treats the faults of the wire here; the account asks `take(…)` for its own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

from aiohttp import web
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from labkit.embedded.digitalocean.errors import (
    ApiError,
    server_trouble,
    too_many_requests,
    unprocessable,
)

FAULTS: Mapping[str, str] = {
    "latency": "an answer comes `seconds` later",
    "too_many_requests": "429 with `Retry-After: seconds`; nothing is executed",
    "server_error": "500; `executed` says whether the request was executed before",
    "bad_gateway": "502; likewise",
    "unavailable": "503; likewise",
    "dropped": "the connection ends without an answer, after `seconds`; likewise",
    "stale_lists": "lists show for `seconds` after a change what was before it",
    "quota": "a cluster is refused with 422: limit of Droplets",
    "same_names": "a second cluster of the same name is accepted",
    "slow_provisioning": "a new cluster or load balancer needs `seconds` more",
    "provisioning_error": "a new cluster ends in the state `error`",
    "kubeconfig_not_ready": "a running cluster hands out no kubeconfig yet (422)",
    "cluster_volumes": "a new cluster makes a volume and a snapshot of it",
    "slow_deletion": "a deleted cluster stays `deleting` for `seconds` more",
    "survivor": "a resource that is deleted with its cluster stays",
}
"""Every switch, and what happens when it is on."""

_STATUS = {"server_error": 500, "bad_gateway": 502, "unavailable": 503}
_WIRE = ("too_many_requests", *_STATUS, "dropped")
_CHANGES = ("POST", "PUT", "DELETE")
_KEPT_VIEWS = 200

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Lists = Callable[[], dict[str, list[dict[str, Any]]]]


@dataclass(config=ConfigDict(extra="forbid"))
class Fault:
    """One switch that is on.

    Attributes:
        name: of `FAULTS`.
        method: HTTP method it meets; empty meets all. Faults of the account ignore it.
        path: end of the paths it meets; empty meets all. Faults of the account ignore it.
        skip: occasions that it lets pass first.
        times: occasions that it takes after that; None is for ever.
        seconds: of the fault, where it has any.
        executed: whether the request is executed although its answer is lost.
    """

    name: str
    method: str = ""
    path: str = ""
    skip: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=0)] | None = None
    seconds: Annotated[float, Field(ge=0)] = 0.0
    executed: bool = False

    def meets(self, method: str, path: str) -> bool:
        """Whether it is about such a request."""
        return self.method in ("", method) and path.endswith(self.path)


class Faults:
    """The switches of one account.

    Args:
        lists: returns every list of the account as it is now, by the key of its answer.
    """

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._on: list[Fault] = []
        self._views: list[tuple[float, dict[str, list[dict[str, Any]]]]] = []

    def set(self, faults: Any) -> None:
        """Replace all switches by those of a list.

        Raises:
            ApiError: 422, a fault that does not exist or a field that it does not have.
        """
        self._on = _parsed(faults)
        self._views = []

    def shown(self) -> list[dict[str, Any]]:
        """The switches that are on, with the occasions that are left."""
        return [asdict(fault) for fault in self._on]

    def take(self, name: str, method: str = "", path: str = "") -> Fault | None:
        """The switch that takes this occasion, if one does; it is counted."""
        for fault in self._on:
            if fault.name != name or fault.times == 0 or not fault.meets(method, path):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
            return fault
        return None

    def as_listed(self, key: str, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A list as this account shows it: late, while `stale_lists` is on."""
        now = time.monotonic()
        for until, view in self._views:
            if now < until:
                return view.get(key, items)
        return items

    def before_change(self, method: str) -> None:
        """Keep what lists show before a request that may change them."""
        if method not in _CHANGES:
            return
        fault = self.take("stale_lists")
        if fault is not None:
            view = (time.monotonic() + fault.seconds, self._lists())
            self._views = [*self._views, view][-_KEPT_VIEWS:]


def _parsed(faults: Any) -> list[Fault]:
    try:
        found = TypeAdapter(list[Fault]).validate_python(faults)
    except ValidationError as error:
        told = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise unprocessable(f"not a list of faults: {'; '.join(told)}") from None
    unknown = [fault.name for fault in found if fault.name not in FAULTS]
    if unknown:
        raise unprocessable(f"no fault {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    return found


async def meet(faults: Faults, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve a request, or do to it what a switch says."""
    method, path = request.method, request.path
    slow = faults.take("latency", method, path)
    if slow is not None:
        await asyncio.sleep(slow.seconds)
    for name in _WIRE:
        fault = faults.take(name, method, path)
        if fault is not None:
            return await _fail(faults, fault, request, handler)
    faults.before_change(method)
    return await handler(request)


async def _fail(
    faults: Faults, fault: Fault, request: web.Request, handler: Handler
) -> web.StreamResponse:
    if fault.name == "too_many_requests":
        raise too_many_requests(retry_after_s=fault.seconds)
    if fault.executed:
        faults.before_change(request.method)
        await _executed(request, handler)
    if fault.name == "dropped":
        await asyncio.sleep(fault.seconds)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)  # to nobody: the connection is closed
    raise server_trouble(_STATUS[fault.name])


async def _executed(request: web.Request, handler: Handler) -> None:
    try:
        await handler(request)
    except ApiError:
        return  # it was refused, and nobody learns that either
