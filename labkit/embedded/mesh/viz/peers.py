"""Asking another component of viz.

Components of viz run beside each other in the daemon, mostly in pods without a sidecar. They
reach each other over unix sockets in the cluster's folder, which needs no proxy of their own.
"""

from pathlib import Path
from typing import Any, Self

import aiohttp

from labkit.errors import LabkitError

REQUEST_TIMEOUT_S = 10.0


class PeerUnavailable(LabkitError):  # noqa: N818 - reads as what happened
    """Another component of viz did not answer, or answered with an error."""


class Peer:
    """Another component of viz in the same cluster.

    Args:
        path: its unix socket.
        name: what people call it.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.UnixConnector(path=str(self._path))
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, **query: str) -> Any:
        """GET a path and return the JSON of the answer.

        Raises:
            PeerUnavailable: no answer in 10 s, or a status from 400.
        """
        if self._session is None:
            raise RuntimeError("use Peer as a context manager")
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        url = f"http://{self._name}{path}"
        try:
            async with self._session.get(url, params=query, timeout=timeout) as response:
                if response.status >= 400:
                    raise PeerUnavailable(
                        f"{self._name} answered with {response.status}", seen=await response.text()
                    )
                return await response.json()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise PeerUnavailable(
                f"{self._name} does not answer",
                seen=type(error).__name__,
                fix="see whether the pods in linkerd-viz are Ready",
            ) from error
