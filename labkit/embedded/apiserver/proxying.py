"""services/NAME/proxy and pods/NAME/proxy: HTTP and WebSockets to a pod's real socket.

A redirect of the application to itself is turned into one that leads back through the proxy.
Links in pages are left as they are. The proxy of nodes is not served.
"""

import aiohttp
from aiohttp import web
from yarl import URL

from labkit.embedded.apiserver import status
from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.endpoints import (
    pod_socket,
    pod_socket_of_service,
    pods_of_service,
)
from labkit.embedded.apiserver.reading import find
from labkit.embedded.apiserver.relaying import HOP_HEADERS, relay_body, relay_frames
from labkit.embedded.apiserver.requests import Call
from labkit.embedded.apiserver.store import Object

_CONNECT_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5)
_HANDSHAKE = "sec-websocket-"


async def proxy(backend: Backend, call: Call) -> web.StreamResponse:
    """services/NAME/proxy and pods/NAME/proxy: an HTTP request to the pod's real socket."""
    scheme, name, port = _split(call.name)
    call.name = name
    obj = find(backend, call).obj
    if call.plural == "services":
        if not any(True for _ in pods_of_service(backend, obj)):
            raise status.ApiError(503, f'no endpoints available for service "{name}"')
        try:
            socket = pod_socket_of_service(backend, call.namespace, name, port)
        except LookupError as error:
            raise status.ApiError(503, str(error)) from error
    elif call.plural == "pods":
        socket = _pod_address(obj, port)
    else:
        raise status.ApiError(501, "the node proxy is not served here", reason="NotImplemented")
    target = URL(f"{scheme}://{socket}/{call.rest}").with_query(call.request.query)
    if call.request.headers.get("Upgrade", "").lower() == "websocket":
        return await _upgrade(backend, call, target)
    if not call.rest and not call.request.path.endswith("/"):
        # So that relative links of the page lead below `proxy/`.
        return web.Response(status=301, headers={"Location": _with_slash(call.request.rel_url)})
    return await _forward(backend, call, target)


def _split(name: str) -> tuple[str, str, str]:
    """`[https:]name[:port]`, as proxy paths write it."""
    parts = name.split(":")
    if len(parts) == 3:
        return parts[0] or "http", parts[1], parts[2]
    if len(parts) == 2:
        return "http", parts[0], parts[1]
    return "http", name, ""


def _pod_address(pod: Object, port: str) -> str:
    if not (pod.get("status") or {}).get("podIP"):
        raise status.bad_request("address not allowed")
    declared = [
        p for c in pod["spec"]["containers"] for p in c.get("ports") or () if p.get("containerPort")
    ]
    number = port
    if not port and declared:
        number = str(declared[0]["containerPort"])
    elif not port.isdigit():
        number = next((str(p["containerPort"]) for p in declared if p.get("name") == port), "")
    socket = pod_socket(pod, int(number)) if number.isdigit() else None
    if socket is None:
        raise status.ApiError(
            503, f"error trying to reach service: port {port or number} of the pod is not open"
        )
    return socket


def _with_slash(url: URL) -> str:
    return str(url.with_path(url.path + "/", keep_query=True))


def _headers(request: web.BaseRequest) -> dict[str, str]:
    """What the application sees: the client's headers, and where it came from."""
    kept = {k: v for k, v in request.headers.items() if k.lower() not in HOP_HEADERS}
    return {
        **{k: v for k, v in kept.items() if not k.lower().startswith(_HANDSHAKE)},
        "X-Forwarded-Host": request.host,
        "X-Forwarded-Proto": request.scheme,
        "X-Forwarded-Uri": request.path,
    }


async def _forward(backend: Backend, call: Call, target: URL) -> web.StreamResponse:
    request = call.request
    try:
        async with backend.http.request(
            request.method,
            target,
            headers=_headers(request),
            data=request.content if request.can_read_body else None,
            ssl=False,
            allow_redirects=False,
            timeout=_CONNECT_TIMEOUT,
        ) as answer:
            back = _way_back(call, target, answer.headers.get("Location"))
            return await relay_body(call, answer, location=back)
    except (aiohttp.ClientConnectionError, TimeoutError) as error:
        raise status.ApiError(503, f"error trying to reach service: {error}") from error


def _way_back(call: Call, target: URL, location: str | None) -> str | None:
    """A redirect of the application as the client must follow it; None without one."""
    if location is None:
        return None
    try:
        goal = target.join(URL(location))
    except ValueError:
        return location
    if goal.host != target.host or goal.port != target.port:
        return location
    path = call.request.path
    prefix = path.removesuffix(call.rest).rstrip("/")
    return str(URL.build(path=prefix + goal.path, query=goal.query, fragment=goal.fragment))


async def _upgrade(backend: Backend, call: Call, target: URL) -> web.StreamResponse:
    offered = call.request.headers.get("Sec-WebSocket-Protocol", "")
    try:
        application = await backend.http.ws_connect(
            target,
            protocols=[name.strip() for name in offered.split(",") if name.strip()],
            headers=_headers(call.request),
            ssl=False,
            max_msg_size=0,
            compress=0,
            autoping=False,
        )
    except aiohttp.WSServerHandshakeError as error:
        raise status.ApiError(error.status, f"the application refused: {error.message}") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise status.ApiError(503, f"error trying to reach service: {error}") from error
    async with application:
        chosen = (application.protocol,) if application.protocol else ()
        client = web.WebSocketResponse(
            protocols=chosen, max_msg_size=0, compress=False, autoping=False
        )
        await client.prepare(call.request)
        await relay_frames(client, application)
    return client
