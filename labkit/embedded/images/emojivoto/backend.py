"""What emoji-svc and voting-svc have in common: a gRPC server and a page of metrics.

Ports come from the environment, as in the original: `GRPC_PORT` (8080) and `PROM_PORT` (8801).
Reflection and health services are left out, as there.
"""

import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from labkit.embedded.images import http_server
from labkit.embedded.images.runtime import listen_address, log, serve_until_signal

GRACE_S = 0.5


class Failure(Exception):  # noqa: N818 - a gRPC status, not a fault of the program
    """Ends a call with gRPC status Unknown and this text, as a Go error does."""


@dataclass(frozen=True)
class Method:
    """One unary method.

    Attributes:
        request: class of its request.
        answer: from request to response.
    """

    request: type[Message]
    answer: Callable[[Any], Message]


async def run(
    service: str, methods: Mapping[str, Method], *, metrics: Callable[[], str] = str
) -> None:
    """Serve until SIGTERM.

    Args:
        service: full name, as `emojivoto.v1.EmojiService`.
        methods: by name.
        metrics: more lines for /metrics, in Prometheus' text format.
    """
    handled: Counter[tuple[str, str]] = Counter()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handlers = {name: _handler(name, method, handled) for name, method in methods.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    grpc_port = os.environ.get("GRPC_PORT", "8080")
    prom_port = os.environ.get("PROM_PORT", "8801")
    host, port = listen_address(int(grpc_port))
    server.add_insecure_port(f"{host}:{port}")

    async def page(request: http_server.Request) -> http_server.Response:
        if request.path != "/metrics":
            return http_server.Response(b"404 page not found\n", 404, "text/plain; charset=utf-8")
        text = _grpc_metrics(service, handled) + metrics()
        return http_server.Response(text.encode(), 200, "text/plain; version=0.0.4; charset=utf-8")

    pages = await http_server.serve(page, listen_address(int(prom_port)))
    await server.start()
    log(f"Starting prom metrics on PROM_PORT=[{prom_port}]")
    log(f"Starting grpc server on GRPC_PORT=[{grpc_port}]")
    await serve_until_signal()
    pages.close()
    await server.stop(GRACE_S)


def _handler(name: str, method: Method, handled: Counter[tuple[str, str]]) -> Any:
    async def answer(request: Message, context: Any) -> Message:
        try:
            response = method.answer(request)
        except Failure as failure:
            handled[name, "Unknown"] += 1
            await context.abort(grpc.StatusCode.UNKNOWN, str(failure))
            raise
        handled[name, "OK"] += 1
        return response

    behaviour: Callable[[Message, Any], Awaitable[Message]] = answer
    return grpc.unary_unary_rpc_method_handler(
        behaviour,
        request_deserializer=method.request.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )


def _grpc_metrics(service: str, handled: Mapping[tuple[str, str], int]) -> str:
    name = "grpc_server_handled_total"
    lines = [
        f"# HELP {name} Total number of RPCs completed on the server.",
        f"# TYPE {name} counter",
        *(
            f'{name}{{grpc_code="{code}",grpc_method="{method}",'
            f'grpc_service="{service}",grpc_type="unary"}} {count}'
            for (method, code), count in sorted(handled.items())
        ),
    ]
    return "\n".join([*lines, ""])
