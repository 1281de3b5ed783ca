"""One door for every request to DigitalOcean: budget, retries that are told, and errors.

azure-core would retry by itself, silently and for as long as `Retry-After` says; its retries are
off. Reads and deletes are tried again here, a bounded number of times; a create never is: whoever
creates looks first and decides. DigitalOcean permits 5,000 requests an hour and 250 a minute.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from labkit.clients.digitalocean_errors import Translator, field_of
from labkit.errors import CloudError

logger = logging.getLogger(__name__)

ATTEMPTS = 6
SILENT_ATTEMPTS = 4
"""Where there is no answer at all: a network that is down, or a wrong address, stays so."""

LONGEST_WAIT_S = 120.0
"""What all waits of one request together may take; a longer `Retry-After` is an error."""

FIRST_WAIT_S = 0.4
WINDOWS = ((60.0, 240), (3600.0, 4800))
"""(seconds, requests): a little less than DigitalOcean permits, others may use the account."""

_PER_PAGE = 100
_MAX_PAGES = 1_000

Tell = Callable[[str], None]
Clock = Callable[[], float]


class Budget:
    """Keeps the requests of this process below the limits of the account.

    Args:
        windows: (seconds, requests that may fall into them).
        clock: seconds.
    """

    def __init__(
        self, windows: Sequence[tuple[float, int]] = WINDOWS, *, clock: Clock = time.monotonic
    ) -> None:
        self._windows = windows
        self._clock = clock
        self._times: deque[float] = deque(maxlen=max(limit for _, limit in windows))

    def wait_s(self) -> float:
        """Seconds until another request fits, 0 when it fits now."""
        now = self._clock()
        waits = [
            self._times[-limit] + seconds - now
            for seconds, limit in self._windows
            if len(self._times) >= limit
        ]
        return max(0.0, *waits) if waits else 0.0

    def spend(self) -> None:
        """Count a request."""
        self._times.append(self._clock())


class Patience:
    """The waits of one request: how often, how long together, and that somebody is told.

    Args:
        what: the request, as `Listing clusters`.
        tell: told before each wait.
        tries: how often it may be tried in all.
    """

    def __init__(self, what: str, tell: Tell, *, tries: int = ATTEMPTS) -> None:
        self._what = what
        self._tell = tell
        self._limit = tries
        self._tries = 1
        self._waited_s = 0.0

    def wait(self, error: CloudError) -> None:
        """Wait before the next try.

        Raises:
            CloudError: the last failure, when it was tried often or long enough.
        """
        asked_s = error.retry_after_s
        wait_s = FIRST_WAIT_S * 2 ** (self._tries - 1) if asked_s is None else asked_s
        limit = self._limit if error.status else min(self._limit, SILENT_ATTEMPTS)
        if self._tries >= limit or self._waited_s + wait_s > LONGEST_WAIT_S:
            raise self._last(error, wait_s) from error
        seen = f"{error.status}" if error.status else "no answer"
        self._tell(
            f"{self._what}: {seen}; trying again in {wait_s:.1f} s "
            f"({self._tries + 1} of {limit} tries)"
        )
        time.sleep(wait_s)
        self._tries += 1
        self._waited_s += wait_s

    def _last(self, error: CloudError, wait_s: float) -> CloudError:
        tried = f"tried {self._tries} times in {self._waited_s:.0f} s"
        fix = error.fix
        if error.retry_after_s is not None and wait_s > LONGEST_WAIT_S:
            fix = f"wait {wait_s:.0f} s, then run the same command again"
        seen = f"{error.seen} ({tried})" if self._tries > 1 else error.seen
        return CloudError(
            error.what, status=error.status, seen=seen, fix=fix, retry_after_s=error.retry_after_s
        )


class Wire:
    """Sends requests of pydo.

    Args:
        errors: translates what pydo raises.
    """

    def __init__(self, errors: Translator) -> None:
        self.errors = errors
        self.budget = Budget()
        self._tell: Tell = logger.warning

    @contextmanager
    def telling(self, tell: Tell) -> Iterator[None]:
        """Tell somebody about waits inside the block; outside they go to the log."""
        before, self._tell = self._tell, tell
        try:
            yield
        finally:
            self._tell = before

    def tell(self, text: str) -> None:
        """Say why nothing seems to happen."""
        self._tell(text)

    def patience(self, what: str, *, tries: int = ATTEMPTS) -> Patience:
        """The waits of one request."""
        return Patience(what, self.tell, tries=tries)

    def call(self, what: str, operation: Callable[..., Any], **arguments: Any) -> Any:
        """Send a request that may be repeated (read, delete) and return the answer's body.

        Raises:
            CloudError: refused, or no success after several tries; also for 404, which pydo
                returns like an answer.
        """
        return self.repeated(what, lambda: self.once(what, operation, **arguments))

    def pages(
        self, what: str, operation: Callable[..., Any], *, key: str, **arguments: Any
    ) -> list[Any]:
        """Return the items of all pages of a list."""
        items: list[Any] = []
        for page in range(1, _MAX_PAGES):
            body = self.call(what, operation, page=page, per_page=_PER_PAGE, **arguments)
            items += body[key]
            pages = (body.get("links") or {}).get("pages") or {}
            if "next" not in pages:
                break
        return items

    def repeated(self, what: str, request: Callable[[], Any]) -> Any:
        """Do what may be repeated until it succeeds or the patience ends."""
        patience = self.patience(what)
        while True:
            try:
                return request()
            except CloudError as error:
                if not is_passing(error):
                    raise
                patience.wait(error)

    def once(self, what: str, operation: Callable[..., Any], **arguments: Any) -> Any:
        """Send a request once.

        Raises:
            CloudError: refused, or no answer.
        """
        self.within_budget(what)
        with self.errors.translated(what):
            status, body = operation(cls=_with_status, **arguments)
        if status >= 400:
            raise self.errors.refusal(what, status, field_of(body, "message"))
        return body

    def within_budget(self, what: str) -> None:
        """Wait until the budget has room for a request, and count it.

        Raises:
            CloudError: that would take too long.
        """
        wait_s = self.budget.wait_s()
        if wait_s > LONGEST_WAIT_S:
            raise CloudError(
                f"{what}: labkit has used up its requests of this hour",
                fix=f"wait {wait_s:.0f} s, then run the same command again",
            )
        if wait_s > 0:
            self.tell(f"{what}: {wait_s:.0f} s of pause, to stay below 250 requests a minute")
            time.sleep(wait_s)
        self.budget.spend()


def is_passing(error: CloudError) -> bool:
    """Whether the same request may succeed a little later."""
    return error.status is None or error.status in (408, 429) or error.status >= 500


def _with_status(pipeline: Any, body: Any, headers: Any) -> tuple[int, Any]:
    """Hand pydo's caller the status too: without it a 404 looks like a result."""
    del headers
    return int(pipeline.http_response.status_code), body
