"""The proxy injector: a mutating webhook that adds the sidecar to pods that ask for it.

It answers AdmissionReview v1 over HTTPS with the certificate of Secret
linkerd-proxy-injector-k8s-tls. What it adds is in `sidecar`.
"""

import asyncio
import json
import logging
import ssl
from base64 import b64encode
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from labkit.embedded.informing import Informer
from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.mesh import sidecar
from labkit.embedded.mesh.programs import Container, Runtime, kube_client
from labkit.embedded.mesh.serving import admin_application, chosen
from labkit.embedded.serving import served

logger = logging.getLogger(__name__)

WEBHOOK_PORT = 8443
_ADMIN_PORTS = (9995,)
_TLS_FOLDER = "var/run/linkerd/tls"
_CONFIG = "var/run/linkerd/config/values"
_TRUST_ROOTS = "var/run/linkerd/identity/trust-roots/ca-bundle.crt"

Object = dict[str, Any]


class Injector:
    """Answers admission requests of one cluster.

    Args:
        kube: client of the cluster.
        folder: root of the container, where Linkerd's configuration and trust roots are mounted.
    """

    def __init__(self, kube: KubeClient, folder: Path) -> None:
        self._kube = kube
        self._folder = folder
        self._namespaces = Informer(kube, path_of("v1", "namespaces"))

    async def follow(self) -> None:
        """Keep the namespaces current, until cancelled."""
        await self._namespaces.run()

    async def synced(self) -> None:
        """Wait for the first list."""
        await self._namespaces.synced()

    def _options(self) -> sidecar.SidecarOptions:
        roots = (self._folder / _TRUST_ROOTS).read_text()
        values = yaml.safe_load((self._folder / _CONFIG).read_text()) or {}
        proxy_image = (values.get("proxy") or {}).get("image") or {}
        return sidecar.SidecarOptions(
            version=str(proxy_image.get("version") or values.get("linkerdVersion", "")),
            trust_anchors=roots,
            image=str(proxy_image.get("name") or "cr.l5d.io/linkerd/proxy"),
        )

    async def _namespace_of(self, name: str) -> Object:
        known = self._namespaces.store.get(("", name))
        return known or await self._kube.get(path_of("v1", "namespaces", None, name))

    async def review(self, request: Object) -> Object:
        """The response to an AdmissionRequest; a patch when something is to be added.

        Raises:
            KubeError: the namespace is not known.
            OSError: the mounted configuration cannot be read.
        """
        allowed: Object = {"uid": request.get("uid", ""), "allowed": True}
        item, kind = request.get("object") or {}, request.get("kind", {}).get("kind")
        namespace_name = request.get("namespace") or item.get("metadata", {}).get("namespace", "")
        namespace = await self._namespace_of(namespace_name)
        if kind == "Service":
            patch = sidecar.service_patch(item, namespace)
        elif kind == "Pod":
            reason = sidecar.skip_reason(item, namespace)
            if reason is not None:
                logger.debug("not injected in %s: %s", namespace_name, reason)
                return allowed
            # viz marks pods as tappable by its own webhook, which comes after this one
            options = await asyncio.to_thread(self._options)
            patch = sidecar.pod_patch(item, namespace, options)
        else:
            return allowed
        if not patch:
            return allowed
        text = b64encode(json.dumps(patch).encode()).decode()
        return allowed | {"patchType": "JSONPatch", "patch": text}


def application(injector: Injector) -> web.Application:
    """The webhook."""

    async def handle(request: web.Request) -> web.Response:
        review = await request.json()
        try:
            response = await injector.review(review.get("request") or {})
        except (KubeError, OSError) as error:
            logger.warning("injector: %s", error)
            return web.Response(status=500, text=str(error))
        return web.json_response(
            {
                "apiVersion": review.get("apiVersion", "admission.k8s.io/v1"),
                "kind": "AdmissionReview",
                "response": response,
            }
        )

    app = web.Application(client_max_size=8 << 20)
    app.router.add_post("/{path:.*}", handle)
    return app


def _tls_context(container: Container) -> ssl.SSLContext:
    folder = container.root / _TLS_FOLDER
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


async def run(container: Container, runtime: Runtime) -> int:
    """Run until cancelled; 1 when the webhook's certificate is missing."""
    try:
        tls = _tls_context(container)
    except (OSError, ssl.SSLError) as error:
        runtime.log(f"injector: no certificate in /{_TLS_FOLDER}: {error}")
        return 1
    synced = asyncio.Event()
    async with (
        kube_client(container, "linkerd-proxy-injector") as kube,
        asyncio.TaskGroup() as tasks,
    ):
        injector = Injector(kube, container.root)
        tasks.create_task(injector.follow(), name="injector")
        admin = admin_application(synced.is_set)
        async with (
            served(admin, chosen(container.app_sockets, _ADMIN_PORTS)),
            served(application(injector), chosen(container.app_sockets, [WEBHOOK_PORT]), tls=tls),
        ):
            await injector.synced()
            synced.set()
            runtime.log("injector: answering admission reviews")
            await asyncio.Event().wait()
    return 0
