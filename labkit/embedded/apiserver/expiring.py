"""Events go after an hour, as in Kubernetes: nothing else would ever remove them."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from labkit.embedded.apiserver.store import Object, Store

logger = logging.getLogger(__name__)

LIFETIME = timedelta(hours=1)
_EVERY_S = 60.0
_BATCH = 100


def last_seen(event: Object) -> datetime:
    """When an event last happened."""
    series: dict[str, Any] = event.get("series") or {}
    times = (
        event["metadata"].get("creationTimestamp"),
        event.get("lastTimestamp"),
        series.get("lastObservedTime"),
    )
    return max(datetime.fromisoformat(text) for text in times if text)


def expire(store: Store, *, at: datetime) -> int:
    """Remove what is older than an hour (at most a batch); returns how many."""
    old = [e for e in store.entries("events") if at - last_seen(e.obj) > LIFETIME][:_BATCH]
    for entry in old:
        store.remove("events", entry.namespace, entry.name)
    return len(old)


async def run(store: Store) -> None:
    """Remove old events until cancelled."""
    while True:
        removed = expire(store, at=datetime.now(UTC))
        if removed:
            logger.debug("%d events have expired", removed)
        await asyncio.sleep(0.01 if removed == _BATCH else _EVERY_S)
