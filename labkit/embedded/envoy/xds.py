"""An xDS server: snapshots of resources per node, over REST long-poll on a unix socket.

Envoy asks `POST /v3/discovery:<kind>` with the version it has; the answer is held back until
there is another one, or 304 after five minutes. The version is a hash of what is asked for, so that
publishing equal resources wakes nobody.

REST has no field in which Envoy could refuse a version. A refusal is therefore recognised by the
same process asking again, still with its old version, after it was given the new one: it is
logged, remembered in `rejected`, and offered again only after a change or some seconds.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from labkit.embedded.envoy.types import TYPE_URLS, Json
from labkit.embedded.serving import served

logger = logging.getLogger(__name__)

HOLD_S = 300.0
"""How long a poll waits for a change; Envoy itself gives up after twice that. Each poll tells all
extensions that the Envoy has, 60 kB, and a proxy has half a dozen polls open."""

OFFER_AGAIN_S = 2.0
"""A refused version is offered again at this pace: what it lacked may have come (a port, say)."""


@dataclass(frozen=True)
class Packed:
    """A resource in the form it is sent; made once, published to many nodes."""

    name: str
    text: str
    digest: bytes


def pack(resource: Json) -> Packed:
    """Serialise a resource that has a `name`."""
    text = json.dumps(resource, separators=(",", ":"))
    return Packed(resource["name"], text, hashlib.sha256(text.encode()).digest())


Snapshot = Mapping[str, Iterable[Json | Packed]]
"""Kind (`listeners`, `clusters`, `routes`, `secrets`) to resources with a `name`."""

_Key = tuple[str, str, str, tuple[str, ...]]
"""Node id, instance of the process, kind, names asked for."""


@dataclass
class _Node:
    kinds: dict[str, dict[str, Packed]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    taken: dict[str, str] = field(default_factory=dict)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, kind: str, resources: Iterable[Json | Packed]) -> bool:
        """Replace the resources of a kind; whether anything differs."""
        packed = [item if isinstance(item, Packed) else pack(item) for item in resources]
        new = {item.name: item for item in packed}
        old = self.kinds.get(kind)
        self.kinds[kind] = new
        return old is None or [r.digest for r in old.values()] != [r.digest for r in new.values()]

    def wake(self) -> None:
        """Let every waiting poll look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    def take(self, kind: str, version: str) -> None:
        """Note that Envoy has (or asks without having) a version of all of a kind."""
        self.taken[kind] = version
        self.asked.set()
        self.asked = asyncio.Event()

    def version(self, kind: str, names: tuple[str, ...]) -> str | None:
        """Version of the named resources (all without names); None: not complete."""
        have = self.kinds.get(kind)
        if have is None or any(name not in have for name in names):
            return None
        chosen = [have[name] for name in names] if names else have.values()
        return hashlib.sha256(b"".join(resource.digest for resource in chosen)).hexdigest()[:16]

    def answer(self, kind: str, names: tuple[str, ...], version: str) -> str:
        """The body that carries the resources which `version` was made of."""
        have = self.kinds[kind]
        chosen = [have[name] for name in names] if names else have.values()
        resources = ",".join(resource.text for resource in chosen)
        return (
            f'{{"version_info":"{version}","type_url":"{TYPE_URLS[kind]}",'
            f'"resources":[{resources}]}}'
        )


def _asked(kind: str, body: bytes) -> tuple[_Key, str]:
    """Who asks for what, and the version it has.

    The request also lists the hundreds of extensions an Envoy has; nothing may hold on to that
    text while the poll waits.
    """
    request = json.loads(body)
    node = request.get("node", {})
    instance = str(node.get("metadata", {}).get("instance", ""))
    names = tuple(request.get("resource_names", ()))
    key = (str(node.get("id", "")), instance, kind, names)
    return key, str(request.get("version_info", ""))


class XdsServer:
    """Serves snapshots to Envoys.

    Args:
        socket: path of the unix socket; the folder must be private.
        hold_s: seconds a poll may wait.
        on_rejected: called with node id and kind when an Envoy refuses a version.
    """

    def __init__(
        self,
        socket: Path,
        *,
        hold_s: float = HOLD_S,
        on_rejected: Callable[[str, str], None] | None = None,
    ) -> None:
        self._socket = socket
        self._hold_s = hold_s
        self._on_rejected = on_rejected
        self._nodes: dict[str, _Node] = {}
        self._serving = AsyncExitStack()
        self._sent: dict[_Key, str] = {}
        self._accepted: set[_Key] = set()
        self.rejected: dict[tuple[str, str], str] = {}

    def publish(self, node_id: str, snapshot: Snapshot) -> bool:
        """Set some or all kinds of a node's resources; whether anything changed."""
        node = self._node(node_id)
        changed = [node.put(kind, resources) for kind, resources in snapshot.items()]
        if any(changed):
            node.wake()
        return any(changed)

    def forget(self, node_id: str) -> None:
        """Drop a node; polls under way end with 304."""
        node = self._nodes.pop(node_id, None)
        if node is not None:
            node.wake()
        self._sent = {key: sent for key, sent in self._sent.items() if key[0] != node_id}
        self.rejected = {
            key: version for key, version in self.rejected.items() if key[0] != node_id
        }

    async def taken(self, node_id: str, kind: str, *, timeout_s: float) -> bool:
        """Wait until a node uses what was published of a kind.

        Returns:
            True when it does, or when it has never asked; False when the time is over.
        """
        node = self._node(node_id)
        try:
            async with asyncio.timeout(timeout_s):
                while kind in node.taken:
                    version = node.version(kind, ())
                    if version is None or node.taken[kind] == version:
                        break
                    await node.asked.wait()
        except TimeoutError:
            return False
        return True

    def _node(self, node_id: str) -> _Node:
        return self._nodes.setdefault(node_id, _Node())

    def application(self) -> web.Application:
        """The aiohttp application, for a caller that serves it beside other routes."""
        app = web.Application()
        app.router.add_post("/v3/discovery:{kind}", self._discovery)
        return app

    async def start(self) -> None:
        """Bind the socket; one of an earlier process, or of an earlier server, is replaced."""
        await self._serving.enter_async_context(served(self.application(), path=self._socket))

    async def stop(self) -> None:
        """End all polls and remove the socket."""
        for node in self._nodes.values():
            node.wake()
        await self._serving.aclose()

    async def _discovery(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        if kind not in TYPE_URLS:
            return web.json_response({"message": f"no such resource: {kind}"}, status=404)
        key, has_version = _asked(kind, await request.content.read())
        text = await self._next(key, has_version)
        if text is None:
            return web.Response(status=304)
        return web.Response(text=text, content_type="application/json")

    async def _next(self, key: _Key, has_version: str) -> str | None:
        node_id, _, kind, names = key
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._hold_s
        if not names:
            self._node(node_id).take(kind, has_version)
        if has_version:
            self._accepted.add(key)
        elif key in self._accepted:
            # A listener that went and came again subscribes anew; that is no refusal.
            self._accepted.discard(key)
            self._sent.pop(key, None)
        while True:
            node = self._node(node_id)
            version = node.version(kind, names)
            until = deadline
            if version is not None and version != has_version:
                if self._sent.get(key) != version:
                    self._sent[key] = version
                    return node.answer(kind, names, version)
                self._note_rejection(node_id, kind, version)
                until = min(deadline, loop.time() + OFFER_AGAIN_S)
            elif version is not None:
                self.rejected.pop((node_id, kind), None)
            try:
                async with asyncio.timeout_at(until):
                    await node.changed.wait()
            except TimeoutError:
                # After a refusal or a lost answer the same version is offered again.
                self._sent.pop(key, None)
                if until == deadline:
                    return None

    def _note_rejection(self, node_id: str, kind: str, version: str) -> None:
        if self.rejected.get((node_id, kind)) == version:
            return
        self.rejected[node_id, kind] = version
        logger.warning("Envoy %s refused its new %s; it keeps the old ones", node_id, kind)
        if self._on_rejected is not None:
            self._on_rejected(node_id, kind)
