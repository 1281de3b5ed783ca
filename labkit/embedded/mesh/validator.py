"""The validating webhooks of Linkerd's control plane: `sp-validator` and `policy`.

They exist so that the objects they guard can be written without a failing webhook. Everything is
allowed: the CustomResourceDefinitions' schemas check the shape. What is enforced is read by
`policies` and `splits`.
"""

import asyncio
import ssl
from contextlib import AsyncExitStack

from aiohttp import web

from labkit.embedded.mesh.programs import Container, Runtime
from labkit.embedded.mesh.serving import admin_application, chosen
from labkit.embedded.serving import served

_PORTS = {"sp-validator": ((8443,), (9997,)), "policy": ((9443,), (9990, 8090))}
"""Container to its webhook's and its other ports."""

_TLS_FOLDER = "var/run/linkerd/tls"


def application() -> web.Application:
    """The webhook: every AdmissionReview is allowed."""

    async def handle(request: web.Request) -> web.Response:
        review = await request.json()
        uid = (review.get("request") or {}).get("uid", "")
        return web.json_response(
            {
                "apiVersion": review.get("apiVersion", "admission.k8s.io/v1"),
                "kind": "AdmissionReview",
                "response": {"uid": uid, "allowed": True},
            }
        )

    app = web.Application(client_max_size=8 << 20)
    app.router.add_post("/{path:.*}", handle)
    return app


async def run(container: Container, runtime: Runtime) -> int:
    """Run until cancelled; 1 when the webhook's certificate is missing."""
    name = (container.argv or ("policy",))[0].rpartition("/")[2]
    webhook, others = _PORTS.get(name, _PORTS["policy"])
    folder = container.root / _TLS_FOLDER
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        tls.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    except (OSError, ssl.SSLError) as error:
        runtime.log(f"{name}: no certificate in /{_TLS_FOLDER}: {error}")
        return 1
    async with AsyncExitStack() as stack:
        hooks = served(application(), chosen(container.app_sockets, webhook), tls=tls)
        await stack.enter_async_context(hooks)
        admin = served(admin_application(lambda: True), chosen(container.app_sockets, others))
        await stack.enter_async_context(admin)
        runtime.log(f"{name}: answering admission reviews")
        await asyncio.Event().wait()
    return 0
