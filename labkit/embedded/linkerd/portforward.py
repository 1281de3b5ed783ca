"""Port-forward to a pod, by WebSocket through the API server: how viz and proxies are reached.

Bytes come and go on the caller's thread, frame by frame. Deliberately absent: several ports on one
WebSocket and SPDY.
"""

import contextlib
import http.client
import io
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from labkit.embedded.linkerd.cluster import Cluster, Object
from labkit.errors import KubernetesError, LabkitError

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = b"\0", 1
_TIMEOUT = 30.0
"""Seconds for one read or write."""
_OPENING_BYTES = 3
"""The first frame of a channel is the channel byte and the port's number."""


class PortStream(io.RawIOBase):
    """The bytes of one port, read and written as a socket."""

    def __init__(self, websocket: Any) -> None:
        self.websocket = websocket
        self._buffer = bytearray()
        self._opened: set[int] = set()
        self._ended = False
        self._error = ""

    def readable(self) -> bool:
        """True: it is a stream to read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what has come; waits for a frame when there is nothing."""
        while not self._buffer and not self._ended:
            self._receive()
        if not self._buffer and self._error:
            raise ConnectionError(self._error)
        count = min(len(buffer), len(self._buffer))
        buffer[:count] = self._buffer[:count]
        del self._buffer[:count]
        return count

    def _receive(self) -> None:
        from websocket import (
            ABNF,
            WebSocketConnectionClosedException,
            WebSocketTimeoutException,
        )

        try:
            opcode, frame = self.websocket.recv_data_frame(True)
        except (WebSocketConnectionClosedException, ConnectionResetError):
            self._ended = True
            return
        except WebSocketTimeoutException as error:
            raise TimeoutError("nothing came in time") from error
        if opcode == ABNF.OPCODE_CLOSE:
            self._ended = True
        if opcode != ABNF.OPCODE_BINARY or not frame.data:
            return
        channel, payload = frame.data[0], frame.data[1:]
        if channel not in self._opened:
            self._opened.add(channel)
            if len(frame.data) == _OPENING_BYTES:
                return
        if channel == _ERROR and payload:
            self._error = payload.decode(errors="replace")
            self._ended = True
        elif channel == _DATA[0]:
            self._buffer += payload

    def sendall(self, data: bytes) -> None:
        """Send bytes to the port."""
        from websocket import WebSocketException

        try:
            self.websocket.send_binary(_DATA + bytes(data))
        except WebSocketException as error:
            raise ConnectionError(str(error)) from error

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """A buffered reader; the stream outlives it, as `http.client` closes its file early."""
        return _Reader(self)

    def close(self) -> None:
        """Close the WebSocket, and with it the connection at the pod."""
        if not self.closed:
            with contextlib.suppress(Exception):
                self.websocket.send_close()  # an answer is not waited for
            self.websocket.shutdown()
        super().close()


class _Reader(io.BufferedReader):
    def close(self) -> None:
        """Leave the stream open."""


class _Socket:
    """What `http.client` may close: the stream behind it stays open until its owner closes it."""

    def __init__(self, stream: PortStream) -> None:
        self.sendall = stream.sendall
        self.makefile = stream.makefile

    def close(self) -> None:
        """Leave the stream open."""


@contextmanager
def open_port(
    cluster: Cluster, namespace: str, pod: str, port: int, *, timeout: float | None = _TIMEOUT
) -> Iterator[PortStream]:
    """A pod's port as a stream.

    Args:
        cluster: where the pod is.
        namespace: its namespace.
        pod: its name.
        port: the container's port.
        timeout: of one read or write in seconds, None for none.

    Raises:
        KubernetesError: the API server refused or the pod does not answer.
    """
    import websocket

    server = cluster.endpoint.server.replace("http", "ws", 1)
    url = f"{server}/api/v1/namespaces/{namespace}/pods/{pod}/portforward?ports={port}"
    headers = {key: value for key, value in cluster.headers.items() if key != "Accept"}
    try:
        connection = websocket.create_connection(
            url,
            timeout=cluster.timeout,
            header=headers,
            subprotocols=[_PROTOCOL],
            sslopt={"context": cluster.tls} if cluster.tls else {},
            enable_multithread=True,
            http_no_proxy=["*"],
        )
        connection.settimeout(timeout)
    except (websocket.WebSocketException, OSError) as error:
        raise KubernetesError(
            f"error upgrading connection to pod {namespace}/{pod}", seen=str(error)
        ) from error
    with PortStream(connection) as stream:
        yield stream


@contextmanager
def http_response(
    cluster: Cluster,
    target: tuple[str, str, int],
    path: str,
    query: Mapping[str, str] | None = None,
    *,
    timeout: float | None = _TIMEOUT,
) -> Iterator[http.client.HTTPResponse]:
    """GET from a pod's port.

    Args:
        cluster: where the pod is.
        target: namespace, pod, port.
        path: of the URL.
        query: parameters; empty ones are left out.
        timeout: of one read in seconds, None for a stream without end.

    Raises:
        KubernetesError: the pod does not answer.
    """
    import websocket

    namespace, pod, port = target
    given = {key: value for key, value in (query or {}).items() if value}
    with open_port(cluster, namespace, pod, port, timeout=timeout) as stream:
        try:
            connection = http.client.HTTPConnection("localhost", port)
            connection.sock = _Socket(stream)
            connection.request("GET", path + ("?" + urllib.parse.urlencode(given) if given else ""))
            yield connection.getresponse()
        except (OSError, http.client.HTTPException, websocket.WebSocketException) as error:
            raise KubernetesError(
                f"error forwarding port {port} to pod {namespace}/{pod}", seen=str(error)
            ) from error


def pods_of(cluster: Cluster, namespace: str, kind: str, name: str) -> list[Object]:
    """The running pods of a workload, ready ones first.

    Raises:
        LabkitError: the workload does not exist, or its kind has no pods.
    """
    if kind == "pod":
        return [cluster.get(f"/api/v1/namespaces/{namespace}/pods/{name}")]
    groups = {
        "deployment": "apis/apps/v1",
        "daemonset": "apis/apps/v1",
        "statefulset": "apis/apps/v1",
        "replicaset": "apis/apps/v1",
        "job": "apis/batch/v1",
    }
    if kind not in groups:
        raise LabkitError(f"{kind}/{name} has no pods")
    workload = cluster.get(f"/{groups[kind]}/namespaces/{namespace}/{kind}s/{name}")
    labels = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    pods = cluster.list(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)
    running = [pod for pod in pods if pod.get("status", {}).get("phase") == "Running"]
    return sorted(running, key=lambda pod: not is_ready(pod))


def is_ready(pod: Object) -> bool:
    """Whether a pod is Ready and not being deleted."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return not pod["metadata"].get("deletionTimestamp") and any(
        c["type"] == "Ready" and c["status"] == "True" for c in conditions
    )


def viz_pod(cluster: Cluster, component: str) -> str:
    """The ready pod of one of viz' components.

    Raises:
        LabkitError: viz is not installed or not ready.
    """
    pods = cluster.list(
        "/api/v1/namespaces/linkerd-viz/pods", labelSelector=f"component={component}"
    )
    ready = [pod for pod in pods if is_ready(pod)]
    if not ready:
        raise LabkitError(
            "Cannot connect to Linkerd Viz",
            seen=f'no running pods found for deployment "{component}"'
            if pods
            else 'deployments.apps "' + component + '" not found in namespace "linkerd-viz"',
            fix="Validate the install with: linkerd viz check",
        )
    return str(ready[0]["metadata"]["name"])


def viz_json(
    cluster: Cluster,
    component: tuple[str, int],
    path: str,
    query: Mapping[str, str] | None = None,
) -> Any:
    """A JSON answer of one of viz' components, given by name and port.

    Raises:
        LabkitError: viz is not there, or it refused, with its words.
    """
    name, port = component
    target = ("linkerd-viz", viz_pod(cluster, name), port)
    with http_response(cluster, target, path, query) as response:
        content = response.read()
        try:
            value = json.loads(content)
        except ValueError as error:
            raise LabkitError(
                f"{name} gave no JSON", seen=content[:200].decode(errors="replace")
            ) from error
        if response.status != http.HTTPStatus.OK:
            reason = value.get("error") if isinstance(value, dict) else None
            raise LabkitError(str(reason or f"{name} answered {response.status}"))
        return value
