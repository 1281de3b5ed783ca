"""The collector: a small HTTP server that takes learners' records and shows the board.

Learners need the room's join code and a key of their own; the instructor needs the password. Bodies
are small and checked strictly, requests are limited per address, per learner and in total. There is
no TLS: on the room's network code and records can be read by others; behind a proxy with TLS, not.
"""

import asyncio
import math
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from labkit.board.gathering import INSTRUCTOR, LARGEST_BYTES, Gathered, reason_in_words
from labkit.board.keeping import Kept, Refused
from labkit.board.limits import Buckets, Limit
from labkit.board.showing import room_page
from labkit.board.standing import Room
from labkit.errors import StateError
from labkit.learner import LearnerRecord
from labkit.learner.delivering import KEY_HEADER, LEARNERS

REFRESH_S = 10
READ_S = 10.0
"""A body must have come by then."""
LONGEST_KEY = 128
_SHUTDOWN_S = 1.0

_GREETING = (
    "This is a labkit board.\n"
    "Learners: labkit progress --join <this address>, with the join code of the room.\n"
    f"The page is the instructor's: user `{INSTRUCTOR}`, password in the board's folder.\n"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


@dataclass(frozen=True)
class Limits:
    """How many requests are taken; a room of forty sends about one a second in all."""

    address: Limit
    learner: Limit
    total: Limit


USUAL = Limits(
    address=Limit(burst=120, per_s=20),  # one address may be a whole room behind one router
    learner=Limit(burst=20, per_s=1),
    total=Limit(burst=400, per_s=100),
)


class CollectorApp:
    """The routes over a state folder.

    Args:
        kept: records and credentials.
        show: makes the board of what was gathered.
        limits: how many requests are taken.
    """

    def __init__(
        self, kept: Kept, *, show: Callable[[Gathered], Room], limits: Limits = USUAL
    ) -> None:
        self._kept = kept
        self._show = show
        self._addresses = Buckets(limits.address)
        self._learners = Buckets(limits.learner)
        self._total = Buckets(limits.total)
        self._turn = asyncio.Lock()

    def application(self) -> web.Application:
        """For aiohttp."""
        app = web.Application(client_max_size=LARGEST_BYTES, middlewares=[self._limited])
        app.router.add_put(f"{LEARNERS}/{{id}}", self._put)
        app.router.add_get(LEARNERS, self._list)
        app.router.add_get("/", self._page)
        return app

    @web.middleware
    async def _limited(
        self, request: web.Request, handler: Callable[..., object]
    ) -> web.StreamResponse:
        wait_s = self._total.take("") or self._addresses.take(request.remote or "")
        if wait_s:
            return _busy(wait_s)
        try:
            answer = await handler(request)  # type: ignore[misc]
        except web.HTTPException as error:
            answer = _text(error.status, error.reason)
            answer.headers.update({k: v for k, v in error.headers.items() if k == "Allow"})
        answer.headers.update(_HEADERS)
        return answer  # type: ignore[no-any-return]

    async def _put(self, request: web.Request) -> web.Response:
        scheme, _, code = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not self._kept.credentials.admits(code):
            return _text(401, "the join code is wrong", {"WWW-Authenticate": "Bearer"})
        key = request.headers.get(KEY_HEADER, "")
        if not key or len(key) > LONGEST_KEY:
            return _text(400, f"{KEY_HEADER} is missing or too long")
        try:
            async with asyncio.timeout(READ_S):
                body = await request.read()
            record = LearnerRecord.model_validate_json(body)
        except TimeoutError:
            return _text(408, f"the body did not come within {READ_S:.0f} s")
        except ValueError as error:
            return _text(400, f"no record of a learner: {reason_in_words(error)}")
        if request.match_info["id"] != record.id:
            return _text(400, "the id in the address is not the record's")
        if wait_s := self._learners.take(record.id):
            return _busy(wait_s)
        return await self._keep(record, key)

    async def _keep(self, record: LearnerRecord, key: str) -> web.Response:
        try:
            async with self._turn:
                kept = await asyncio.to_thread(self._kept.put, record, key)
        except Refused as error:
            return _text(403, str(error))
        except OSError as error:
            return _text(503, f"the board cannot write: {error.strerror}", {"Retry-After": "10"})
        return web.json_response({"revision": record.revision, "kept": kept})

    async def _list(self, request: web.Request) -> web.Response:
        if not self._is_instructor(request):
            return _ask()
        found = self._kept.gathered().sightings
        rows = [{"age_s": round(s.age_s, 1), "progress": s.record.to_json()} for s in found]
        return web.json_response({"learners": rows})

    async def _page(self, request: web.Request) -> web.Response:
        if not self._is_instructor(request):
            return _ask()
        refresh = request.query.get("refresh") != "0"
        room = await asyncio.to_thread(self._show, self._kept.gathered())
        page = room_page(
            room,
            refresh_s=REFRESH_S if refresh else None,
            pause="/?refresh=0" if refresh else "/",
        )
        return web.Response(text=page, content_type="text/html")

    def _is_instructor(self, request: web.Request) -> bool:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, password = b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            return False
        good = self._kept.credentials.is_instructor(password)
        return scheme.lower() == "basic" and user == INSTRUCTOR and good


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers=headers)


def _ask() -> web.Response:
    realm = {"WWW-Authenticate": 'Basic realm="labkit board", charset="UTF-8"'}
    return _text(401, _GREETING, realm)


def _busy(wait_s: float) -> web.Response:
    return _text(429, "too many requests", {"Retry-After": str(max(1, math.ceil(wait_s)))})


@asynccontextmanager
async def collecting(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the context lasts.

    Args:
        app: of a `CollectorApp`.
        host: address to listen on.
        port: 0 takes a free one.

    Yields:
        The port that is listened on.

    Raises:
        StateError: the address cannot be had.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise StateError(
                f"The board cannot listen on {host}:{port}",
                seen=error.strerror or str(error),
                fix="--port takes another port, --host an address of this machine",
            ) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
