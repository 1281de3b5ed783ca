"""The `tap-injector` container: a mutating webhook that makes new meshed pods tappable.

It adds the annotation `viz.linkerd.io/tap-enabled` and tells the proxy the identity of the tap
component. So only pods created after viz can be tapped, as with Linkerd. A pod or namespace with
`viz.linkerd.io/disable-tap` is left alone.
"""

import asyncio
import base64
import json
import logging
import ssl
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.mesh.programs import Container, Runtime, kube_client
from labkit.embedded.mesh.viz.tap import TAP_ENABLED
from labkit.embedded.serving import served

logger = logging.getLogger(__name__)

PORT = 8443
CERTIFICATES = "var/run/linkerd/tls"
"""Where Secret tap-injector-k8s-tls is mounted."""

TAP_IDENTITY = "tap.{namespace}.serviceaccount.identity.linkerd.cluster.local"

_DISABLE = "viz.linkerd.io/disable-tap"
_VARIABLE = "LINKERD2_PROXY_TAP_SVC_NAME"

Object = Mapping[str, Any]
Patch = list[dict[str, Any]]


async def run(container: Container, runtime: Runtime) -> int:
    """Run until cancelled; serves HTTPS on port 8443."""
    folder = container.root / CERTIFICATES
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    identity = TAP_IDENTITY.format(namespace=container.namespace)
    async with kube_client(container, "tap-injector") as kube:
        app = create_app(kube, identity)
        async with served(app, [container.app_sockets[PORT]], tls=tls):
            runtime.log(f"tap-injector: listening on port {PORT}")
            await asyncio.Event().wait()
    return 0


def create_app(kube: KubeClient, identity: str) -> web.Application:
    """The webhook: AdmissionReview v1 in, AdmissionReview v1 with a JSON patch out."""

    async def review(request: web.Request) -> web.Response:
        body = await request.json()
        asked = body["request"]
        response: dict[str, Any] = {"uid": asked["uid"], "allowed": True}
        pod = asked.get("object") or {}
        if not await _namespace_disables(kube, asked.get("namespace", "")):
            patch = tap_patch(pod, identity)
            if patch:
                response["patchType"] = "JSONPatch"
                response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
        return web.json_response(
            {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        )

    async def ready(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application(client_max_size=4 * 2**20)
    app.router.add_get("/ready", ready)
    app.router.add_post("/{path:.*}", review)
    return app


async def _namespace_disables(kube: KubeClient, name: str) -> bool:
    if not name:
        return False
    try:
        namespace = await kube.get(path_of("v1", "namespaces", name=name))
    except KubeError as error:
        logger.debug("namespace %s: %s", name, error)
        return False
    return _is_set(namespace)


def _is_set(item: Object) -> bool:
    annotations = item.get("metadata", {}).get("annotations") or {}
    return str(annotations.get(_DISABLE, "")).lower() in ("true", "enabled")


def tap_patch(pod: Object, identity: str) -> Patch:
    """The JSON patch for a pod; empty if it is not meshed, already tappable or opted out.

    Args:
        pod: the pod that is about to be created, after the proxy injector.
        identity: the mesh identity of the tap component.
    """
    metadata, spec = pod.get("metadata", {}), pod.get("spec", {})
    annotations = metadata.get("annotations") or {}
    place = _proxy_path(spec)
    if place is None or _is_set(pod) or TAP_ENABLED in annotations:
        return []
    path, proxy = place
    variable = {"name": _VARIABLE, "value": identity}
    patch: Patch = []
    if not annotations:
        patch.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    escaped = TAP_ENABLED.replace("/", "~1")
    patch.append({"op": "add", "path": f"/metadata/annotations/{escaped}", "value": "true"})
    if proxy.get("env"):
        patch.append({"op": "add", "path": f"{path}/env/-", "value": variable})
    else:
        patch.append({"op": "add", "path": f"{path}/env", "value": [variable]})
    return patch


def _proxy_path(spec: Object) -> tuple[str, Object] | None:
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            if container.get("name") == "linkerd-proxy":
                return f"/spec/{field}/{index}", container
    return None
