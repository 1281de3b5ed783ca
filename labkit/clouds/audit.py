"""What is in an account that labkit made: found by tags, by the lab's record, and by cluster ids.

Lists may lag behind, so every finding is read once more by its id. What only looks like labkit's
(its tags do not fit its name) is listed apart: nobody deletes it, and nobody is blamed for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from labkit.clients.digitalocean import DigitalOcean
from labkit.clients.digitalocean_resources import KINDS, WORDS, Resource
from labkit.clients.digitalocean_values import Cluster, LoadBalancer, Storage
from labkit.clients.lab_tags import LabTags
from labkit.clouds.charges import size_prices
from labkit.clouds.costs import ZERO, Price, list_price, usd
from labkit.clouds.record import AccountRecord
from labkit.errors import CloudError


@dataclass(frozen=True)
class Leftover:
    """Something in the account that labkit made, directly or by a cluster.

    Attributes:
        kind: `cluster`, `load balancer`, `volume` or `snapshot`.
        id: the cloud's own.
        name: the cloud's own.
        region: slug.
        state: of a cluster or load balancer; empty for others.
        lab: whose it is.
        owner: who made it, empty when the tags do not say.
        expires: when its lab counts as forgotten, UTC; None when the tags do not say.
        cluster_id: the cluster that it is or that made it.
        usd_per_month: list price; None when it is not known.
        ours: False for something that only looks like labkit's.
    """

    kind: str
    id: str
    name: str
    region: str
    state: str
    lab: str
    owner: str
    expires: datetime | None
    cluster_id: str
    usd_per_month: Decimal | None
    ours: bool = True

    def __str__(self) -> str:
        price = "price unknown" if self.usd_per_month is None else f"{usd(self.usd_per_month)} USD"
        state = f"{self.state}, " if self.state else ""
        return f"{self.kind} {self.name} ({state}{price} a month, id {self.id})"

    def row(self, now: datetime | None = None) -> dict[str, object]:
        """The same as a row of a table."""
        return {
            "what": self.kind,
            "name": self.name,
            "region": self.region,
            "state": self.state,
            "lab": self.lab,
            "owner": self.owner,
            "expires (UTC)": _when(self.expires, now or datetime.now(UTC)),
            "USD/month": "?" if self.usd_per_month is None else usd(self.usd_per_month),
            "id": self.id,
        }

    def to_json(self) -> dict[str, Any]:
        """The same for programs."""
        price = None if self.usd_per_month is None else str(self.usd_per_month)
        expires = self.expires and self.expires.isoformat()
        return {**asdict(self), "expires": expires, "usd_per_month": price}


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        left: what labkit made and is still there.
        look_alikes: what carries labkit's tags and was not made by it.
        unseen: what could not be looked at, with the reason.
    """

    left: tuple[Leftover, ...] = ()
    look_alikes: tuple[Leftover, ...] = ()
    unseen: tuple[str, ...] = ()

    def __add__(self, other: "Audit") -> "Audit":
        return Audit(
            self.left + other.left,
            self.look_alikes + other.look_alikes,
            self.unseen + other.unseen,
        )

    @property
    def exit_code(self) -> int:
        """0 nothing is left, 1 something is, 3 nothing as far as could be seen."""
        if self.left:
            return 1
        return 3 if self.look_alikes or self.unseen else 0

    @property
    def usd_per_month(self) -> Decimal:
        """List price of what is left."""
        return sum((item.usd_per_month or ZERO for item in self.left), ZERO)

    def to_json(self) -> dict[str, Any]:
        """The same for programs; USD as text."""
        return {
            "left": [item.to_json() for item in self.left],
            "look_alikes": [item.to_json() for item in self.look_alikes],
            "unseen": list(self.unseen),
            "usd_per_month": str(self.usd_per_month),
        }


def audit(
    client: DigitalOcean, records: Sequence[AccountRecord], *, lab: str | None = None
) -> Audit:
    """Look for everything that labkit made in an account.

    Args:
        client: the account.
        records: of the labs that are known here.
        lab: only this lab; None is all.
    """
    known = [record for record in records if not record.is_empty]
    uuid = client.account().uuid if known else ""
    there = [record for record in known if record.account in ("", uuid)]
    elsewhere = [
        f"the lab {record.lab}: it was made in another account ({record.account})"
        for record in known
        if record not in there
    ]
    return _Auditor(client, there, lab, elsewhere).run()


@dataclass(frozen=True)
class _Found:
    item: Cluster | Resource
    lab: str
    tags: LabTags
    cluster_id: str
    kind: str | None = None


@dataclass
class _Auditor:
    client: DigitalOcean
    records: Sequence[AccountRecord]
    lab: str | None
    unseen: list[str] = field(default_factory=list)

    def run(self) -> Audit:
        ours, alike = self._clusters()
        found = [*ours, *self._resources(ours)]
        if not found and not alike:
            return Audit(unseen=tuple(self.unseen))
        prices = size_prices(self.client.sizes(), endpoint=self.client.endpoint)
        return Audit(
            tuple(self._priced(item, prices, ours=True) for item in found),
            tuple(self._priced(item, prices, ours=False) for item in alike),
            tuple(self.unseen),
        )

    def _clusters(self) -> tuple[list[_Found], list[_Found]]:
        """Clusters that labkit made, and those that only look so."""
        recorded = {key: r.lab for r in self.records for key in r.clusters}
        ids = dict.fromkeys([*(c.id for c in self.client.clusters() if self._tagged(c)), *recorded])
        ours: list[_Found] = []
        alike: list[_Found] = []
        for key in ids:
            cluster = self.client.find(key)
            if cluster is None:
                continue
            tags = LabTags.of(cluster.tags)
            found = _Found(cluster, recorded.get(key) or tags.lab, tags, key)
            is_ours = key in recorded or tags.prove(cluster.name)
            (ours if is_ours else alike).append(found)
        return ours, alike

    def _tagged(self, cluster: Cluster) -> bool:
        tags = LabTags.of(cluster.tags)
        return tags.ours and self.lab in (None, tags.lab)

    def _resources(self, clusters: Sequence[_Found]) -> list[_Found]:
        """What clusters made, those that are gone included."""
        nobody = LabTags.of(())
        owners = {key: (r.lab, nobody) for r in self.records for key in r.clusters}
        owners |= {item.cluster_id: (item.lab, item.tags) for item in clusters}
        found = []
        for kind in KINDS:
            wanted = self._recorded(kind)
            for resource in self._look(kind, self.client.resources.list, kind) or ():
                for maker in made_by(resource):
                    if maker in owners:
                        wanted[resource.id] = maker
            for resource_id, cluster_id in wanted.items():
                item = self._look(kind, self.client.resources.get, kind, resource_id)
                if item is not None:
                    lab, tags = owners.get(cluster_id, (self.lab or "", nobody))
                    found.append(_Found(item, lab, tags, cluster_id, kind))
        return found

    def _recorded(self, kind: str) -> dict[str, str]:
        """What the records know of a kind: its id → id of the cluster that made it."""
        return {i.id: i.cluster_id for r in self.records for i in r.resources if i.kind == kind}

    def _look(self, kind: str, read: Callable[..., Any], *arguments: str) -> Any:
        """Read, unless the token may not: then that is told and nothing is found."""
        try:
            return read(*arguments)
        except CloudError as error:
            if error.status != 403:
                raise
            text = f"{WORDS[kind]}s: the token may not read them"
            if text not in self.unseen:
                self.unseen.append(text)
            return None

    def _priced(self, found: _Found, prices: Mapping[str, Price], *, ours: bool) -> Leftover:
        item = found.item
        return Leftover(
            kind="cluster" if found.kind is None else WORDS[found.kind],
            id=item.id,
            name=item.name,
            region=item.region,
            state=_state(item),
            lab=found.lab,
            owner=found.tags.owner,
            expires=found.tags.expires,
            cluster_id=found.cluster_id,
            usd_per_month=_monthly(item, found.kind, prices),
            ours=ours,
        )


def made_by(resource: Resource) -> list[str]:
    """Ids of the clusters that a resource says it was made by."""
    tags = (resource.tag,) if isinstance(resource, LoadBalancer) else resource.tags
    return [tag.removeprefix("k8s:") for tag in tags if tag.startswith("k8s:")]


def _state(item: Cluster | Resource) -> str:
    if isinstance(item, Cluster):
        return item.state
    return item.status if isinstance(item, LoadBalancer) else ""


def _monthly(
    item: Cluster | Resource, kind: str | None, prices: Mapping[str, Price]
) -> Decimal | None:
    if isinstance(item, Cluster):
        size = prices.get(item.node_size)
        return None if size is None else size.usd_per_month * item.node_count
    if isinstance(item, Storage):
        what = "volume_gib" if kind == "volumes" else "snapshot_gib"
        return list_price(what).usd_per_month * Decimal(str(item.gib))
    return list_price("load_balancer").usd_per_month * item.size_unit


def _when(expires: datetime | None, now: datetime) -> str:
    if expires is None:
        return ""
    passed = " (passed)" if expires <= now else ""
    return f"{expires:%Y-%m-%d %H:%M}{passed}"
