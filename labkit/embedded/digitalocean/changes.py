"""Tells the daemon that something changed, without losing or repeating a change.

A counter and an event: whoever waits says which count it has seen, so several may wait, and a
change between two waits is not missed. It carries no content; the state is read afterwards.
"""

import asyncio


class Changes:
    """Count of changes, with a wait for the next one."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Record a change and wake everybody who waits."""
        self.count += 1
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def wait(self, seen: int = -1) -> int:
        """Return the count as soon as it differs from `seen`.

        Example:
            >>> seen = -1
            >>> while running:
            ...     seen = await state.changed.wait(seen)
            ...     reconcile(state.wanted_clusters())
        """
        while self.count == seen:
            future = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)
        return self.count
