"""Volumes of the account and the snapshots of them: what a request may ask, how one is shown.

They hold no data and nothing mounts them. A cluster makes them only when a switch says so; they
are here because a cluster can leave them behind, and they are billed.
"""

import re
import uuid
from collections.abc import Mapping
from typing import Any

from labkit.embedded.digitalocean import catalog
from labkit.embedded.digitalocean.clusters import now_text, valid_tags
from labkit.embedded.digitalocean.errors import not_found, unprocessable
from labkit.embedded.digitalocean.store import Store

_NAME = re.compile(r"[a-z][-a-z0-9]{0,63}\Z")
_MAX_GIB = 16_384
_CLUSTER_VOLUME_GIB = 10


class Documents:
    """The resources of one kind that are shown as they are stored."""

    def __init__(self, store: Store, kind: str) -> None:
        self._store = store
        self._kind = kind

    def put(self, record: dict[str, Any]) -> dict[str, Any]:
        """Store one."""
        self._store.put(self._kind, record["id"], record)
        return record

    def list(self) -> list[dict[str, Any]]:
        """Return all."""
        return self._store.list(self._kind)

    def get(self, key: str) -> dict[str, Any]:
        """Return one.

        Raises:
            ApiError: 404.
        """
        found = self._store.get(self._kind, key)
        if found is None:
            raise not_found()
        return found

    def delete(self, key: str) -> None:
        """Delete one.

        Raises:
            ApiError: 404.
        """
        if not self._store.delete(self._kind, key):
            raise not_found()


class Volumes(Documents):
    """The volumes of an account."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, "volume")

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a volume.

        Raises:
            ApiError: 422.
        """
        name, size, region = body.get("name"), body.get("size_gigabytes"), body.get("region")
        if not isinstance(name, str) or not _NAME.match(name):
            raise unprocessable("name must be lowercase letters, numbers and dashes")
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= _MAX_GIB:
            raise unprocessable(f"size_gigabytes must be between 1 and {_MAX_GIB}")
        if region not in catalog.REGION_NAMES:
            raise unprocessable("region is invalid")
        if any(v["name"] == name and v["region"]["slug"] == region for v in self.list()):
            raise unprocessable("a volume with this name exists in this region")
        return self.put(
            {
                "id": str(uuid.uuid4()),
                "name": name,
                "description": str(body.get("description") or ""),
                "size_gigabytes": size,
                "created_at": now_text(),
                "droplet_ids": [],
                "region": catalog.region(str(region)),
                "filesystem_type": str(body.get("filesystem_type") or ""),
                "filesystem_label": str(body.get("filesystem_label") or ""),
                "tags": valid_tags(body.get("tags") or []),
            }
        )


def make_for_cluster(volumes: Volumes, snapshots: Documents, cluster: Mapping[str, Any]) -> None:
    """What a PersistentVolumeClaim and a VolumeSnapshot in a cluster make in the account."""
    tag = f"k8s:{cluster['id']}"
    volume = volumes.create(
        {
            "name": f"pvc-{uuid.uuid4()}",
            "size_gigabytes": _CLUSTER_VOLUME_GIB,
            "region": cluster["region"],
            "tags": [tag],
        }
    )
    snapshots.put(
        {
            "id": str(uuid.uuid4()),
            "name": f"snapshot-{uuid.uuid4()}",
            "created_at": now_text(),
            "regions": [cluster["region"]],
            "min_disk_size": _CLUSTER_VOLUME_GIB,
            "size_gigabytes": 1.5,
            "resource_id": volume["id"],
            "resource_type": "volume",
            "tags": [tag],
        }
    )
