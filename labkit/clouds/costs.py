"""What a lab costs: list prices, and the arithmetic of quotes and charges, in decimals.

The price of a node is the cloud's own, asked when it is needed; that of a load balancer is in no
answer of the API and comes from labkit/data/list-prices.yaml. Deliberately absent: taxes, credits,
and traffic above what is included.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Any

import yaml

HOURS_PER_MONTH = 730
"""365 days / 12; a month costs no more than its monthly price."""

_CENT = Decimal("0.01")
ZERO = Decimal(0)


@dataclass(frozen=True)
class Price:
    """A list price.

    Attributes:
        usd_per_hour: USD.
        usd_per_month: the most that a month costs, USD.
        source: who says so.
        seen: when it was read, UTC, ISO 8601.
    """

    usd_per_hour: Decimal
    usd_per_month: Decimal
    source: str
    seen: str

    def usd_for(self, hours: Decimal) -> Decimal:
        """What some hours cost: by the hour, and no month more than its monthly price."""
        months = max(1, math.ceil(hours / HOURS_PER_MONTH))
        return min(self.usd_per_hour * hours, self.usd_per_month * months)


@dataclass(frozen=True)
class Line:
    """Several things of one price.

    Attributes:
        what: as `nodes s-2vcpu-4gb`.
        count: how many, both clusters together.
        price: of one.
    """

    what: str
    count: int
    price: Price


@dataclass(frozen=True)
class Quote:
    """What a lab would cost.

    Attributes:
        lines: what it consists of; empty when labkit creates nothing.
        billed: whether this cloud bills anything at all.
        text: how it comes about, in a sentence.
    """

    lines: tuple[Line, ...]
    billed: bool
    text: str

    @property
    def usd_per_hour(self) -> Decimal:
        """List price of an hour, load balancers included."""
        return sum((line.count * line.price.usd_per_hour for line in self.lines), ZERO)

    @property
    def usd_per_month(self) -> Decimal:
        """List price of a whole month."""
        return sum((line.count * line.price.usd_per_month for line in self.lines), ZERO)

    def usd_for(self, hours: float) -> Decimal:
        """List price of some hours."""
        exact = Decimal(str(hours))
        return sum((line.count * line.price.usd_for(exact) for line in self.lines), ZERO)

    def rows(self, ttl_hours: float) -> list[dict[str, object]]:
        """What an hour, the lab's time to live and a forgotten month cost."""
        return [
            {"for": "one hour", "USD": usd(self.usd_per_hour)},
            {
                "for": f"the lab's time to live ({ttl_hours:g} h)",
                "USD": usd(self.usd_for(ttl_hours)),
            },
            {"for": "forgotten for a month", "USD": usd(self.usd_per_month)},
        ]

    def to_json(self, ttl_hours: float) -> dict[str, Any]:
        """The same for programs; USD as text, because floats are no money."""
        return {
            "billed": self.billed,
            "usd_per_hour": str(self.usd_per_hour),
            "ttl_hours": ttl_hours,
            "usd_per_ttl": str(self.usd_for(ttl_hours)),
            "usd_per_month": str(self.usd_per_month),
            "lines": [
                {
                    "what": line.what,
                    "count": line.count,
                    "usd_per_hour": str(line.price.usd_per_hour),
                    "usd_per_month": str(line.price.usd_per_month),
                    "source": line.price.source,
                    "seen": line.price.seen,
                }
                for line in self.lines
            ],
        }


@dataclass(frozen=True)
class Charge:
    """Something of the lab that a cloud charges for now.

    Attributes:
        id: the cloud's own.
        what: as `demo-west: nodes s-2vcpu-4gb in sfo3`.
        count: how many of the price.
        price: of one.
        since: when it was created, UTC.
    """

    id: str
    what: str
    count: int
    price: Price
    since: datetime


def usd(amount: Decimal) -> str:
    """An amount for people: whole cents, and never 0.00 for something that costs."""
    cents = amount.quantize(_CENT)
    return "< 0.01" if ZERO < amount < _CENT / 2 else f"{cents}"


def now_text() -> str:
    """Now as ISO 8601, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def load_balancer_price() -> Price:
    """The list price of one load balancer."""
    return list_price("load_balancer")


def list_price(what: str) -> Price:
    """A price that no answer of the API holds.

    Args:
        what: `load_balancer`, `volume_gib` or `snapshot_gib`.
    """
    rows = yaml.safe_load((files("labkit") / "data" / "list-prices.yaml").read_text())
    one = rows[what]
    return Price(
        Decimal(one["usd_per_hour"]),
        Decimal(one["usd_per_month"]),
        source=one["source"],
        seen=f"{one['seen']:%Y-%m-%d}",
    )
