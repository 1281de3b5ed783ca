"""The status of a Link: which Services of the target are mirrored, and why others are not.

Changes are gathered for a moment and written with one patch; an unchanged status is not written.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.mesh.mirror_link import LinkSpec
from labkit.embedded.mesh.mirror_objects import CONTROLLER_NAME, status_entry

logger = logging.getLogger(__name__)

LINK_API = "multicluster.linkerd.io/v1alpha3"

_GATHER_S = 0.1
_RETRY_S = 2.0

Key = tuple[str, str]


class LinkStatus:
    """Entries of `status.mirrorServices` that belong to this controller.

    Args:
        kube: the cluster with the Link.
        namespace: of the Link.
        link: the Link's values.
        current: the Link's status as read; its entries and transition times are kept.
    """

    def __init__(
        self, kube: KubeClient, *, namespace: str, link: LinkSpec, current: dict[str, Any]
    ) -> None:
        self._kube = kube
        self._link = link
        self._path = path_of(LINK_API, "links", namespace, link.name, "status")
        self._changed = asyncio.Event()
        self._others: list[dict[str, Any]] = []
        self._entries: dict[Key, dict[str, Any]] = {}
        for entry in current.get("mirrorServices") or []:
            if entry.get("controllerName") != CONTROLLER_NAME:
                self._others.append(entry)
                continue
            reference = entry["remoteRef"]
            self._entries[reference["namespace"], reference["name"]] = entry

    def set(self, key: Key, *, reason: str, message: str = "") -> None:
        """Say what became of one Service of the target."""
        before = self._entries.get(key)
        entry = status_entry(key, self._link, reason=reason, message=message, before=before)
        if entry != before:
            self._entries[key] = entry
            self._changed.set()

    def remove(self, key: Key) -> None:
        """A Service is not exported any more."""
        if self._entries.pop(key, None) is not None:
            self._changed.set()

    def forget_except(self, exported: Iterable[Key]) -> None:
        """Drop entries of Services that stopped being exported while nobody looked."""
        for key in self._entries.keys() - set(exported):
            self.remove(key)

    async def run(self) -> None:
        """Write changes until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(_GATHER_S)
            self._changed.clear()
            entries = [self._entries[key] for key in sorted(self._entries)]
            body = {"status": {"mirrorServices": [*self._others, *entries]}}
            try:
                await self._kube.patch(self._path, body)
            except KubeError as error:
                if error.status == 404:
                    continue  # the Link is gone, and with it this watcher
                logger.warning("status of link %s: %s", self._link.name, error)
                self._changed.set()
                await asyncio.sleep(_RETRY_S)
