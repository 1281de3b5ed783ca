"""What clusters make in an account and may leave behind: load balancers, volumes, snapshots.

DigitalOcean bills them until they are deleted. Snapshots are those of volumes; Droplets are a
cluster's nodes and go with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.clients.digitalocean_values import (
    LoadBalancer,
    Storage,
    load_balancer_of,
    snapshot_of,
    volume_of,
)
from labkit.clients.digitalocean_wire import Wire
from labkit.errors import CloudError

Resource = LoadBalancer | Storage

KINDS = ("load_balancers", "volumes", "volume_snapshots")
"""The kinds, by the names that the API gives them."""

WORDS = dict(zip(KINDS, ("load balancer", "volume", "snapshot"), strict=True))


@dataclass(frozen=True)
class _Kind:
    """How one kind is read and deleted.

    Attributes:
        reading: pydo's operation, its argument, the key of the answer, and who parses it.
        delete: pydo's operation.
    """

    word: str
    reading: tuple[Callable[..., Any], str, str, Callable[[Any], Resource]]
    delete: Callable[..., Any]


class Resources:
    """The load balancers, volumes and snapshots of an account.

    Args:
        wire: sends the requests.
        client: pydo's.
    """

    def __init__(self, wire: Wire, client: Any) -> None:
        self._wire = wire
        self._client = client
        balancers, volumes, snapshots = client.load_balancers, client.volumes, client.snapshots
        self._kinds = {
            "load_balancers": _Kind(
                WORDS["load_balancers"],
                (balancers.get, "lb_id", "load_balancer", load_balancer_of),
                balancers.delete,
            ),
            "volumes": _Kind(
                WORDS["volumes"], (volumes.get, "volume_id", "volume", volume_of), volumes.delete
            ),
            "volume_snapshots": _Kind(
                WORDS["volume_snapshots"],
                (snapshots.get, "snapshot_id", "snapshot", snapshot_of),
                snapshots.delete,
            ),
        }

    def list(self, kind: str) -> Sequence[Resource]:
        """Return all of a kind."""
        lists: dict[str, Callable[[], Sequence[Resource]]] = {
            "load_balancers": self.load_balancers,
            "volumes": self.volumes,
            "volume_snapshots": self.snapshots,
        }
        return lists[kind]()

    def load_balancers(self) -> Sequence[LoadBalancer]:
        """Return all load balancers."""
        raw = self._wire.pages(
            "Listing load balancers", self._client.load_balancers.list, key="load_balancers"
        )
        return [load_balancer_of(item) for item in raw]

    def volumes(self) -> Sequence[Storage]:
        """Return all volumes."""
        raw = self._wire.pages("Listing volumes", self._client.volumes.list, key="volumes")
        return [volume_of(item) for item in raw]

    def snapshots(self) -> Sequence[Storage]:
        """Return all snapshots of volumes."""
        raw = self._wire.pages(
            "Listing snapshots",
            self._client.snapshots.list,
            key="snapshots",
            resource_type="volume",
        )
        return [snapshot_of(item) for item in raw]

    def get(self, kind: str, resource_id: str) -> Resource | None:
        """Return a load balancer, volume or snapshot by its id, None when it is gone.

        Args:
            kind: `load_balancers`, `volumes` or `volume_snapshots`.
            resource_id: its id.
        """
        read, argument, key, parse = self._kinds[kind].reading
        try:
            body = self._wire.call(
                f"Reading {self._kinds[kind].word} {resource_id}", read, **{argument: resource_id}
            )
        except CloudError as error:
            if error.status == 404:
                return None
            raise
        return parse(body[key])

    def delete(self, kind: str, resource_id: str) -> None:
        """Delete a load balancer, volume or snapshot; one that is gone is no error."""
        known = self._kinds[kind]
        try:
            self._wire.call(
                f"Deleting {known.word} {resource_id}",
                known.delete,
                **{known.reading[1]: resource_id},
            )
        except CloudError as error:
            if error.status != 404:
                raise
