"""The application: authentication, rate-limit headers and errors around the operations.

Whoever runs it gives it TLS (pydo refuses plain HTTP) and binds it to 127.0.0.1.
"""

import hmac
import logging
import math
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from labkit.embedded.digitalocean.errors import ApiError, too_many_requests, unauthorized
from labkit.embedded.digitalocean.faults import meet
from labkit.embedded.digitalocean.handlers import STATE
from labkit.embedded.digitalocean.routes import CONTROL, ROUTES
from labkit.embedded.digitalocean.state import DigitalOceanState

_logger = logging.getLogger(__name__)

_HOUR_S, _MINUTE_S = 3600.0, 60.0
_BODY_LIMIT_BYTES = 1_000_000

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RateLimit:
    """Counts the requests of the last hour and writes the headers that clients look at.

    Args:
        limit: requests an hour that the headers announce.
        burst: requests a minute.
        enforce: refuse above the limits. Off in the embedded cloud, whose own controllers use
            the same API and must not starve a lab that stays up for hours.
    """

    def __init__(self, limit: int, *, burst: int, enforce: bool) -> None:
        self._limit = limit
        self._burst = burst
        self._enforce = enforce
        self._times: deque[float] = deque(maxlen=limit + 1)

    def count(self) -> bool:
        """Count a request; return whether it may be served."""
        now = time.time()
        while self._times and self._times[0] <= now - _HOUR_S:
            self._times.popleft()
        if self._enforce and self.retry_after_s(now) > 0:
            return False
        self._times.append(now)
        return True

    def headers(self) -> dict[str, str]:
        """Return the rate-limit headers."""
        oldest = self._times[0] if self._times else time.time()
        return {
            "ratelimit-limit": str(self._limit),
            "ratelimit-remaining": str(max(0, self._limit - len(self._times))),
            "ratelimit-reset": str(int(oldest + _HOUR_S)),
        }

    def retry_after_s(self, now: float) -> float:
        """Return after how many seconds both windows have room again; 0 when they have."""
        waits = [0.0]
        if len(self._times) >= self._limit:
            waits.append(self._times[0] + _HOUR_S - now)
        if len(self._times) >= self._burst:
            waits.append(self._times[-self._burst] + _MINUTE_S - now)
        return max(waits)


def create_app(
    state: DigitalOceanState,
    token: str,
    *,
    rate_limit: int = 5000,
    burst_limit: int = 250,
    enforce_rate_limit: bool = False,
    beside: Sequence[web.RouteDef] = (),
) -> web.Application:
    """Make the application under /v2.

    Args:
        state: the account.
        token: the bearer token that every request must carry.
        rate_limit: requests an hour, as announced in the headers.
        burst_limit: requests a minute.
        enforce_rate_limit: answer 429 above them.
        beside: operations outside /v2 behind the same token.
    """
    limit = RateLimit(rate_limit, burst=burst_limit, enforce=enforce_rate_limit)
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        response = await _answer(request, handler, request_id, limit, expected)
        response.headers.update(limit.headers())
        response.headers["x-request-id"] = request_id
        if "Upgrade" in request.headers:
            response.force_close()  # aiohttp loses its place after a declined upgrade with a body
        return response

    app = web.Application(middlewares=[guard], client_max_size=_BODY_LIMIT_BYTES)
    app[STATE] = state
    app.add_routes((*beside, *CONTROL, *ROUTES))
    return app


def _admit(request: web.Request, limit: RateLimit, expected: bytes) -> None:
    given = request.headers.get("Authorization", "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, expected):
        raise unauthorized()
    if not limit.count():
        raise too_many_requests()


async def _answer(
    request: web.Request, handler: Handler, request_id: str, limit: RateLimit, expected: bytes
) -> web.StreamResponse:
    try:
        _admit(request, limit, expected)
        if not request.path.startswith("/v2/"):
            return await handler(request)
        return await meet(request.app[STATE].faults, request, handler)
    except ApiError as exc:
        response = web.json_response(exc.body(request_id), status=exc.status)
        if exc.status == 429:
            wait_s = limit.retry_after_s(time.time())
            wait_s = wait_s if exc.retry_after_s is None else exc.retry_after_s
            response.headers["Retry-After"] = str(max(1, math.ceil(wait_s)))
        return response
    except web.HTTPRequestEntityTooLarge:
        error = ApiError(413, "request_entity_too_large", "The request body is too large.")
        return web.json_response(error.body(request_id), status=413)
    except ConnectionResetError:
        raise
    except web.HTTPException as exc:
        error = ApiError(exc.status, exc.reason.lower().replace(" ", "_"), exc.reason)
        return web.json_response(error.body(request_id), status=exc.status)
    except Exception:
        _logger.exception("unexpected error in %s %s", request.method, request.path)
        error = ApiError(500, "server_error", "Unexpected server-side error")
        return web.json_response(error.body(request_id), status=500)
