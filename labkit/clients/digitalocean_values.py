"""What DigitalOcean's API answers, reduced to what a lab uses: frozen values, no raw JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


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
        asked_before: whether an earlier call may have created it without anybody learning so.
    """

    name: str
    region: str
    version: str
    node_size: str
    node_count: int
    tags: tuple[str, ...]
    asked_before: bool = False

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
    node_count: int
    node_names: tuple[str, ...]
    nodes_running: int
    created_at: str

    @property
    def is_running(self) -> bool:
        """Whether the cluster can be used."""
        return self.state == "running"


@dataclass(frozen=True)
class LoadBalancer:
    """A load balancer of the account; `ip` is empty until it is active.

    `tag` is that of the Droplets it sends to; a cluster's carries `k8s:<id of the cluster>`.
    """

    id: str
    name: str
    ip: str
    status: str
    region: str
    tag: str
    created_at: str
    size_unit: int


@dataclass(frozen=True)
class Storage:
    """A volume, or a snapshot of one; a cluster's carries the tag `k8s:<id of the cluster>`."""

    id: str
    name: str
    region: str
    gib: float
    tags: tuple[str, ...]


@dataclass(frozen=True)
class AssociatedResources:
    """What a cluster made and a plain delete would leave behind: id -> name."""

    load_balancers: Mapping[str, str]
    volumes: Mapping[str, str]
    volume_snapshots: Mapping[str, str]

    def by_kind(self) -> dict[str, Mapping[str, str]]:
        """Return the three groups by the names that the API gives them."""
        return {
            "load_balancers": self.load_balancers,
            "volumes": self.volumes,
            "volume_snapshots": self.volume_snapshots,
        }

    def merged(self, other: "AssociatedResources") -> "AssociatedResources":
        """Return these and those of another look."""
        theirs = other.by_kind()
        return AssociatedResources(
            **{kind: {**items, **theirs[kind]} for kind, items in self.by_kind().items()}
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to leave behind."""
        return not (self.load_balancers or self.volumes or self.volume_snapshots)


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
        node_count=sum(pool.get("count") or 0 for pool in pools),
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
        tag=raw.get("tag") or "",
        created_at=raw.get("created_at", ""),
        size_unit=raw.get("size_unit") or 1,
    )


def volume_of(raw: Mapping[str, Any]) -> Storage:
    """Read a volume."""
    region = raw.get("region") or {}
    return Storage(
        id=raw["id"],
        name=raw["name"],
        region=region.get("slug", ""),
        gib=raw["size_gigabytes"],
        tags=tuple(raw.get("tags") or ()),
    )


def snapshot_of(raw: Mapping[str, Any]) -> Storage:
    """Read a snapshot of a volume."""
    return Storage(
        id=raw["id"],
        name=raw["name"],
        region=", ".join(raw["regions"]),
        gib=raw["size_gigabytes"],
        tags=tuple(raw.get("tags") or ()),
    )


def associated_of(raw: Mapping[str, Any]) -> AssociatedResources:
    """Read a cluster's associated resources."""

    def named(key: str) -> dict[str, str]:
        return {item["id"]: item["name"] for item in raw.get(key) or ()}

    return AssociatedResources(named("load_balancers"), named("volumes"), named("volume_snapshots"))
