"""emojivoto's web: the pages, and a JSON API in front of emoji-svc and voting-svc.

Each vote is two gRPC calls, one to each backend, as in the original. The method of a request is
not checked, as there.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import grpc
import grpc.aio
from google.protobuf.message import Message

from labkit.embedded.images import http_server
from labkit.embedded.images.emojivoto import emojivoto_pb2 as messages
from labkit.embedded.images.emojivoto import pages
from labkit.embedded.images.emojivoto.emojis import VOTE_METHODS
from labkit.embedded.images.http_server import Request, Response
from labkit.embedded.images.runtime import listen_address, log, proxy_address, serve_until_signal

_JSON = "application/json; charset=UTF-8"
_HTML = "text/html; charset=UTF-8"
_CODE_NAMES = {"OK": "OK", "CANCELLED": "Canceled"}


class Backend:
    """A gRPC service, dialled by its name or through the pod's proxy.

    A proxy gets the name as the authority of each call, which is how it finds the service.
    """

    def __init__(self, service: str, host: str) -> None:
        self._service = service
        options: list[tuple[str, Any]] = [("grpc.enable_http_proxy", 0)]
        proxy = proxy_address()
        if proxy is not None:
            options.append(("grpc.default_authority", host))
        target = host if proxy is None else f"{proxy[0]}:{proxy[1]}"
        self.channel = grpc.aio.insecure_channel(target, options=options)
        self._calls: dict[str, Any] = {}

    async def call(self, method: str, request: Message, response: type[Message]) -> Any:
        """Call a unary method."""
        call = self._calls.get(method)
        if call is None:
            call = self._calls[method] = self.channel.unary_unary(
                f"/{self._service}/{method}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=response.FromString,
            )
        return await call(request)


class Web:
    """The handlers of web."""

    def __init__(self, emoji: Backend, voting: Backend) -> None:
        self._emoji = emoji
        self._voting = voting
        self._routes: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/api/list": self._list,
            "/api/leaderboard": self._leaderboard,
            "/api/vote": self._vote,
        }

    async def handle(self, request: Request) -> Response:
        """Answer any request."""
        route = self._routes.get(request.path)
        if route is None:
            return _page(request.path)
        try:
            return await route(request)
        except grpc.aio.AioRpcError as error:
            return _error(500, _go_text(error))

    async def _list(self, _: Request) -> Response:
        answer = await self._emoji.call(
            "ListAll", messages.ListAllEmojiRequest(), messages.ListAllEmojiResponse
        )
        return _json([{"shortcode": e.shortcode, "unicode": e.unicode} for e in answer.list])

    async def _find(self, shortcode: str) -> Any:
        request = messages.FindByShortcodeRequest(Shortcode=shortcode)
        answer = await self._emoji.call(
            "FindByShortcode", request, messages.FindByShortcodeResponse
        )
        return answer.emoji if answer.HasField("emoji") else None

    async def _leaderboard(self, _: Request) -> Response:
        answer = await self._voting.call(
            "Results", messages.ResultsRequest(), messages.ResultsResponse
        )
        found = await asyncio.gather(*(self._find(r.Shortcode) for r in answer.results))
        rows = [
            {"shortcode": e.shortcode, "unicode": e.unicode, "votes": str(result.Votes)}
            for result, e in zip(answer.results, found, strict=True)
            if e is not None
        ]
        return _json(rows)

    async def _vote(self, request: Request) -> Response:
        choice = parse_qs(request.query).get("choice", [""])[0]
        if not choice:
            return _error(400, "a vote needs the parameter choice, as choice=:joy:")
        if await self._find(choice) is None:
            return _error(400, f"there is no emoji with the shortcode [{choice}]")
        await self._voting.call(VOTE_METHODS[choice], messages.VoteRequest(), messages.VoteResponse)
        return Response(content_type=_JSON)


def _json(value: object, status: int = 200) -> Response:
    return Response(
        json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), status, _JSON
    )


def _error(status: int, text: str) -> Response:
    return _json({"error": text}, status)


def _go_text(error: grpc.aio.AioRpcError) -> str:
    name = error.code().name
    code = _CODE_NAMES.get(name) or "".join(word.capitalize() for word in name.split("_"))
    return f"rpc error: code = {code} desc = {error.details()}"


def _page(path: str) -> Response:
    if path == "/img/favicon.ico":
        return Response(pages.FAVICON, content_type="image/svg+xml")
    if path == "/js" or path.startswith("/dist/"):
        return Response(pages.SCRIPT.encode(), content_type="application/javascript")
    return Response(pages.shell().encode(), content_type=_HTML)


def _setting(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        log(f"the environment variable {name} must be set")
        sys.exit(1)
    return value


async def run() -> None:
    """Serve until SIGTERM."""
    port, emoji_host, voting_host, _ = (
        _setting(name) for name in ("WEB_PORT", "EMOJISVC_HOST", "VOTINGSVC_HOST", "INDEX_BUNDLE")
    )
    emoji = Backend("emojivoto.v1.EmojiService", emoji_host)
    voting = Backend("emojivoto.v1.VotingService", voting_host)
    log(f"Connecting to [{voting_host}]")
    log(f"Connecting to [{emoji_host}]")
    server = await http_server.serve(Web(emoji, voting).handle, listen_address(int(port)))
    log(f"Starting web server on WEB_PORT=[{port}]")
    await serve_until_signal()
    server.close()
    await emoji.channel.close()
    await voting.channel.close()


def main() -> None:
    """Run the server until SIGTERM."""
    asyncio.run(run())


if __name__ == "__main__":
    main()
