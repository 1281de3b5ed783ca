"""Which tap events a request wants, and what is added to them.

A proxy reports every request of its pod as three events with one id. Filters look at the first
(method, path, authority, destination) and admit or refuse all three; the rate limit counts
requests, not events. Metadata of pods is added by address, never overwriting what the proxy
knew itself (TLS state, identities, target cluster).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.embedded.mesh.viz.resources import Resource

Event = dict[str, Any]
Labels = Mapping[str, str]

EVENT_KINDS = ("requestInitEvent", "responseInitEvent", "responseEndEvent")

_PENDING_LIMIT = 10_000
"""Requests without an end that are remembered per proxy."""


@dataclass(frozen=True)
class TapMatch:
    """What to show. Empty strings mean "any".

    Attributes:
        path: a prefix.
        to: destination; only outbound requests are shown then.
        to_namespace: namespace of the destination.
    """

    method: str = ""
    path: str = ""
    authority: str = ""
    scheme: str = ""
    to: Resource | None = None
    to_namespace: str = ""

    def accepts(self, event: Event) -> bool:
        """True if a request's first event fits."""
        request = event["requestInitEvent"]
        if self.method and request.get("method", "").upper() != self.method.upper():
            return False
        if self.scheme and request.get("scheme", "").lower() != self.scheme.lower():
            return False
        if self.authority and request.get("authority", "") != self.authority:
            return False
        if not request.get("path", "").startswith(self.path):
            return False
        return self.to is None or self._reaches(event, self.to)

    def _reaches(self, event: Event, to: Resource) -> bool:
        if event.get("proxyDirection") != "OUTBOUND":
            return False
        if to.kind == "authority":
            return event["requestInitEvent"].get("authority") in (to.name, f"{to.name}:80")
        metadata = event.get("destination", {}).get("metadata") or {}
        if to.kind != "namespace" and metadata.get("namespace") != self.to_namespace:
            return False
        found = metadata.get(to.label)
        return found is not None and to.name in ("", found)


class TapFilter:
    """Filters the events of one proxy.

    Args:
        match: what to show.
        rate_limit: requests per second that are shown at most.
        clock: monotonic seconds.
    """

    def __init__(self, match: TapMatch, *, rate_limit: float, clock: Callable[[], float]) -> None:
        self._match = match
        self._rate_limit = rate_limit
        self._clock = clock
        self._second = -1
        self._count = 0
        self._open: dict[tuple[object, object], None] = {}

    def admits(self, event: Event) -> bool:
        """True if the event belongs to a request that is shown."""
        if "requestInitEvent" in event:
            if not self._match.accepts(event) or not self._within_rate():
                return False
            self._open[_id(event["requestInitEvent"])] = None
            if len(self._open) > _PENDING_LIMIT:
                del self._open[next(iter(self._open))]
            return True
        if "responseInitEvent" in event:
            return _id(event["responseInitEvent"]) in self._open
        if "responseEndEvent" in event:
            return self._open.pop(_id(event["responseEndEvent"]), self) is None
        return False

    def _within_rate(self) -> bool:
        second = int(self._clock())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count <= self._rate_limit


def _id(part: Mapping[str, Any]) -> tuple[object, object]:
    identity = part.get("id") or {}
    return identity.get("base", 0), identity.get("stream", 0)


def hydrate(event: Event, labels_of: Callable[[str], Labels | None]) -> None:
    """Add what Kubernetes knows of both addresses to the event's metadata.

    Args:
        event: changed in place.
        labels_of: labels of the pod with an address; None if there is no such pod.
    """
    for side in ("source", "destination"):
        peer = event.get(side)
        if not peer:
            continue
        known = labels_of(peer.get("ip", ""))
        if known:
            peer["metadata"] = {**known, **(peer.get("metadata") or {})}
