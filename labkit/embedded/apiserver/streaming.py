"""log, exec, attach, port-forward and proxy: bytes between the client and a node or pod.

Nothing is interpreted here: the answer of the node's kubelet API and the frames of its WebSocket
go through unchanged. SPDY inside HTTP (the fall-back of old clients) is refused.
"""

import asyncio
import contextlib
import dataclasses
import logging
import ssl
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

from labkit.embedded.apiserver import status
from labkit.embedded.apiserver.authorization import refusal
from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.endpoints import (
    SOCKETS,
    pod_socket,
    pod_socket_of_service,
    pods_of_service,
    sockets_of,
)
from labkit.embedded.apiserver.reading import find
from labkit.embedded.apiserver.requests import Call
from labkit.embedded.apiserver.store import Object

logger = logging.getLogger(__name__)

_LOG_OPTIONS = (
    "follow",
    "tailLines",
    "previous",
    "timestamps",
    "sinceSeconds",
    "sinceTime",
    "limitBytes",
)
_HOP_HEADERS = {
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
_KUBELET_PATHS = {"exec": "exec", "attach": "attach", "portforward": "portForward"}


def _kubelet(backend: Backend, pod: Object, *, doing: str) -> str:
    """`https://127.0.0.1:N` of the pod's node."""
    name = pod["metadata"]["name"]
    node_name = (pod.get("spec") or {}).get("nodeName")
    if not node_name:
        raise status.bad_request(f"pod {name} does not have a host assigned")
    node = backend.store.get("nodes", "", node_name)
    if node is None:
        raise status.not_found("pods", node_name)  # the real server's words
    socket = sockets_of(node.obj, SOCKETS).get("10250")
    if socket is None:
        raise status.internal(f"node {node_name} has no kubelet address: cannot {doing}")
    return f"https://{socket}"


def _trust(backend: Backend) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=backend.config.ca.certificate.decode())
    context.check_hostname = False  # nodes are found by address; the CA is the cluster's own
    return context


def _container(call: Call, pod: Object) -> str:
    """The container that is meant; 400 when that is not clear."""
    spec = pod["spec"]
    names = [c["name"] for c in spec["containers"]]
    more = [
        c["name"]
        for field in ("initContainers", "ephemeralContainers")
        for c in spec.get(field) or ()
    ]
    wanted = str(call.query.get("container", ""))
    name = pod["metadata"]["name"]
    if wanted:
        if wanted not in names + more:
            raise status.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    default = (pod["metadata"].get("annotations") or {}).get(
        "kubectl.kubernetes.io/default-container"
    )
    if default in names:
        return str(default)
    if len(names) == 1:
        return str(names[0])
    choices = f"choose one of: [{' '.join(names)}]"
    if more:
        choices += f" or one of the init containers: [{' '.join(more)}]"
    raise status.bad_request(f"a container name must be specified for pod {name}, {choices}")


async def log(backend: Backend, call: Call) -> web.StreamResponse:
    """GET of pods/NAME/log."""
    pod = find(backend, call).obj
    container = _container(call, pod)
    if not pod["spec"].get("nodeName"):
        return web.Response(status=204)
    base = _kubelet(backend, pod, doing="read logs")
    url = f"{base}/containerLogs/{call.namespace}/{call.name}/{container}"
    query = {name: call.query[name] for name in _LOG_OPTIONS if name in call.query}
    headers = {"Authorization": f"Bearer {backend.config.kubelet_token}"}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    try:
        async with backend.http.get(
            url, params=query, headers=headers, ssl=_trust(backend), timeout=timeout
        ) as answer:
            if answer.status != 200:
                raise await _kubelet_error(answer)
            return await _relay_body(call, answer, content_type="text/plain")
    except (aiohttp.ClientConnectionError, TimeoutError) as error:
        raise status.internal(f"Get {url}: {error}") from error


async def _kubelet_error(answer: aiohttp.ClientResponse) -> status.ApiError:
    text = (await answer.text())[:1000]
    code = answer.status if 400 <= answer.status < 600 else 500
    with contextlib.suppress(ValueError, KeyError, TypeError):
        body = await answer.json(content_type=None)
        return status.ApiError(code, str(body["message"]), reason=body.get("reason"))
    return status.ApiError(code, text.strip() or "the node refused the request")


async def _relay_body(
    call: Call, answer: aiohttp.ClientResponse, *, content_type: str = ""
) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status)
    if content_type:
        response.content_type = content_type
    else:
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_HEADERS:
                response.headers.add(name, value)
    await response.prepare(call.request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (ConnectionError, aiohttp.ClientError) as error:
        logger.debug("a relayed answer ended early: %s", error)
    return response


def _require_create(backend: Backend, call: Call) -> None:
    """A WebSocket begins with GET, but whoever may only read must not run commands."""
    attributes = dataclasses.replace(call.attributes, verb="create")
    if not backend.authorizer.authorize(call.user, attributes)[0]:
        text = refusal(call.user, attributes)
        logger.info("audit: forbidden: %s", text)
        raise status.forbidden(call.plural, call.name, text, call.group)


async def upgrade(backend: Backend, call: Call) -> web.StreamResponse:
    """exec, attach and port-forward: a WebSocket to the node, frame by frame."""
    _require_create(backend, call)
    pod = find(backend, call).obj
    request = call.request
    base = _kubelet(backend, pod, doing=call.subresource)
    path = f"/{_KUBELET_PATHS[call.subresource]}/{call.namespace}/{call.name}"
    if call.subresource != "portforward":
        path += f"/{_container(call, pod)}"
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise status.bad_request("unable to upgrade: only WebSocket connections are served here")
    offered = [
        name.strip()
        for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        if name.strip()
    ]
    try:
        node = await backend.http.ws_connect(
            base + path,
            params=[(k, v) for k, v in request.query.items() if k != "container"],
            protocols=offered,
            headers={"Authorization": f"Bearer {backend.config.kubelet_token}"},
            ssl=_trust(backend),
            max_msg_size=0,
            compress=0,
            autoping=False,
        )
    except aiohttp.WSServerHandshakeError as error:
        code = error.status if 400 <= error.status < 600 else 500
        raise status.ApiError(code, f"unable to upgrade connection: {error.message}") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise status.internal(f"error dialing backend: {error}") from error
    async with node:
        chosen = (node.protocol,) if node.protocol else ()
        client = web.WebSocketResponse(
            protocols=chosen, max_msg_size=0, compress=False, autoping=False
        )
        await client.prepare(request)
        await _relay_frames(client, node)
    return client


async def _relay_frames(client: web.WebSocketResponse, node: Any) -> None:
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
    url = f"{scheme}://{socket}/{call.rest}"
    return await _forward(backend, call, url)


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


async def _forward(backend: Backend, call: Call, url: str) -> web.StreamResponse:
    request = call.request
    headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_HEADERS}
    try:
        async with backend.http.request(
            request.method,
            url,
            params=list(request.query.items()),
            headers=headers,
            data=await request.read(),
            ssl=False,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        ) as answer:
            return await _relay_body(call, answer)
    except (aiohttp.ClientConnectionError, TimeoutError) as error:
        raise status.ApiError(503, f"error trying to reach service: {error}") from error
