"""Events: the story that `kubectl describe` tells about an object.

Controllers record and go on; one task writes. Repetitions become a count, as they do in real
clusters: the same reason and message raises the count of one Event, and more than ten different
messages for one reason within ten minutes are combined. An Event that cannot be written is
dropped: events are a courtesy.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

from labkit.embedded.controllers.objects import now
from labkit.embedded.kube import KubeClient, KubeError, Object, path_of

logger = logging.getLogger(__name__)

Severity = Literal["Normal", "Warning"]
_BACKLOG = 1000
_REMEMBERED = 1000
_SIMILAR_LIMIT = 10
_SIMILAR_WINDOW_S = 600.0


@dataclass(frozen=True)
class _Record:
    component: str
    about: tuple[tuple[str, str], ...]  # the involvedObject, hashable
    severity: Severity
    reason: str
    message: str


@dataclass
class _Similar:
    since: float = 0.0
    messages: set[str] = field(default_factory=set)


class EventWriter:
    """Writes what recorders record. Run `run` as a task."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._backlog: asyncio.Queue[_Record] = asyncio.Queue(_BACKLOG)
        self._written: OrderedDict[_Record, tuple[str, int]] = OrderedDict()
        self._similar: OrderedDict[_Record, _Similar] = OrderedDict()

    def recorder(self, component: str) -> "Recorder":
        """A recorder for one component, as `deployment-controller`."""
        return Recorder(self, component)

    def put(self, record: _Record) -> None:
        """Take a record; drop it when too many wait."""
        if not self._backlog.full():
            self._backlog.put_nowait(record)

    async def run(self) -> None:
        """Write records until cancelled."""
        while True:
            record = await self._backlog.get()
            try:
                identity = self._combine(record)
                await self._write(identity, _text(identity, record))
            except KubeError as error:
                logger.debug("event %s: %s", record.reason, error)

    def _combine(self, record: _Record) -> _Record:
        family = _Record(record.component, record.about, record.severity, record.reason, "")
        similar = self._similar.setdefault(family, _Similar(since=time.monotonic()))
        self._similar.move_to_end(family)
        if len(self._similar) > _REMEMBERED:
            self._similar.popitem(last=False)
        if time.monotonic() - similar.since > _SIMILAR_WINDOW_S:
            self._similar[family] = similar = _Similar(since=time.monotonic())
        similar.messages.add(record.message)
        if len(similar.messages) < _SIMILAR_LIMIT:
            return record
        return family

    async def _write(self, record: _Record, message: str) -> None:
        about = dict(record.about)
        path = path_of("v1", "events", about.get("namespace") or "default")
        name, count = self._written.pop(record, ("", 0))
        if name:
            changes = {"count": count + 1, "lastTimestamp": now(), "message": message}
            try:
                await self._kube.patch(f"{path}/{name}", changes)
            except KubeError as error:
                if error.status != 404:
                    raise
                name = ""  # its hour is over: begin a new one
        if not name:
            count = 0
            name = f"{about['name']}.{time.time_ns():x}"
            await self._kube.create(path, _event(record, name, message))
        self._written[record] = (name, count + 1)
        if len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)


def _text(identity: _Record, record: _Record) -> str:
    if identity.message:
        return record.message
    return f"(combined from similar events): {record.message}"


def _event(record: _Record, name: str, message: str) -> Object:
    about = dict(record.about)
    moment = now()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": about.get("namespace") or "default"},
        "involvedObject": about,
        "reason": record.reason,
        "message": message,
        "source": {"component": record.component},
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
        "type": record.severity,
        "eventTime": None,
        "reportingComponent": record.component,
        "reportingInstance": "",
    }


class Recorder:
    """Records events of one component; never waits, never fails."""

    def __init__(self, writer: EventWriter, component: str) -> None:
        self._writer = writer
        self._component = component

    def normal(self, about: Object, reason: str, message: str) -> None:
        """Something that should happen has happened to an object."""
        self._record(about, "Normal", reason, message)

    def warning(self, about: Object, reason: str, message: str) -> None:
        """Something that should not happen has happened to an object."""
        self._record(about, "Warning", reason, message)

    def _record(self, about: Object, severity: Severity, reason: str, message: str) -> None:
        metadata = about["metadata"]
        reference = {
            "kind": about["kind"],
            "namespace": metadata.get("namespace", ""),
            "name": metadata["name"],
            "uid": metadata["uid"],
            "apiVersion": about["apiVersion"],
        }
        entries = tuple((key, str(value)) for key, value in reference.items() if value)
        self._writer.put(_Record(self._component, entries, severity, reason, message[:1024]))
