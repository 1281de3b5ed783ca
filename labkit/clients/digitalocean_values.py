"""What DigitalOcean's API answers, reduced to what a lab uses: frozen values, no raw JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

OUR_TAG = "labkit"
"""Tag of everything that labkit creates; nothing without it is ever deleted."""


@dataclass(frozen=True)
class Account:
    """The account behind the token."""

    email: str
    uuid: str
    status: str
    droplet_limit: int
    team: str


@dataclass(frozen=True)
class RegionOffer:
    """A region as offered now."""

    slug: str
    name: str
    available: bool
    sizes: tuple[str, ...]


@dataclass(frozen=True)
class Size:
    """A size of Droplets and nodes with its list price."""

    slug: str
    vcpus: int
    memory_mib: int
    price_hourly_usd: float
    price_monthly_usd: float
    regions: tuple[str, ...]
    available: bool


@dataclass(frozen=True)
class KubernetesOptions:
    """What can be chosen for a cluster; versions newest first, slug -> Kubernetes version."""

    versions: Mapping[str, str]
    regions: tuple[str, ...]
    sizes: tuple[str, ...]


@dataclass(frozen=True)
class ClusterSpec:
    """A cluster to create.

    Attributes:
        name: unique in the account.
        region: slug.
        version: slug, as `1.36.2-do.0`, or `latest`.
        node_size: slug.
        node_count: nodes of the one pool.
        tags: on the cluster and its nodes; `lab_tags()` makes them.
    """

    name: str
    region: str
    version: str
    node_size: str
    node_count: int
    tags: tuple[str, ...]

    def body(self) -> dict[str, Any]:
        """Return the request; high availability and every automatic upgrade are off."""
        pool = {
            "name": f"{self.name}-pool",
            "size": self.node_size,
            "count": self.node_count,
            "tags": list(self.tags),
        }
        return {
            "name": self.name,
            "region": self.region,
            "version": self.version,
            "tags": list(self.tags),
            "ha": False,
            "auto_upgrade": False,
            "surge_upgrade": False,
            "node_pools": [pool],
        }


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes cluster of the account."""

    id: str
    name: str
    region: str
    version: str
    state: str
    message: str
    endpoint: str
    tags: tuple[str, ...]
    node_size: str
    node_names: tuple[str, ...]
    nodes_running: int
    created_at: str

    @property
    def is_running(self) -> bool:
        """Whether the cluster can be used."""
        return self.state == "running"


@dataclass(frozen=True)
class LoadBalancer:
    """A load balancer of the account; `ip` is empty until it is active."""

    id: str
    name: str
    ip: str
    status: str
    region: str
    tag: str
    created_at: str


@dataclass(frozen=True)
class AssociatedResources:
    """What a cluster made and a plain delete would leave behind: id -> name."""

    load_balancers: Mapping[str, str]
    volumes: Mapping[str, str]
    volume_snapshots: Mapping[str, str]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to leave behind."""
        return not (self.load_balancers or self.volumes or self.volume_snapshots)


def lab_tags(lab_name: str, *, ttl_hours: float, now: datetime | None = None) -> tuple[str, ...]:
    """Return the tags of a lab's resources: ours, the lab's, and when the lab expires (UTC).

    Example:
        >>> lab_tags("demo", ttl_hours=4, now=datetime(2026, 11, 23, 1, tzinfo=UTC))
        ('labkit', 'lab:demo', 'labkit-expires:20261123T0500Z')
    """
    expires = (now or datetime.now(UTC)) + timedelta(hours=ttl_hours)
    return (OUR_TAG, f"lab:{lab_name}", f"labkit-expires:{expires.strftime('%Y%m%dT%H%MZ')}")


def account_of(raw: Mapping[str, Any]) -> Account:
    """Read an account."""
    team = raw.get("team") or {}
    return Account(
        email=raw["email"],
        uuid=raw["uuid"],
        status=raw["status"],
        droplet_limit=raw["droplet_limit"],
        team=team.get("name", ""),
    )


def region_of(raw: Mapping[str, Any]) -> RegionOffer:
    """Read a region."""
    return RegionOffer(raw["slug"], raw["name"], raw["available"], tuple(raw["sizes"]))


def size_of(raw: Mapping[str, Any]) -> Size:
    """Read a size."""
    return Size(
        slug=raw["slug"],
        vcpus=raw["vcpus"],
        memory_mib=raw["memory"],
        price_hourly_usd=raw["price_hourly"],
        price_monthly_usd=raw["price_monthly"],
        regions=tuple(raw["regions"]),
        available=raw["available"],
    )


def options_of(raw: Mapping[str, Any]) -> KubernetesOptions:
    """Read the Kubernetes options."""
    return KubernetesOptions(
        versions={item["slug"]: item["kubernetes_version"] for item in raw["versions"]},
        regions=tuple(item["slug"] for item in raw["regions"]),
        sizes=tuple(item["slug"] for item in raw["sizes"]),
    )


def cluster_of(raw: Mapping[str, Any]) -> Cluster:
    """Read a cluster."""
    pools: Sequence[Mapping[str, Any]] = raw.get("node_pools") or ()
    nodes = [node for pool in pools for node in pool.get("nodes") or ()]
    status = raw.get("status") or {}
    return Cluster(
        id=raw["id"],
        name=raw["name"],
        region=raw["region"],
        version=raw["version"],
        state=status.get("state", "unknown"),
        message=status.get("message", ""),
        endpoint=raw.get("endpoint", ""),
        tags=tuple(raw.get("tags") or ()),
        node_size=pools[0]["size"] if pools else "",
        node_names=tuple(node["name"] for node in nodes),
        nodes_running=sum(node["status"]["state"] == "running" for node in nodes),
        created_at=raw.get("created_at", ""),
    )


def load_balancer_of(raw: Mapping[str, Any]) -> LoadBalancer:
    """Read a load balancer."""
    region = raw.get("region") or {}
    return LoadBalancer(
        id=raw["id"],
        name=raw.get("name", ""),
        ip=raw.get("ip", ""),
        status=raw["status"],
        region=region.get("slug", ""),
        tag=raw.get("tag", ""),
        created_at=raw.get("created_at", ""),
    )


def associated_of(raw: Mapping[str, Any]) -> AssociatedResources:
    """Read a cluster's associated resources."""

    def named(key: str) -> dict[str, str]:
        return {item["id"]: item["name"] for item in raw.get(key) or ()}

    return AssociatedResources(named("load_balancers"), named("volumes"), named("volume_snapshots"))
