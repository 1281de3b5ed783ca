"""Times as kubectl prints them: `5s`, `2m3s`, `3h`, `4d`."""

import datetime as dt
from typing import Any

UNKNOWN = "<unknown>"


def parse_time(text: Any) -> dt.datetime | None:
    """Reads an RFC 3339 time; None when there is none or it cannot be read."""
    if not isinstance(text, str) or not text:
        return None
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def human_duration(seconds: float) -> str:
    """Prints a duration with two units at most, the finer one only while it matters."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    minutes, hours = whole // 60, whole // 3600
    if whole < 120:
        return f"{max(whole, 0)}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _two(days // 365, "y", days % 365 if days < 365 * 8 else 0, "d")


def _two(first: int, unit: str, second: int, finer: str) -> str:
    return f"{first}{unit}{second}{finer}" if second else f"{first}{unit}"


def age(text: Any, now: dt.datetime) -> str:
    """Returns how long ago a time was; `<unknown>` without one."""
    time = parse_time(text)
    return UNKNOWN if time is None else human_duration((now - time).total_seconds())
