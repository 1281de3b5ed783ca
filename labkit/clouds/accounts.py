"""All labs of an account, not only one: the audit of everything, and the end of forgotten labs.

A lab is known by the tags of its clusters, so that one is found that another machine has made. A
forgotten lab is taken down from a record of its own below `reaped/` in labkit's home; a reap that
was killed is finished by the next one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from labkit.clients.digitalocean import DigitalOcean
from labkit.clients.digitalocean_values import Cluster
from labkit.clients.lab_tags import LabTags
from labkit.clouds.audit import Audit, audit
from labkit.clouds.charges import size_prices
from labkit.clouds.costs import ZERO
from labkit.clouds.interface import Report
from labkit.clouds.record import FILE, AccountRecord, RecordFile, read_record
from labkit.clouds.teardown import Teardown
from labkit.folder import home

REAPED = "reaped"


@dataclass(frozen=True)
class FoundLab:
    """A lab that an account has, by the tags of its clusters.

    Attributes:
        lab: its name.
        nonce: its number.
        owner: who made it.
        expires: the latest time in its clusters' tags, UTC; None when they have none.
        clusters: id → full name.
        usd_per_hour: list price of its nodes.
    """

    lab: str
    nonce: str
    owner: str
    expires: datetime | None
    clusters: dict[str, str]
    usd_per_hour: Decimal

    def has_expired(self, now: datetime) -> bool:
        """Whether its time has passed; never for a lab that has no time."""
        return self.expires is not None and self.expires <= now

    def row(self) -> dict[str, object]:
        """The same as a row of a table."""
        return {
            "lab": self.lab,
            "owner": self.owner,
            "expires (UTC)": f"{self.expires:%Y-%m-%d %H:%M}" if self.expires else "never",
            "clusters": ", ".join(self.clusters.values()),
            "USD/hour": f"{self.usd_per_hour:.2f}",
        }


def audit_account(client: DigitalOcean) -> Audit:
    """Everything that labkit has made in an account, whichever lab's it is."""
    return audit(client, list(known_records()))


def known_records() -> Iterable[AccountRecord]:
    """The records of all labs of this machine, and of unfinished reaps."""
    root = home()
    for path in sorted([*root.glob(f"*/{FILE}"), *root.glob(f"{REAPED}/*/{FILE}")]):
        record = read_record(path)
        if record is not None and not (path.parent / "cloud").exists():
            yield record  # the embedded cloud of a lab is an account of its own


def labs_of(client: DigitalOcean) -> list[FoundLab]:
    """The labs that an account has clusters of, by name."""
    found: dict[tuple[str, str], list[Cluster]] = {}
    for cluster in client.clusters():
        tags = LabTags.of(cluster.tags)
        if tags.prove(cluster.name) and cluster.state != "deleted":
            found.setdefault((tags.lab, tags.nonce), []).append(cluster)
    prices = size_prices(client.sizes(), endpoint=client.endpoint) if found else {}
    labs = []
    for (lab, nonce), clusters in sorted(found.items()):
        tags_of_all = [LabTags.of(cluster.tags) for cluster in clusters]
        times = [tags.expires for tags in tags_of_all if tags.expires is not None]
        hourly = (
            prices[c.node_size].usd_per_hour * c.node_count
            for c in clusters
            if c.node_size in prices
        )
        labs.append(
            FoundLab(
                lab,
                nonce,
                tags_of_all[0].owner,
                max(times, default=None),
                {cluster.id: cluster.name for cluster in clusters},
                sum(hourly, ZERO),
            )
        )
    return labs


def reap(client: DigitalOcean, lab: FoundLab, report: Report) -> list[str]:
    """Take a lab down whose folder is elsewhere; returns what was deleted.

    Raises:
        CloudError: something could not be deleted; the rest was.
    """
    records = _records_of(lab)
    record = records.read()
    record.account = client.account().uuid
    record.nonce = lab.nonce
    record.clusters |= lab.clusters
    records.keep(record)
    return _finish(client, records, report)


def unfinished(client: DigitalOcean, report: Report) -> list[str]:
    """Finish what a killed reap has begun; returns what was deleted."""
    deleted = []
    for path in sorted(home().glob(f"{REAPED}/*/{FILE}")):
        record = read_record(path)
        if record is not None:
            deleted += _finish(client, RecordFile(path.parent, record.lab), report)
    return deleted


def _records_of(lab: FoundLab) -> RecordFile:
    """The lab's own record if this machine has it, else one for the reap."""
    own = read_record(home() / lab.lab / FILE)
    if own is not None and own.nonce == lab.nonce:
        return RecordFile(home() / lab.lab, lab.lab)
    return RecordFile(home() / REAPED / f"{lab.lab}-{lab.nonce}", lab.lab)


def _finish(client: DigitalOcean, records: RecordFile, report: Report) -> list[str]:
    with client.telling(lambda text: report("account", text)):
        return Teardown(client, records, report).run()
