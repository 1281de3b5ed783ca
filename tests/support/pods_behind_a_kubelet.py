"""Pods that answer through port-forward: a kubelet with real frames, and small HTTP servers.

The pods are objects in a real API server; what stands behind their ports are applications of the
test. Used by the tests of the clients and of the `linkerd` command.
"""

import ssl
from collections.abc import Mapping
from types import SimpleNamespace

from aiohttp import web

from labkit.certs import create_leaf, write_credential
from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.node.port_forward import PortForward

NODE = "node-1"


class Kubelet:
    """A node of the cluster; `pod` adds a ready pod with applications behind its ports."""

    def __init__(self, apiserver, kube: KubeClient) -> None:
        self._apiserver = apiserver
        self._kube = kube
        self._runners: list[web.AppRunner] = []
        self._ports: dict[tuple[str, str], dict[int, str]] = {}

    async def start(self, folder) -> None:
        leaf = create_leaf(self._apiserver.ca, dns_names=(NODE,), ip_addresses=("127.0.0.1",))
        write_credential(leaf, folder / "kubelet.crt", folder / "kubelet.key")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "kubelet.crt", folder / "kubelet.key")
        app = web.Application()
        app.router.add_get("/portForward/{namespace}/{pod}", self._forward)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        address = await self._serve(app, tls=context)
        await self._kube.create(
            path_of("v1", "nodes"),
            {"metadata": {"name": NODE, "annotations": _sockets({10250: address})}},
        )

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def _serve(self, app: web.Application, *, tls: ssl.SSLContext | None = None) -> str:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        return f"127.0.0.1:{runner.addresses[0][1]}"

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        key = request.match_info["namespace"], request.match_info["pod"]
        stream = web.WebSocketResponse(protocols=("v4.channel.k8s.io",), max_msg_size=0)
        await stream.prepare(request)
        worker = SimpleNamespace(uid="uid", locate=self._ports[key].get)
        ports = [int(word) for word in request.query["ports"].split(",")]
        await PortForward(stream, worker, ports).run()
        return stream

    async def _logs(self, request: web.Request) -> web.Response:
        return web.Response(text=f"{request.match_info['container']} says {request.query_string}\n")

    async def pod(
        self,
        namespace: str,
        name: str,
        apps: Mapping[int, web.Application] | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        meshed: bool = False,
    ) -> dict:
        """Create a ready pod."""
        await self.namespace(namespace)
        ports = {port: await self._serve(app) for port, app in (apps or {}).items()}
        self._ports[namespace, name] = ports
        container = {"name": "app", "image": "example.org/app:1"}
        proxy = {
            **container,
            "name": "linkerd-proxy",
            "image": "cr.l5d.io/linkerd/proxy:edge-26.6.3",
        }
        body = {
            "metadata": {
                "name": name,
                "labels": dict(labels or {}),
                "annotations": _sockets(ports),
            },
            "spec": {
                "nodeName": NODE,
                "containers": [container],
                "initContainers": [{**proxy, "restartPolicy": "Always"}] if meshed else [],
            },
        }
        path = path_of("v1", "pods", namespace)
        await self._kube.create(path, body)
        status = {
            "phase": "Running",
            "conditions": [{"type": kind, "status": "True"} for kind in ("Ready", "Initialized")],
        }
        return await self._kube.patch(f"{path}/{name}/status", {"status": status})

    async def deployment(
        self,
        namespace: str,
        name: str,
        apps: Mapping[int, web.Application],
        *,
        meshed: bool = False,
    ) -> None:
        """Create a Deployment and its one pod."""
        labels = {"component": name}
        await self.pod(namespace, f"{name}-1", apps, labels=labels, meshed=meshed)
        container = {"name": "app", "image": "example.org/app:1"}
        await self._kube.create(
            path_of("apps/v1", "deployments", namespace),
            {
                "metadata": {"name": name, "labels": labels},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"containers": [container]},
                    },
                },
            },
        )

    async def namespace(self, name: str) -> None:
        """Create a namespace with its default service account, once."""
        try:
            await self._kube.create(path_of("v1", "namespaces"), {"metadata": {"name": name}})
        except KubeError as error:
            if error.status != 409:
                raise
            return
        path = path_of("v1", "serviceaccounts", name)
        await self._kube.create(path, {"metadata": {"name": "default"}})


def _sockets(ports: Mapping[int, str]) -> dict[str, str]:
    import json

    return {"network.labkit.dev/sockets": json.dumps({str(k): v for k, v in ports.items()})}


def answering(**answers: object) -> web.Application:
    """An application that answers `PATH=JSON or text`; `__` in a keyword stands for a slash."""
    app = web.Application()
    for name, answer in answers.items():

        async def handle(request: web.Request, answer=answer) -> web.Response:
            value = answer(request) if callable(answer) else answer
            return value if isinstance(value, web.Response) else _response(value)

        app.router.add_get("/" + name.replace("__", "/"), handle)
    return app


def _response(value: object) -> web.Response:
    return web.Response(text=value) if isinstance(value, str) else web.json_response(value)
