"""The tags that say whose a resource is, until when, and that labkit made it.

DigitalOcean's tags have letters, digits, `:`, `-` and `_`, at most 255. A tag alone proves little:
anybody can give it to anything. `labkit-id` holds a number that is in the lab's own record and a
check sum over that number and the cluster's name, so that a copied tag on something else is seen.
"""

import getpass
import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

OUR_TAG = "labkit"
"""Tag of everything that labkit creates; nothing without it is ever deleted."""

_LAB, _OWNER, _EXPIRES, _ID = "lab:", "labkit-owner:", "labkit-expires:", "labkit-id:"
_TIME = "%Y%m%dT%H%M%SZ"
_FORBIDDEN = re.compile(r"[^A-Za-z0-9:_-]+")
_OWNER_LENGTH = 64


def new_nonce() -> str:
    """A number for a new lab, 16 hexadecimal digits."""
    return secrets.token_hex(8)


def this_owner() -> str:
    """Who makes labs here: the name of the user of this machine, in characters of a tag."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        name = ""
    return _FORBIDDEN.sub("-", name).strip("-")[:_OWNER_LENGTH] or "unknown"


@dataclass(frozen=True)
class LabTags:
    """What the tags of a resource say; fields are empty where they say nothing.

    Attributes:
        ours: whether it carries labkit's tag.
        lab: name of the lab.
        owner: who made it.
        expires: when the lab counts as forgotten, UTC.
        nonce: number of the lab's record.
        check: check sum of number and cluster.
    """

    ours: bool
    lab: str
    owner: str
    expires: datetime | None
    nonce: str
    check: str

    @classmethod
    def of(cls, tags: Iterable[str]) -> "LabTags":
        """Read the tags of a resource; a tag that is not as labkit writes it counts as missing."""
        known = list(tags)

        def after(prefix: str) -> str:
            return next((t.removeprefix(prefix) for t in known if t.startswith(prefix)), "")

        nonce, _, check = after(_ID).partition("-")
        return cls(
            OUR_TAG in known, after(_LAB), after(_OWNER), _time(after(_EXPIRES)), nonce, check
        )

    def prove(self, cluster: str) -> bool:
        """Whether the tags were made by labkit for a cluster of this name."""
        return bool(self.ours and self.lab and self.nonce) and self.check == _check(
            self.nonce, cluster
        )

    def has_expired(self, now: datetime | None = None) -> bool:
        """Whether the lab's time has passed; never for one that has no time."""
        return self.expires is not None and self.expires <= (now or datetime.now(UTC))


def lab_tags(
    lab: str,
    *,
    cluster: str,
    nonce: str,
    ttl_hours: float,
    owner: str | None = None,
    now: datetime | None = None,
) -> tuple[str, ...]:
    """Return the tags of a cluster and its nodes.

    Args:
        lab: name of the lab.
        cluster: the cluster's full name.
        nonce: number of the lab's record.
        ttl_hours: hours until the lab counts as forgotten.
        owner: who makes it; None is the user of this machine.
        now: time of the creation, UTC.

    Example:
        >>> lab_tags("demo", cluster="demo-west", nonce="00ff", ttl_hours=4, owner="ann",
        ...          now=datetime(2026, 11, 23, 1, tzinfo=UTC))[:4]
        ('labkit', 'lab:demo', 'labkit-owner:ann', 'labkit-expires:20261123T050000Z')
    """
    expires = (now or datetime.now(UTC)) + timedelta(hours=ttl_hours)
    return (
        OUR_TAG,
        f"{_LAB}{lab}",
        f"{_OWNER}{owner or this_owner()}",
        f"{_EXPIRES}{expires.strftime(_TIME)}",
        f"{_ID}{nonce}-{_check(nonce, cluster)}",
    )


def identity(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags that another `up` of the same lab makes again: without owner and time."""
    return tuple(t for t in tags if t == OUR_TAG or t.startswith((_LAB, _ID)))


def _check(nonce: str, cluster: str) -> str:
    return hashlib.sha256(f"{nonce}/{cluster}".encode()).hexdigest()[:12]


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
