"""The loop around every controller: take a key, bring the world into line, try again on failure.

A reconcile function gets a key and reads the rest from informers. If it fails, its key comes back
later and later (10 ms to 30 s) while all other keys go on; nothing here ever ends the loop.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from labkit.embedded.controllers.informers import SharedInformer
from labkit.embedded.informing import WorkQueue
from labkit.embedded.kube import KubeError, Object
from labkit.errors import LabkitError

logger = logging.getLogger(__name__)

Key = tuple[str, str]
FIRST_DELAY_S = 0.01
LAST_DELAY_S = 30.0
AWAY_DELAY_S = 2.0
_QUIET_FAILURES = 4


async def reconcile_forever(
    name: str,
    queue: WorkQueue[Key],
    reconcile: Callable[[Key], Awaitable[None]],
    *,
    workers: int = 2,
) -> None:
    """Work on the keys of a queue until cancelled.

    Args:
        name: the controller, for logs.
        queue: (namespace, name) keys; never two workers on one key.
        reconcile: may raise anything; its key is then tried again.
        workers: how many keys at a time.
    """
    failures: dict[Key, int] = {}

    async def work() -> None:
        while True:
            key = await queue.get()
            try:
                await reconcile(key)
                failures.pop(key, None)
            except Exception as error:  # noqa: BLE001 - one object never stops a controller
                failures[key] = failures.get(key, 0) + 1
                _report(name, key, error, failures[key])
                queue.add_after(key, _delay_s(error, failures[key]))
            finally:
                queue.done(key)

    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(work(), name=f"{name} worker {number}")


def _delay_s(error: Exception, count: int) -> float:
    """A server that is away says nothing about the object: look again soon."""
    away = isinstance(error, KubeError) and error.status is None
    limit_s = AWAY_DELAY_S if away else LAST_DELAY_S
    return float(min(FIRST_DELAY_S * 2 ** min(count, 20), limit_s))


def _report(name: str, key: Key, error: Exception, count: int) -> None:
    where = f"{name}: {key[0]}/{key[1]}"
    if not isinstance(error, LabkitError):
        logger.warning("%s failed (%d times)", where, count, exc_info=error)
    elif isinstance(error, KubeError) and (error.status in {404, 409} or is_ending(error)):
        logger.debug("%s: %s", where, error)  # someone else was faster: try again
    else:
        level = logging.WARNING if count >= _QUIET_FAILURES else logging.DEBUG
        logger.log(level, "%s failed (%d times): %s", where, count, error)


def is_ending(error: KubeError) -> bool:
    """Whether the server refused because the namespace is being deleted."""
    causes = error.body.get("details", {}).get("causes", [])
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


def enqueue_all(queue: WorkQueue[Key], informer: SharedInformer) -> None:
    """Ask for work on every object of a collection, now and at each change."""

    def changed(_: str, item: Object) -> None:
        queue.add((item["metadata"].get("namespace", ""), item["metadata"]["name"]))

    informer.subscribe(changed)
