"""The meter: what a lab has cost so far, from creation times and list prices.

It is kept in the lab's folder, so that a notebook's header needs no network and a receipt outlives
the clusters. Readings correct it: what the cloud no longer lists has ended, what it lists has begun
when the cloud says so. Deliberately absent: the cloud's invoice, which alone counts.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from labkit.certs import write_private
from labkit.clouds.costs import ZERO, Charge, Price, usd
from labkit.display import Shown

_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Entry:
    """A charge and, when it is over, its end (UTC)."""

    charge: Charge
    until: datetime | None = None

    def hours(self, now: datetime) -> Decimal:
        """Hours from its creation to its end or now."""
        seconds = ((self.until or now) - self.charge.since).total_seconds()
        return Decimal(max(0, round(seconds))) / _SECONDS_PER_HOUR

    def usd(self, now: datetime) -> Decimal:
        """List price of these hours."""
        return self.charge.count * self.charge.price.usd_for(self.hours(now))


@dataclass(frozen=True)
class Costs(Shown):
    """What a lab has cost at a moment.

    Attributes:
        cloud: its name.
        billed: whether the cloud bills it.
        entries: what the lab has or had.
        now: the moment, UTC.
    """

    cloud: str
    billed: bool
    entries: tuple[Entry, ...]
    now: datetime

    @property
    def list_usd(self) -> Decimal:
        """At list prices, whether billed or not."""
        return sum((entry.usd(self.now) for entry in self.entries), ZERO)

    @property
    def usd(self) -> Decimal:
        """What the cloud asks."""
        return self.list_usd if self.billed else ZERO

    @property
    def usd_per_hour(self) -> Decimal:
        """What it asks for another hour."""
        running = [entry.charge for entry in self.entries if entry.until is None]
        hourly = sum((item.count * item.price.usd_per_hour for item in running), ZERO)
        return hourly if self.billed else ZERO

    def __str__(self) -> str:
        if not self.billed:
            return f"Cost so far: {usd(self.usd)} USD (nothing is billed on {self.cloud})"
        if not self.entries:
            return f"Cost so far: {usd(self.usd)} USD (nothing of this lab exists on {self.cloud})"
        began = min(entry.charge.since for entry in self.entries)
        return (
            f"Cost so far: {usd(self.usd)} USD since {began:%Y-%m-%d %H:%M} UTC, now "
            f"{usd(self.usd_per_hour)} USD an hour (list prices of {self.cloud})"
        )

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>"

    def rows(self) -> list[dict[str, object]]:
        """One row a charge, for people."""
        return [
            {
                "what": entry.charge.what,
                "count": entry.charge.count,
                "since (UTC)": f"{entry.charge.since:%Y-%m-%d %H:%M}",
                "until (UTC)": f"{entry.until:%Y-%m-%d %H:%M}" if entry.until else "now",
                "hours": f"{entry.hours(self.now):.2f}",
                "USD/h each": str(entry.charge.price.usd_per_hour),
                "USD": usd(entry.usd(self.now)),
            }
            for entry in self.entries
        ]

    def to_json(self) -> dict[str, Any]:
        """The same for programs; USD as text, because floats are no money."""
        return {
            "cloud": self.cloud,
            "billed": self.billed,
            "at": _text(self.now),
            "usd": _exact(self.usd),
            "list_usd": _exact(self.list_usd),
            "usd_per_hour": str(self.usd_per_hour),
            "items": [
                {
                    **_entry_json(entry),
                    "hours": f"{entry.hours(self.now):.4f}",
                    "list_usd": _exact(entry.usd(self.now)),
                }
                for entry in self.entries
            ],
        }


@dataclass(frozen=True)
class Meter:
    """The meter of one lab.

    Attributes:
        path: where it is kept.
        cloud: its name.
        bills: whether that cloud bills.
    """

    path: Path
    cloud: str
    bills: bool

    def read(self) -> Costs:
        """The costs up to now from what is known; nothing is asked."""
        return Costs(self.cloud, self.bills, self._entries(), _now())

    def update(self, charges: Iterable[Charge]) -> Costs:
        """Take in what the cloud charges for now.

        Raises:
            OSError: the lab's folder cannot be written.
        """
        current, now = {item.id: item for item in charges}, _now()
        ended = [
            replace(entry, until=entry.until or now)
            for entry in self._entries()
            if entry.charge.id not in current
        ]
        entries = (*ended, *(Entry(item) for item in current.values()))
        # what was never created after a reset has nothing to tell
        if entries or self.path.exists():
            rows = [_entry_json(entry) for entry in entries]
            write_private(self.path, json.dumps(rows, indent=1).encode())
        return self.read()

    def take_over(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count in what an earlier lab of the same run had: items of its receipt.

        Raises:
            OSError: the lab's folder cannot be written.
        """
        current = self._entries()
        known = {entry.charge.id for entry in current}
        earlier = [_entry_of(row) for row in rows if row["id"] not in known]
        if earlier:
            kept = [_entry_json(entry) for entry in (*earlier, *current)]
            write_private(self.path, json.dumps(kept, indent=1).encode())

    def reset(self) -> None:
        """Begin anew, for a new lab of the same name."""
        self.path.unlink(missing_ok=True)

    def _entries(self) -> tuple[Entry, ...]:
        try:
            return tuple(_entry_of(row) for row in json.loads(self.path.read_text()))
        except (FileNotFoundError, ValueError, KeyError):  # damaged: the next reading makes it anew
            return ()


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _exact(amount: Decimal) -> str:
    return f"{amount:.5f}"


def _entry_json(entry: Entry) -> dict[str, Any]:
    price = entry.charge.price
    return {
        "id": entry.charge.id,
        "what": entry.charge.what,
        "count": entry.charge.count,
        "since": _text(entry.charge.since),
        "until": _text(entry.until) if entry.until else None,
        "usd_per_hour": str(price.usd_per_hour),
        "usd_per_month": str(price.usd_per_month),
        "source": price.source,
        "seen": price.seen,
    }


def _entry_of(row: Mapping[str, Any]) -> Entry:
    price = Price(
        Decimal(row["usd_per_hour"]),
        Decimal(row["usd_per_month"]),
        source=row["source"],
        seen=row["seen"],
    )
    charge = Charge(
        row["id"], row["what"], row["count"], price, datetime.fromisoformat(row["since"])
    )
    return Entry(charge, datetime.fromisoformat(row["until"]) if row["until"] else None)
