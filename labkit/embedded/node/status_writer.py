"""Writes the status of one pod whenever it changed, and only then.

Changes that come while a write is under way are written together afterwards.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from labkit.embedded.kube import KubeClient, KubeError

logger = logging.getLogger(__name__)

Object = dict[str, Any]

_RETRY_S = (0.1, 5.0)


class StatusWriter:
    """One pod's status.

    Args:
        kube: client.
        path: of the pod's status.
        compute: the status now, None when there is nothing to say.
        on_written: told the pod as the API server answered.
    """

    def __init__(
        self,
        kube: KubeClient,
        path: str,
        *,
        compute: Callable[[], Object | None],
        on_written: Callable[[Object], None],
    ) -> None:
        self._kube = kube
        self._path = path
        self._compute = compute
        self._on_written = on_written
        self._dirty = asyncio.Event()
        self._written: Object | None = None
        self._first = asyncio.Event()

    async def written(self) -> None:
        """Wait for the first write."""
        await self._first.wait()

    def changed(self) -> None:
        """Something changed."""
        self._dirty.set()

    async def run(self) -> None:
        """Write after every change, until cancelled."""
        delay = _RETRY_S[0]
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self.write()
                delay = _RETRY_S[0]
            except KubeError as error:
                if error.status == 404:
                    continue  # deleted; the watch tells soon
                logger.debug("%s: %s", self._path, error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _RETRY_S[1])
                self._dirty.set()

    async def write(self) -> None:
        """Write the status if it differs from the last one written.

        Raises:
            KubeError: the API server refused.
        """
        status = self._compute()
        if status is None or status == self._written:
            self._first.set()
            return
        answer = await self._kube.patch(self._path, {"status": status})
        self._written = status
        self._first.set()
        self._on_written(answer)
