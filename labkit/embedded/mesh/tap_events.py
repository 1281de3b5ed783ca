"""Tap: each request as Linkerd's three tap events, streamed to whoever listens.

All three events of a request are sent when it has ended, because the access log is written then;
their times since the request's start are the real ones. With nobody listening nothing is built.
"""

import asyncio
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from labkit.embedded.mesh.requests import Request

Event = dict[str, Any]

_HEADERS = {"user-agent": "agent", "content-type": "ct", "x-vegeta-seq": "seq"}
"""Headers of a request that are shown, and their fields in the log: Envoy cannot log them all."""

_BACKLOG = 2000
"""Events kept for a listener that does not read; older ones are dropped, as Linkerd does."""


def _duration(microseconds: int) -> dict[str, int]:
    seconds, rest = divmod(max(microseconds, 0), 1_000_000)
    result = {"seconds": seconds} if seconds else {}
    return result | ({"nanos": rest * 1000} if rest else {})


def _address(text: str, metadata: dict[str, str]) -> Event:
    ip, _, port = text.rpartition(":")
    return {"ip": ip, "port": int(port or 0), "metadata": metadata}


def _peer_metadata(request: Request) -> dict[str, str]:
    """Labels of the other side, without `dst_`."""
    if request.peer:
        tls = {"tls": "true", "server_id" if request.outbound else "client_id": request.peer}
    elif request.outbound:
        tls = {"tls": "not_provided_by_service_discovery"}
    else:
        tls = {"tls": "no_tls_from_remote"}
    if not request.outbound:
        return tls
    constants = (pair for pair in request.labels if pair[0].startswith("dst_"))
    return tls | {key.removeprefix("dst_"): value for key, value in constants}


def _headers(request: Request, fields: dict[str, str]) -> list[Event]:
    pairs = ((name, request.entry.text(field)) for name, field in fields.items())
    return [{"name": name, "valueStr": value} for name, value in pairs if value]


def events_of(request: Request, stream: int) -> Iterator[Event]:
    """The events of a request: its start, the response's start, the response's end.

    Args:
        request: a finished request.
        stream: number of the request at this proxy.
    """
    entry = request.entry
    peer = _peer_metadata(request)
    common = {
        "source": _address(request.source, {} if request.outbound else peer),
        "destination": _address(request.destination or ":0", peer if request.outbound else {}),
        "routeMeta": None,
        "proxyDirection": "OUTBOUND" if request.outbound else "INBOUND",
    }
    number = {"base": 0, "stream": stream}
    yield {
        **common,
        "requestInitEvent": {
            "id": number,
            "method": entry.text("method"),
            "scheme": entry.text("scheme"),
            "authority": entry.text("authority"),
            "path": entry.text("path"),
            "headers": _headers(request, _HEADERS),
        },
    }
    end = {
        "id": number,
        "sinceRequestInit": _duration(entry.last_byte_us),
        "sinceResponseInit": _duration(entry.last_byte_us - entry.first_byte_us),
        "responseBytes": entry.number("bytes"),
        "trailers": [],
        "grpcStatusCode": int(request.grpc_status or 0),
    }
    if request.status:
        yield {
            **common,
            "responseInitEvent": {
                "id": number,
                "sinceRequestInit": _duration(entry.first_byte_us),
                "httpStatus": int(request.status),
                "headers": [],
            },
        }
    else:
        end["resetErrorCode"] = 8  # HTTP/2's CANCEL: the client went away
    yield {**common, "responseEndEvent": end}


class TapHub:
    """Hands the events of a proxy to its listeners."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Event]] = set()
        self._numbers = itertools.count(1)

    def publish(self, requests: Iterable[Request]) -> None:
        """Send requests to all listeners."""
        for request in requests:
            number = next(self._numbers)
            if not self._queues:
                continue
            for event in events_of(request, number):
                for queue in self._queues:
                    if queue.full():
                        queue.get_nowait()
                    queue.put_nowait(event)

    @contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[Event]]:
        """A queue of the events from now on."""
        queue: asyncio.Queue[Event] = asyncio.Queue(_BACKLOG)
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)
