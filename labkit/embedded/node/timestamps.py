"""Kubernetes' three ways to write a moment."""

from datetime import UTC, datetime


def now() -> str:
    """Seconds, as in most objects: ``2026-11-23T01:02:03Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_micro() -> str:
    """Microseconds, as in leases: ``2026-11-23T01:02:03.000004Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> datetime:
    """A moment written in any of the ways, with nanoseconds cut to microseconds.

    Raises:
        ValueError: it is none.
    """
    main, dot, rest = text.removesuffix("Z").partition(".")
    fraction = f".{rest[:6]}" if dot else ""
    return datetime.fromisoformat(main + fraction).replace(tzinfo=UTC)
