"""What the account tells the daemon to run: values without the API's shapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WantedNode:
    """A node that a cluster must have."""

    name: str
    id: str
    droplet_id: str
    pool: str
    pool_id: str
    size: str


@dataclass(frozen=True)
class WantedCluster:
    """A cluster as the account wants it; `deleting` means: tear it down, then `forget` it."""

    id: str
    name: str
    region: str
    version: str
    cluster_subnet: str
    service_subnet: str
    nodes: tuple[WantedNode, ...]
    tags: tuple[str, ...]
    ready: bool
    deleting: bool


def wanted_of(document: Mapping[str, Any]) -> WantedCluster:
    """The cluster of a stored document."""
    record = document["record"]
    nodes = tuple(
        WantedNode(
            name=node["name"],
            id=node["id"],
            droplet_id=node["droplet_id"],
            pool=pool["name"],
            pool_id=pool["id"],
            size=pool["size"],
        )
        for pool in record["node_pools"]
        for node in pool["nodes"]
    )
    return WantedCluster(
        id=record["id"],
        name=record["name"],
        region=record["region"],
        version=record["version"],
        cluster_subnet=record["cluster_subnet"],
        service_subnet=record["service_subnet"],
        nodes=nodes,
        tags=tuple(record["tags"]),
        ready=document["material"] is not None,
        deleting=document["deleting"],
    )
