"""Questions to a running Envoy over its admin interface on a unix socket."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import aiohttp
from yarl import URL

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_FAILURES = (aiohttp.ClientError, OSError, asyncio.TimeoutError)


class EnvoyAdmin:
    """The admin interface of one Envoy. Answers that do not come are None or empty.

    Example:
        >>> async with EnvoyAdmin(Path("/run/envoy.admin")) as admin:  # doctest: +SKIP
        ...     await admin.live()
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        if self._http is not None:
            await self._http.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            connector = aiohttp.UnixConnector(path=str(self._socket))
            self._http = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT)
        return self._http

    async def text(self, path: str, *, method: str = "GET") -> str | None:
        """The body of an admin page; None when Envoy does not answer with 200."""
        try:
            async with self._session().request(
                method, URL(f"http://envoy{path}", encoded=True)
            ) as response:
                body = await response.text()
                return body if response.status == 200 else None
        except _FAILURES:
            return None

    async def live(self) -> bool:
        """Whether the server has its first configuration and serves.

        It says nothing about single listeners: one that could not bind is only missing.
        """
        return await self.text("/ready") is not None

    async def listeners(self) -> set[str]:
        """The HOST:PORT of each listener that is really open."""
        body = await self.text("/listeners") or ""
        return {line.rpartition("::")[2].strip() for line in body.splitlines() if "::" in line}

    async def counters(self, pattern: str = "") -> dict[str, int]:
        """Counters and gauges whose name fits the regular expression."""
        query = f"?filter={quote(pattern, safe='')}" if pattern else ""
        body = await self.text(f"/stats{query}") or ""
        pairs = (line.rpartition(": ") for line in body.splitlines())
        return {name: int(value) for name, _, value in pairs if value.isdigit()}

    async def drain(self) -> None:
        """Stop accepting, let requests in flight finish."""
        await self.text("/drain_listeners?graceful", method="POST")
