"""The Kubernetes client of the embedded cloud's components: small, asynchronous, on dicts.

Controllers, node and mesh meet only at the Kubernetes API; this is their way to it. It offers
requests and a watch; informers and work queues on top of it are in `informing`. It does not model
resources: objects are the JSON of the API.
"""

import functools
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import aiohttp

from labkit.embedded.encoding import from_json, to_json
from labkit.errors import KubernetesError

logger = logging.getLogger(__name__)

Object = dict[str, Any]
PatchKind = Literal["merge", "json", "strategic", "apply"]

_PATCH_TYPES: Mapping[str, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
REQUEST_TIMEOUT_S = 30.0
WATCH_TIMEOUT_S = 1800
"""How long a watch lasts: as long as the server would let it, because a lab has two hundred of
them and each new one costs a TLS handshake. Bookmarks tell that a silent one lives."""
_WATCH_SILENCE_S = 330.0
KEEP_ALIVE_S = 11.0
"""How long a connection waits for another request: a little longer than from one renewal of a
node's lease to the next, which would otherwise cost a handshake each. Not longer, because fifty
clients in one process have many connections."""

_LINE_LIMIT = 16 * 2**20
_SHARED_EVENTS = 64


class KubeError(KubernetesError):
    """The API server refused a request.

    Attributes:
        body: the Status object, or an empty dict.
    """

    def __init__(self, what: str, *, status: int | None, body: Object | None = None) -> None:
        self.body = body or {}
        super().__init__(
            what,
            status=status,
            reason=str(self.body.get("reason", "")),
            seen=str(self.body.get("message", "")),
        )


def path_of(
    api_version: str,
    plural: str,
    namespace: str | None = None,
    name: str | None = None,
    subresource: str | None = None,
) -> str:
    """The URL path of a collection or an object.

    Example:
        >>> path_of("apps/v1", "deployments", "emojivoto", "web", "scale")
        '/apis/apps/v1/namespaces/emojivoto/deployments/web/scale'
    """
    parts = ["/apis" if "/" in api_version else "/api", api_version]
    if namespace:
        parts += ["namespaces", namespace]
    parts.append(plural)
    parts += [part for part in (name, subresource) if part]
    return "/".join(parts)


def key_of(item: Object) -> tuple[str, str]:
    """(namespace or "", name) of an object."""
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _query(query: Mapping[str, object]) -> dict[str, str]:
    words = {True: "true", False: "false"}
    return {
        name: words[value] if isinstance(value, bool) else str(value)
        for name, value in query.items()
        if value is not None
    }


class KubeClient:
    """A connection to one API server. Use as an async context manager, or call `close`.

    Args:
        server: `https://127.0.0.1:PORT`.
        token: bearer token.
        ca_file: the cluster's CA, PEM.
        user_agent: names the component; it is the default field manager, too.
    """

    def __init__(
        self, server: str, *, token: str, ca_file: Path | str, user_agent: str = "labkit"
    ) -> None:
        self.server = server.rstrip("/")
        self.user_agent = user_agent
        self._token = token
        self._ca_file = str(ca_file)
        self._session: aiohttp.ClientSession | None = None
        self._watches: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"KubeClient({self.server!r}, user_agent={self.user_agent!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        for session in (self._session, self._watches):
            if session is not None:
                await session.close()
        self._session = self._watches = None

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._new_session(keep_alive=True)
        return self._session

    def _open_watches(self) -> aiohttp.ClientSession:
        """Connections of their own, because watches stay open for minutes.

        TLS buffers keep the size of the largest answer that went through them. After a list that
        is up to 0.75 MB for both ends together; on a new connection it is a tenth of that.
        """
        if self._watches is None:
            self._watches = self._new_session(keep_alive=False)
        return self._watches

    def _new_session(self, *, keep_alive: bool) -> aiohttp.ClientSession:
        options: dict[str, Any] = (
            {"keepalive_timeout": KEEP_ALIVE_S} if keep_alive else {"force_close": True}
        )
        context = ssl.create_default_context(cafile=self._ca_file)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0, **options),
            headers={"Authorization": f"Bearer {self._token}", "User-Agent": self.user_agent},
            read_bufsize=2**20,
            auto_decompress=True,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = "application/json",
        query: Mapping[str, object] | None = None,
    ) -> Object:
        """Send one request and return the JSON of the answer.

        Raises:
            KubeError: any status from 400; `status` is None when the server did not answer.
        """
        data = None if body is None else to_json(body)
        headers = {"Content-Type": content_type} if data is not None else {}
        try:
            async with self._open_session().request(
                method,
                self.server + path,
                data=data,
                headers=headers,
                params=_query(query or {}),
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
            ) as response:
                text = await response.read()
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            what = f"{method} {path}: the API server did not answer"
            raise KubeError(what, status=None, body={"message": repr(error)}) from error
        answer = _parse(text)
        if status >= 400:
            raise KubeError(f"{method} {path} was refused ({status})", status=status, body=answer)
        return answer

    async def get(self, path: str, **query: object) -> Object:
        """Read one object."""
        return await self.request("GET", path, query=query)

    async def list(self, path: str, **query: object) -> Object:
        """Read a collection; `labelSelector=…`, `fieldSelector=…`."""
        return await self.request("GET", path, query=query)

    async def create(self, path: str, body: Object, **query: object) -> Object:
        """Create an object in a collection (or POST to a subresource)."""
        return await self.request("POST", path, body=body, query=query)

    async def replace(self, path: str, body: Object, **query: object) -> Object:
        """Replace an object; its resourceVersion guards against lost updates."""
        return await self.request("PUT", path, body=body, query=query)

    async def patch(
        self, path: str, body: object, *, kind: PatchKind = "merge", **query: object
    ) -> Object:
        """Patch an object; `kind="apply"` is a server-side apply under this client's name."""
        if kind == "apply":
            query = {"fieldManager": self.user_agent, "force": True, **query}
        return await self.request(
            "PATCH", path, body=body, content_type=_PATCH_TYPES[kind], query=query
        )

    async def delete(self, path: str, body: Object | None = None, **query: object) -> Object:
        """Delete an object or, on a collection, all that match."""
        return await self.request("DELETE", path, body=body, query=query)

    async def watch(
        self, path: str, *, resource_version: str, **query: object
    ) -> AsyncIterator[Object]:
        """Yield `{"type", "object"}` from a resourceVersion on, until the server ends the watch.

        Objects come without managedFields and are shared: copy one before changing it.

        Raises:
            KubeError: the watch was refused or ended with an ERROR event (410: list again).
        """
        options = {
            "watch": True,
            "resourceVersion": resource_version,
            "allowWatchBookmarks": True,
            "timeoutSeconds": WATCH_TIMEOUT_S,
            **query,
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_WATCH_SILENCE_S)
        try:
            async with self._open_watches().get(
                self.server + path, params=_query(options), timeout=timeout
            ) as response:
                if response.status >= 400:
                    body = _parse(await response.read())
                    what = f"watch of {path} was refused ({response.status})"
                    raise KubeError(what, status=response.status, body=body)
                async for line in _lines(response.content):
                    event = _event(line)
                    if event["type"] == "ERROR":
                        status = event["object"].get("code", 500)
                        raise KubeError(
                            f"watch of {path} ended", status=status, body=event["object"]
                        )
                    yield event
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            what = f"watch of {path} broke"
            raise KubeError(what, status=None, body={"message": repr(error)}) from error


@functools.lru_cache(maxsize=_SHARED_EVENTS)
def _event(line: bytes) -> Object:
    """One event of a watch.

    Ten components of a process may follow the pods of a cluster: an event that all of them get at
    about the same time is parsed once, and they share the object. Nobody changes what came out
    of a watch.
    """
    event: Object = from_json(line)
    strip(event["object"])
    return event


def strip(item: Object) -> None:
    """Drop managedFields, which are half of an object and interest no component here.

    An update without them leaves the owners of fields to the server.
    """
    item.get("metadata", {}).pop("managedFields", None)


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length up to 16 MiB (the reader's own limit is its buffer)."""
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
        if len(rest) > _LINE_LIMIT:
            raise KubeError("a watch event is larger than 16 MiB", status=None)


def _parse(text: bytes) -> Object:
    shown = text[:256].decode("utf-8", "replace")
    try:
        answer = from_json(text) if text else {}
    except ValueError:
        return {"message": shown}
    return answer if isinstance(answer, dict) else {"message": shown}
