"""watch: what exists, then what happens, as one stream of JSON lines.

A watch begins with synthetic ADDED events (no version, version 0, or sendInitialEvents), or
replays the history after a version; a version that is forgotten gives one ERROR event with a
Status 410. Bookmarks come on request: after the initial events, every minute, and shortly before
the end.
"""

import functools
import logging
import random
import time
from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import web
from aiohttp.http_writer import StreamWriter

from labkit.embedded.apiserver import responses, status
from labkit.embedded.apiserver.accepting import Accepted, accepted
from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.conversion import convert
from labkit.embedded.apiserver.reading import check_list_options, integer, version_of
from labkit.embedded.apiserver.requests import Call
from labkit.embedded.apiserver.selecting import Selection, selection
from labkit.embedded.apiserver.store import Entry, Event, Expired, Object, Subscription
from labkit.embedded.encoding import to_json

logger = logging.getLogger(__name__)

_MINIMUM_S = 1800.0
"""A watch without timeoutSeconds ends after 30 to 60 minutes, as Kubernetes does it."""
_BOOKMARK_EVERY_S = 60.0
_LAST_BOOKMARK_S = 2.0
_IDLE_CHECK_S = 30.0
"""How often a watch without events asks whether its client is still there."""
_SHARED_LINES = 64
_INITIAL_END = "k8s.io/initial-events-end"


class _Stream:
    """The lines of one watch in the representation that its client wants."""

    def __init__(self, call: Call, chosen: Selection) -> None:
        self.call, self._chosen = call, chosen
        self._want = accepted(call.request)
        resource = call.resource
        self.plain = self._want == Accepted() and resource.api_version == resource.storage_version
        self._columns_sent = False

    def initial(self, entries: Iterable[Entry]) -> bytes:
        """What exists, as ADDED events."""
        return b"".join(self._line("ADDED", e) for e in entries if self._chosen.matches(e))

    def changes(self, events: Iterable[Event]) -> bytes:
        """Changes, seen through the selectors."""
        lines = []
        for event in events:
            after = self._chosen.matches(event.entry)
            before = event.previous is not None and self._chosen.matches(event.previous)
            if event.type == "DELETED":
                if before:
                    lines.append(self._line("DELETED", event.entry))
            elif after:
                lines.append(self._line("MODIFIED" if before else "ADDED", event.entry))
            elif before and event.previous is not None:
                lines.append(self._line("DELETED", _at(event.previous, event.rv)))
        return b"".join(lines)

    def bookmark(self, rv: int, *, initial_end: bool = False) -> bytes:
        """A BOOKMARK: everything up to this version has been sent."""
        resource = self.call.resource
        metadata: dict[str, Any] = {"resourceVersion": str(rv)}
        if initial_end:
            metadata["annotations"] = {_INITIAL_END: "true"}
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        if self._want.shape == "metadata":
            obj = responses.partial(obj)
        elif self._want.shape == "table":
            rows = [{"cells": [], "object": responses.partial(obj)}]
            obj = self._table(obj) | {"rows": rows}
        return _frame("BOOKMARK", obj)

    def _line(self, kind: str, entry: Entry) -> bytes:
        if self.plain:
            return _plain_line(kind, entry)
        obj = convert(entry.obj, self.call.resource)
        if self._want.shape == "metadata":
            obj = responses.partial(obj)
        elif self._want.shape == "table":
            obj = self._table(obj)
        return _frame(kind, obj)

    def _table(self, obj: Object) -> Object:
        table = responses.as_table(self.call, [obj], version=self._want.version)
        table["metadata"] = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        if self._columns_sent:
            table["columnDefinitions"] = None
        self._columns_sent = True
        return table


@functools.lru_cache(maxsize=_SHARED_LINES)
def _plain_line(kind: str, entry: Entry) -> bytes:
    """The line of an object as it is stored; all watchers of an event share one."""
    return b'{"type":"' + kind.encode() + b'","object":' + entry.raw + b"}\n"


def _at(entry: Entry, rv: int) -> Entry:
    obj = {**entry.obj, "metadata": {**entry.obj["metadata"], "resourceVersion": str(rv)}}
    raw = entry.raw.replace(
        f'"resourceVersion":"{entry.rv}"'.encode(), f'"resourceVersion":"{rv}"'.encode(), 1
    )
    return Entry(entry.namespace, entry.name, entry.born, rv, obj, raw, entry.cut)


def _frame(kind: str, obj: Object) -> bytes:
    return to_json({"type": kind, "object": obj}) + b"\n"


def _duration(call: Call) -> float:
    seconds = integer(call.query, "timeoutSeconds")
    return float(seconds) if seconds else _MINIMUM_S * (1 + random.random())  # noqa: S311 - no secret


async def watch(backend: Backend, call: Call) -> web.StreamResponse:
    """GET of a collection (or of one object) with watch=true."""
    stream = _Stream(call, selection(call))
    check_list_options(call.query, watch=True)
    deadline = time.monotonic() + _duration(call)
    wanted = version_of(call.query.get("resourceVersion", ""))
    resource = call.resource
    subscription = backend.store.subscribe(resource.storage)
    try:
        response = web.StreamResponse()
        response.content_type = "application/json"
        for name, value in responses.warning_headers(call):
            response.headers.add(name, value)
        begin = _beginning(backend, call, stream, wanted)
        await backend.store.on_disk(backend.store.rv)
        writer = await response.prepare(call.request)
        if begin:
            await response.write(begin)
        if stream.plain and isinstance(writer, StreamWriter):
            subscription.take = _Wire(stream, writer).take
        if not begin.startswith(b'{"type":"ERROR"'):
            await _follow(backend, response, stream, subscription, deadline=deadline)
        await response.write_eof()
    except ConnectionError:
        logger.debug("the client of a watch on %s has gone", resource.qualified)
    finally:
        backend.store.unsubscribe(resource.storage, subscription)
    return response


class _Wire:
    """The quick way of events to a client: into the connection's buffer, without any task.

    Fifty watchers of one resource would otherwise mean fifty tasks to wake for every change.
    """

    def __init__(self, stream: _Stream, writer: StreamWriter) -> None:
        self._stream, self._writer = stream, writer

    def take(self, events: Sequence[Event]) -> bool:
        """Send events; False when the client reads slowly or has gone."""
        transport, protocol = self._writer.transport, self._writer.protocol
        if transport is None or transport.is_closing() or protocol.writing_paused:
            return False
        lines = self._stream.changes(events)
        if lines:
            transport.write(_chunk(lines) if self._writer.chunked else lines)
        return True


@functools.lru_cache(maxsize=1)
def _chunk(data: bytes) -> bytes:
    """A chunk of an answer in HTTP's chunked encoding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _beginning(backend: Backend, call: Call, stream: _Stream, wanted: int) -> bytes:
    """The first lines: what exists, or what was missed."""
    storage = call.resource.storage
    explicit = call.query.get("sendInitialEvents")
    initial = call.flag("sendInitialEvents") if explicit is not None else wanted == 0
    if not initial and wanted:
        try:
            return stream.changes(backend.store.since(storage, wanted))
        except Expired as error:
            return _frame("ERROR", status.expired(str(error)).body)
    if not initial:
        return b""
    namespace = call.namespace if call.resource.namespaced and call.namespace else None
    lines = stream.initial(backend.store.entries(storage, namespace))
    marks = call.flag("allowWatchBookmarks")
    if marks and (explicit is not None or "resourceVersion" not in call.query):
        lines += stream.bookmark(backend.store.rv, initial_end=True)
    return lines


async def _follow(
    backend: Backend,
    response: web.StreamResponse,
    stream: _Stream,
    subscription: Subscription,
    *,
    deadline: float,
) -> None:
    call = stream.call
    marks = call.flag("allowWatchBookmarks")
    next_mark = min(time.monotonic() + _BOOKMARK_EVERY_S, deadline - _LAST_BOOKMARK_S)
    while (left := deadline - time.monotonic()) > 0 and not subscription.overrun:
        wait = min(left, _IDLE_CHECK_S)
        if marks:
            wait = min(wait, max(0.0, next_mark - time.monotonic()) + 0.001)
        events = await subscription.next(wait)
        reached = backend.store.rv_on_disk  # before anything newer can come
        lines = stream.changes(events)
        if lines:
            await response.write(lines)
        transport = call.request.transport
        if transport is None or transport.is_closing() or backend.stopping():
            return
        if marks and time.monotonic() >= next_mark:
            await response.write(stream.bookmark(reached))
            left = deadline - time.monotonic()
            next_mark = time.monotonic() + min(
                _BOOKMARK_EVERY_S, left - _LAST_BOOKMARK_S if left > _LAST_BOOKMARK_S else left + 1
            )
