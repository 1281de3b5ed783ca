"""Admission webhooks are asked over HTTPS, through a Service, and obeyed."""

import base64
import json
import ssl
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from labkit.certs import Credential, create_leaf, create_root, write_credential
from labkit.embedded.kube import KubeClient, KubeError, path_of

HOOKS = path_of("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations")
MAPS = path_of("v1", "configmaps", "default")


class Injector:
    """A webhook that labels everything and refuses what is named `evil`."""

    def __init__(self) -> None:
        self.reviews: list[dict] = []

    async def handle(self, request: web.Request) -> web.Response:
        review = await request.json()
        self.reviews.append(review["request"])
        answer: dict = {"uid": review["request"]["uid"], "allowed": True}
        if review["request"]["name"] == "evil":
            answer |= {"allowed": False, "status": {"message": "no evil here"}}
        else:
            patch = [{"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}}]
            answer |= {
                "patchType": "JSONPatch",
                "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
            }
        return web.json_response(
            {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": answer}
        )


@pytest.fixture
def hook_ca() -> Credential:
    return create_root("hook-ca")


@pytest.fixture
async def injector(tmp_path, hook_ca, kube: KubeClient) -> AsyncIterator[Injector]:
    """The webhook behind Service `injector`, its pod with the annotation that the node writes."""
    leaf = create_leaf(hook_ca, dns_names=["injector.default.svc"])
    write_credential(leaf, tmp_path / "h.crt", tmp_path / "h.key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "h.crt", tmp_path / "h.key")
    injector = Injector()
    app = web.Application()
    app.router.add_post("/mutate", injector.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    await expose(kube, port)
    yield injector
    await runner.cleanup()


async def expose(kube: KubeClient, port: int) -> None:
    await kube.create(
        path_of("v1", "pods", "default"),
        {
            "metadata": {
                "name": "injector",
                "labels": {"app": "injector"},
                "annotations": {
                    "network.labkit.dev/app-sockets": json.dumps({"8443": f"127.0.0.1:{port}"})
                },
            },
            "spec": {"containers": [{"name": "c", "image": "x"}]},
        },
    )
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    await kube.patch(
        path_of("v1", "pods", "default", "injector", "status"), {"status": ready}, kind="merge"
    )
    await kube.create(
        path_of("v1", "services", "default"),
        {
            "metadata": {"name": "injector"},
            "spec": {
                "selector": {"app": "injector"},
                "ports": [{"port": 443, "targetPort": 8443}],
            },
        },
    )


def configuration(ca: Credential, **changes) -> dict:
    hook = {
        "name": "inject.lab.example.com",
        "clientConfig": {
            "service": {"name": "injector", "namespace": "default", "path": "/mutate"},
            "caBundle": base64.b64encode(ca.certificate).decode(),
        },
        "rules": [
            {
                "operations": ["CREATE"],
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["configmaps"],
            }
        ],
        "namespaceSelector": {
            "matchExpressions": [{"key": "skip", "operator": "NotIn", "values": ["yes"]}]
        },
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 5,
    }
    return {"metadata": {"name": "injector"}, "webhooks": [hook | changes]}


async def test_a_webhook_changes_what_is_created(kube: KubeClient, injector, hook_ca):
    await kube.create(HOOKS, configuration(hook_ca))
    made = await kube.create(MAPS, {"metadata": {"name": "a"}})
    assert made["metadata"]["labels"] == {"seen": "yes"}
    (review,) = injector.reviews
    assert review["operation"] == "CREATE"
    assert review["userInfo"]["username"] == "west-admin"
    assert review["namespace"] == "default"


async def test_a_webhook_refuses(kube: KubeClient, injector, hook_ca):
    await kube.create(HOOKS, configuration(hook_ca))
    with pytest.raises(KubeError) as refused:
        await kube.create(MAPS, {"metadata": {"name": "evil"}})
    assert refused.value.status == 403
    assert "no evil here" in refused.value.body["message"]


async def test_a_namespace_that_is_not_selected_is_left_alone(kube, injector, hook_ca):
    await kube.create(HOOKS, configuration(hook_ca))
    quiet = {"metadata": {"name": "quiet", "labels": {"skip": "yes"}}}
    await kube.create("/api/v1/namespaces", quiet)
    made = await kube.create(path_of("v1", "configmaps", "quiet"), {"metadata": {"name": "a"}})
    assert "labels" not in made["metadata"]
    assert injector.reviews == []


async def test_a_certificate_of_another_ca_is_a_failure_of_the_webhook(kube, injector):
    await kube.create(HOOKS, configuration(create_root("stranger")))
    with pytest.raises(KubeError) as refused:
        await kube.create(MAPS, {"metadata": {"name": "a"}})
    assert refused.value.status == 500
    assert "certificate" in refused.value.body["message"]
    assert injector.reviews == []


async def test_failure_policy_ignore_lets_the_request_pass(kube: KubeClient, hook_ca):
    await kube.create(HOOKS, configuration(hook_ca, failurePolicy="Ignore"))
    made = await kube.create(MAPS, {"metadata": {"name": "a"}})
    assert "labels" not in made["metadata"]
