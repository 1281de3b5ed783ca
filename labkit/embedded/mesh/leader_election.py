"""Being the only writer: leader election over a Lease, as client-go does it, at Linkerd's times.

A holder renews every 2 s; another candidate takes over when a Lease has not been renewed for
30 s; a holder that could not renew for 10 s gives up. A stopped holder releases the Lease, so its
successor need not wait. A holder writes what it wrote before without reading it first: somebody
else's change makes that a conflict, and then it is read.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from labkit.embedded.kube import KubeClient, KubeError, path_of

logger = logging.getLogger(__name__)

LEASE_S = 30
RENEW_DEADLINE_S = 10.0
RETRY_S = 2.0

_RELEASE_S = 2.0
_API = "coordination.k8s.io/v1"


def _micro_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Leadership:
    """One candidate for one Lease.

    Args:
        kube: the cluster.
        namespace: of the Lease.
        name: of the Lease.
        identity: of this candidate; the pod's name.
    """

    def __init__(self, kube: KubeClient, *, namespace: str, name: str, identity: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._path = path_of(_API, "leases", namespace, name)
        self._held: dict[str, Any] | None = None

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the Lease, do the work while holding it, and compete again when it is lost."""
        while True:
            await self._acquire()
            task = asyncio.ensure_future(work())
            try:
                await self._hold(task)
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                await self._release()

    async def _acquire(self) -> None:
        while not await self._try():  # noqa: ASYNC110 - the Lease is on a server
            await asyncio.sleep(RETRY_S)

    async def _hold(self, task: "asyncio.Future[None]") -> None:
        renewed = time.monotonic()
        while time.monotonic() - renewed < RENEW_DEADLINE_S:
            done, _ = await asyncio.wait([task], timeout=RETRY_S)
            if done:
                task.result()
                return
            if await self._try():
                renewed = time.monotonic()
        logger.warning("lost lease %s/%s", self._namespace, self._name)

    async def _try(self) -> bool:
        """Take or renew the Lease; false if another holds it or the server refused."""
        held, self._held = self._held, None
        try:
            if held is not None and await self._renewed(held):
                return True
            return await self._take()
        except KubeError as error:
            logger.debug("lease %s: %s", self._name, error)
            return False

    async def _renewed(self, lease: dict[str, Any]) -> bool:
        """Renew the Lease as it was written last; false when it is not that one any more."""
        try:
            await self._write(lease)
        except KubeError as error:
            logger.debug("lease %s is read again: %s", self._name, error)
            return False
        return True

    async def _take(self) -> bool:
        now = datetime.now(UTC)
        try:
            lease = await self._kube.get(self._path)
        except KubeError as error:
            if error.status != 404:
                raise
            path = path_of(_API, "leases", self._namespace)
            self._held = await self._kube.create(path, self._new(now))
            return True
        spec: dict[str, Any] = lease.setdefault("spec", {})
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self._identity) and not _expired(spec, now):
            return False
        if holder != self._identity:
            spec["acquireTime"] = _micro_time(now)
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
        await self._write(lease)
        return True

    async def _write(self, lease: dict[str, Any]) -> None:
        lease["spec"] |= {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_S,
            "renewTime": _micro_time(datetime.now(UTC)),
        }
        self._held = await self._kube.replace(self._path, lease)

    def _new(self, now: datetime) -> dict[str, Any]:
        return {
            "apiVersion": _API,
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": LEASE_S,
                "acquireTime": _micro_time(now),
                "renewTime": _micro_time(now),
                "leaseTransitions": 0,
            },
        }

    async def _release(self) -> None:
        self._held = None
        with contextlib.suppress(KubeError, TimeoutError):
            async with asyncio.timeout(_RELEASE_S):
                await self._give_up()

    async def _give_up(self) -> None:
        lease = await self._kube.get(self._path)
        if lease.get("spec", {}).get("holderIdentity") == self._identity:
            lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
            await self._kube.replace(self._path, lease)


def _expired(spec: dict[str, Any], now: datetime) -> bool:
    renewed = spec.get("renewTime")
    if not renewed:
        return True
    duration = timedelta(seconds=int(spec.get("leaseDurationSeconds") or LEASE_S))
    return datetime.fromisoformat(renewed) + duration < now
