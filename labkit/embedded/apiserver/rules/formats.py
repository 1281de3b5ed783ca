"""Formats that a custom resource's schema may give to texts; unknown ones fit everything."""

import base64
import binascii
import datetime as dt
import ipaddress
import re
from collections.abc import Callable, Mapping

_UUID = re.compile(
    "[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)?")
_DURATION = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)\s*(ns|us|µs|ms|s|m|h|d|w|[a-z]+)\s*)+|0")
_EMAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+")
_HOST = re.compile(
    r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*"
)
_MAC = re.compile("([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")
_URI = re.compile(r"([A-Za-z][-+.A-Za-z0-9]*:|/)\S*")


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def fits_format(text: str) -> bool:
        try:
            parse(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return fits_format


def _base64(text: str) -> object:
    return base64.b64decode(text, validate=True)


def _network(text: str) -> object:
    if "/" not in text:
        raise ValueError(text)
    return ipaddress.ip_network(text, strict=False)


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date-time": _matches(_TIME),
    "datetime": _matches(_TIME),
    "date": _parses(dt.date.fromisoformat),
    "duration": _matches(_DURATION),
    "ipv4": _parses(ipaddress.IPv4Address),
    "ipv6": _parses(ipaddress.IPv6Address),
    "cidr": _parses(_network),
    "byte": _parses(_base64),
    "uuid": _matches(_UUID),
    "email": _matches(_EMAIL),
    "hostname": _matches(_HOST),
    "mac": _matches(_MAC),
    "uri": _matches(_URI),
}


def fits(text: str, kind: str) -> bool:
    """Whether a text has a format."""
    known = _FORMATS.get(kind)
    return known is None or known(text)
