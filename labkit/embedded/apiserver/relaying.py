"""Passing an answer's body, or the frames of two WebSockets, on to the other side unchanged."""

import asyncio
import contextlib
import logging
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

from labkit.embedded.apiserver.requests import Call

logger = logging.getLogger(__name__)

HOP_HEADERS = {
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


async def relay_body(
    call: Call,
    answer: aiohttp.ClientResponse,
    *,
    content_type: str = "",
    location: str | None = None,
) -> web.StreamResponse:
    """Pass an answer on; its headers, too, unless only a content type is wanted."""
    response = web.StreamResponse(status=answer.status)
    if content_type:
        response.content_type = content_type
    else:
        for name, value in answer.headers.items():
            if name.lower() not in HOP_HEADERS:
                response.headers.add(name, value)
    if location is not None:
        response.headers["Location"] = location
    await response.prepare(call.request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (ConnectionError, aiohttp.ClientError) as error:
        logger.debug("a relayed answer ended early: %s", error)
    return response


async def relay_frames(client: web.WebSocketResponse, node: Any) -> None:
    """Pass messages both ways until one side closes; then close the other."""
    tasks = [
        asyncio.create_task(_pump(client, node), name="client to node"),
        asyncio.create_task(_pump(node, client), name="node to client"),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        code = node.close_code or client.close_code or 1000
        code = 1000 if code in (1005, 1006) else code  # those two are never sent
        with contextlib.suppress(ConnectionError, RuntimeError):
            await asyncio.gather(client.close(code=code), node.close(), return_exceptions=True)


async def _pump(source: Any, target: Any) -> None:
    async for message in source:
        if message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.PING:
            await target.ping(message.data)
        elif message.type is WSMsgType.PONG:
            await target.pong(message.data)
        else:
            return
