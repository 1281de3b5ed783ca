"""log, exec, attach and port-forward: bytes between the client and a node.

Nothing is interpreted here: the answer of the node's kubelet API and the frames of its WebSocket
go through unchanged. SPDY inside HTTP (the fall-back of old clients) is refused.
"""

import contextlib
import dataclasses
import logging
import ssl

import aiohttp
from aiohttp import web

from labkit.embedded.apiserver import status
from labkit.embedded.apiserver.authorization import refusal
from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.endpoints import SOCKETS, sockets_of
from labkit.embedded.apiserver.reading import find
from labkit.embedded.apiserver.relaying import relay_body, relay_frames
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
    _check_log_options(call)
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
            return await relay_body(call, answer, content_type="text/plain")
    except (aiohttp.ClientConnectionError, TimeoutError) as error:
        raise status.internal(f"Get {url}: {error}") from error


def _check_log_options(call: Call) -> None:
    """422 for numbers of lines, bytes and seconds that make no sense."""
    causes = []
    for field, least, detail in (
        ("tailLines", 0, "must be greater than or equal to 0"),
        ("limitBytes", 1, "must be greater than 0"),
        ("sinceSeconds", 1, "must be greater than 0"),
    ):
        text = call.query.get(field)
        if text is None:
            continue
        try:
            value = int(text)
        except ValueError:
            raise status.bad_request(
                f'strconv.ParseInt: parsing "{text}": invalid syntax'
            ) from None
        if value < least:
            message = f"Invalid value: {value}: {detail}"
            causes.append({"reason": "FieldValueInvalid", "message": message, "field": field})
    if "sinceSeconds" in call.query and "sinceTime" in call.query:
        message = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        causes.append({"reason": "FieldValueForbidden", "message": message, "field": ""})
    if causes:
        raise status.invalid("PodLogOptions", call.name, causes)


async def _kubelet_error(answer: aiohttp.ClientResponse) -> status.ApiError:
    text = (await answer.text())[:1000]
    code = answer.status if 400 <= answer.status < 600 else 500
    with contextlib.suppress(ValueError, KeyError, TypeError):
        body = await answer.json(content_type=None)
        return status.ApiError(code, str(body["message"]), reason=body.get("reason"))
    return status.ApiError(code, text.strip() or "the node refused the request")


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
        await relay_frames(client, node)
    return client
