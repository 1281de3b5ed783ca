"""What the store hands out: objects with their JSON, events, and the error of a lost history."""

import functools
from dataclasses import dataclass
from typing import Any, Literal

from labkit.embedded.encoding import from_json, to_json

Object = dict[str, Any]
EventType = Literal["ADDED", "MODIFIED", "DELETED"]
Key = tuple[str, str]
"""(namespace or "", name)"""


class Expired(LookupError):  # noqa: N818 - reads as what happened
    """The wanted version is older than the history; `oldest` is the first that is not."""

    def __init__(self, wanted: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {wanted} ({oldest})")
        self.oldest = oldest


@dataclass(slots=True, eq=False)
class Entry:
    """One object as it is stored.

    Attributes:
        born: the version at which it was created, its key on disk.
        parsed: the object, None when only its JSON is kept; read `obj`.
        raw: its JSON, beginning with kind and apiVersion.
        cut: where the rest begins in `raw` (lists leave kind and apiVersion out).
    """

    namespace: str
    name: str
    born: int
    rv: int
    parsed: Object | None
    raw: bytes
    cut: int

    @property
    def obj(self) -> Object:
        """The object; it is never changed."""
        if self.parsed is None:
            found: Object = from_json(self.raw)
            return found
        return self.parsed

    def retire(self) -> None:
        """Keep the JSON only, a tenth of the size: the object is no longer the current one."""
        self.parsed = None

    @property
    def item(self) -> bytes:
        """The JSON without kind and apiVersion."""
        return b"{" + self.raw[self.cut :]


@dataclass(frozen=True, slots=True)
class Event:
    """One change. `previous` is the object before it (None for ADDED)."""

    rv: int
    type: EventType
    entry: Entry
    previous: Entry | None


def encode(obj: Object) -> tuple[bytes, int]:
    """JSON with kind and apiVersion first, and where the rest begins."""
    head = _head(obj)
    rest = {key: value for key, value in obj.items() if key not in {"kind", "apiVersion"}}
    return head + to_json(rest)[1:], len(head)


def cut_of(obj: Object) -> int:
    """Where the rest begins in the JSON that `encode` made of an object."""
    return len(_head(obj))


def _head(obj: Object) -> bytes:
    return _head_of(obj["kind"], obj["apiVersion"])


@functools.lru_cache(maxsize=1000)
def _head_of(kind: str, api_version: str) -> bytes:
    return to_json({"kind": kind, "apiVersion": api_version})[:-1] + b","
