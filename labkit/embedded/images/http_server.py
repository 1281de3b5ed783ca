"""A small HTTP/1.1 server for the programs in pods.

A web framework would double the memory of every pod. This one reads a request, discards its body
(no program here wants one), calls a handler and keeps the connection open. It deliberately knows
no TLS, no streaming and no upgrade: the pod's sidecar stands in front of it.
"""

import asyncio
import contextlib
import http
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

_HEAD_LIMIT = 65536
_BODY_LIMIT = 8 * 2**20


@dataclass(frozen=True)
class Request:
    """The head of a request; header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Response:
    """What to answer."""

    body: bytes = b""
    status: int = 200
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


class _BadRequest(Exception):  # noqa: N818 - never leaves this module
    """The peer does not speak HTTP/1.x as we do."""


async def serve(handler: Handler, address: tuple[str, int]) -> asyncio.Server:
    """Listen on an address and answer every request by `handler`."""
    host, port = address

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, EOFError, asyncio.CancelledError):
            await _converse(handler, reader, writer)
        writer.close()

    return await asyncio.start_server(connected, host, port, limit=_HEAD_LIMIT)


async def _converse(
    handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    keep_alive = True
    while keep_alive:
        try:
            request, keep_alive = await _read_request(reader)
        except (_BadRequest, asyncio.LimitOverrunError, ValueError):
            writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        response = await handler(request)
        writer.write(_render(request, response, keep_alive=keep_alive))
        await writer.drain()


async def _read_request(reader: asyncio.StreamReader) -> tuple[Request, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise _BadRequest(first)
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise _BadRequest(line)
        headers[name.strip().lower()] = value.strip()
    await _discard_body(reader, headers)
    target = words[1]
    if "://" in target:  # absolute form, as sent to a proxy
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    path, _, query = target.partition("?")
    wish = headers.get("connection", "").lower()
    keep_alive = wish != "close" and (words[2] == "HTTP/1.1" or wish == "keep-alive")
    return Request(words[0], path, query, headers), keep_alive


async def _discard_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> None:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        size = 1
        while size:
            size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
            if size > _BODY_LIMIT:
                raise _BadRequest("chunk too large")
            await reader.readexactly(size + 2)
        return
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= _BODY_LIMIT:
        raise _BadRequest("body too large")
    await reader.readexactly(length)


def _render(request: Request, response: Response, *, keep_alive: bool) -> bytes:
    phrase = http.HTTPStatus(response.status).phrase
    headers = {
        "Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
        "Content-Length": str(len(response.body)),
        **({"Content-Type": response.content_type} if response.content_type else {}),
        **({} if keep_alive else {"Connection": "close"}),
        **response.headers,
    }
    lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head if request.method == "HEAD" else head + response.body
