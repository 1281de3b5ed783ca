"""Tap events as requests: the three events of a request joined, times in microseconds.

A tap stream tells the start of a request, the start of its response and its end apart, joined by an
id that is unique within one proxy only. Sampling begins and ends in the middle of traffic, so
requests may lack their beginning (dropped) or their end (kept, marked incomplete). Deliberately
absent: statistics.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

_MICROS = 1_000_000


@dataclass(frozen=True)
class TapRequest:
    """One tapped request.

    Attributes:
        direction: `inbound` or `outbound`, as the tapped proxy sees it.
        source: `IP:PORT` of the client's side.
        destination: `IP:PORT` of the server's side.
        method: HTTP method.
        authority: as seen by the proxy.
        path: with its query.
        tls: `true`, or why not.
        server_id: identity of the server (outbound), empty without TLS.
        client_id: identity of the client (inbound), empty without TLS.
        metadata: all labels of the other side, as `target_cluster`.
        status: HTTP status, None while there is no response.
        latency_us: from request to the start of the response, in microseconds.
        duration_us: from request to the end of the response, in microseconds.
        response_bytes: size of the body.
        grpc_status: numeric, 0 for plain HTTP too.
        reset_error: HTTP/2 error code of a reset stream.
        headers: of the request, names in small letters; those that the proxy shows.
        seen_at_s: when the response's start arrived here, Unix seconds: tap itself tells no time.
    """

    direction: str
    source: str
    destination: str
    method: str
    authority: str
    path: str
    tls: str
    server_id: str
    client_id: str
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    status: int | None = None
    latency_us: int | None = None
    duration_us: int | None = None
    response_bytes: int | None = None
    grpc_status: int | None = None
    reset_error: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    seen_at_s: float = 0.0

    @property
    def complete(self) -> bool:
        """Its end was seen."""
        return self.duration_us is not None

    @property
    def is_tls(self) -> bool:
        """Whether the connection was mutual TLS of the mesh."""
        return self.tls == "true"


class TapJoiner:
    """Joins events to requests as they come."""

    def __init__(self) -> None:
        self._open: dict[tuple[object, ...], TapRequest] = {}
        self.done: list[TapRequest] = []

    def add(self, event: Mapping[str, Any]) -> None:
        """Take one event; events of requests whose start was not seen are dropped."""
        for name, handler in (
            ("requestInitEvent", self._start),
            ("responseInitEvent", self._response),
            ("responseEndEvent", self._end),
        ):
            body = event.get(name)
            if body is not None:
                handler(_key(event, body), event, body)
                return

    def requests(self) -> tuple[TapRequest, ...]:
        """All requests seen so far, those without an end last."""
        return (*self.done, *self._open.values())

    def _start(
        self, key: tuple[object, ...], event: Mapping[str, Any], body: Mapping[str, Any]
    ) -> None:
        inbound = event.get("proxyDirection") == "INBOUND"
        peer = (event.get("source" if inbound else "destination") or {}).get("metadata") or {}
        self._open[key] = TapRequest(
            direction="inbound" if inbound else "outbound",
            source=_address(event.get("source")),
            destination=_address(event.get("destination")),
            method=_text(body.get("method")),
            authority=str(body.get("authority", "")),
            path=str(body.get("path", "")),
            tls=str(peer.get("tls", "")),
            server_id=str(peer.get("server_id", "")),
            client_id=str(peer.get("client_id", "")),
            metadata=dict(peer),
            headers={
                str(header.get("name", "")).lower(): str(header.get("valueStr", ""))
                for header in body.get("headers") or []
            },
        )

    def _response(
        self, key: tuple[object, ...], _: Mapping[str, Any], body: Mapping[str, Any]
    ) -> None:
        request = self._open.get(key)
        if request is not None:
            self._open[key] = replace(
                request,
                status=body.get("httpStatus"),
                latency_us=_micros(body.get("sinceRequestInit")),
                seen_at_s=time.time(),
            )

    def _end(self, key: tuple[object, ...], _: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        request = self._open.pop(key, None)
        if request is not None:
            self.done.append(
                replace(
                    request,
                    duration_us=_micros(body.get("sinceRequestInit")),
                    response_bytes=body.get("responseBytes"),
                    grpc_status=body.get("grpcStatusCode"),
                    reset_error=body.get("resetErrorCode"),
                )
            )


def _key(event: Mapping[str, Any], body: Mapping[str, Any]) -> tuple[object, ...]:
    number = body.get("id") or {}
    return (
        event.get("proxyDirection"),
        _address(event.get("source")),
        _address(event.get("destination")),
        number.get("base", 0),
        number.get("stream", 0),
    )


def _address(side: Mapping[str, Any] | None) -> str:
    side = side or {}
    address = str(side.get("ip", ""))
    shown = f"[{address}]" if ":" in address else address
    return f"{shown}:{side.get('port', 0)}"


def _text(method: Any) -> str:
    return str(method.get("registered", "")) if isinstance(method, dict) else str(method or "")


def _micros(duration: Mapping[str, Any] | None) -> int:
    """A duration of tap in whole microseconds; fields that are zero are absent."""
    duration = duration or {}
    return int(duration.get("seconds", 0)) * _MICROS + int(duration.get("nanos", 0)) // 1000
