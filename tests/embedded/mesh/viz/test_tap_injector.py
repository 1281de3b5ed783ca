"""The tap injector: AdmissionReview in, JSON patch out, over HTTPS."""

import base64
import json
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import jsonpatch

from labkit.certs import create_issuer, create_leaf, create_root, write_credential
from labkit.embedded.kube import KubeClient, path_of
from labkit.embedded.mesh.viz import tap_injector

IDENTITY = "tap.linkerd-viz.serviceaccount.identity.linkerd.cluster.local"
Start = Callable[[Any, int], Awaitable[str]]


def patched(pod: dict[str, Any]) -> dict[str, Any]:
    return jsonpatch.apply_patch(pod, tap_injector.tap_patch(pod, IDENTITY))


def test_a_meshed_pod_becomes_tappable(helpers: type) -> None:
    pod = patched(helpers.make_pod(tappable=False))
    assert pod["metadata"]["annotations"]["viz.linkerd.io/tap-enabled"] == "true"
    proxy = pod["spec"]["initContainers"][0]
    assert proxy["env"] == [{"name": "LINKERD2_PROXY_TAP_SVC_NAME", "value": IDENTITY}]


def test_the_proxys_environment_is_kept(helpers: type) -> None:
    pod = helpers.make_pod(tappable=False)
    pod["spec"]["initContainers"][0]["env"] = [{"name": "A", "value": "1"}]
    assert [e["name"] for e in patched(pod)["spec"]["initContainers"][0]["env"]] == [
        "A",
        "LINKERD2_PROXY_TAP_SVC_NAME",
    ]


def test_a_proxy_among_the_containers_is_found_and_missing_annotations_are_made() -> None:
    pod = {"metadata": {}, "spec": {"containers": [{"name": "app"}, {"name": "linkerd-proxy"}]}}
    result = patched(pod)
    assert result["spec"]["containers"][1]["env"]
    assert result["metadata"]["annotations"] == {"viz.linkerd.io/tap-enabled": "true"}


def test_unmeshed_tappable_and_unwilling_pods_are_left_alone(helpers: type) -> None:
    unmeshed = helpers.make_pod(tappable=False)
    unmeshed["spec"]["initContainers"] = []
    unwilling = helpers.make_pod(tappable=False)
    unwilling["metadata"]["annotations"]["viz.linkerd.io/disable-tap"] = "true"
    for pod in (unmeshed, unwilling, helpers.make_pod()):
        assert tap_injector.tap_patch(pod, IDENTITY) == []


async def test_the_webhook_answers_over_https_and_heeds_the_namespace(
    container: Any,
    kube: KubeClient,
    start: Start,
    session: aiohttp.ClientSession,
    helpers: type,
) -> None:
    folder = container.root / tap_injector.CERTIFICATES
    folder.mkdir(parents=True)
    root = create_root("webhook")
    leaf = create_leaf(create_issuer(root), dns_names=["localhost"], ip_addresses=["127.0.0.1"])
    write_credential(leaf, folder / "tls.crt", folder / "tls.key")
    url = (await start(tap_injector.run, tap_injector.PORT)).replace("http:", "https:")
    trust = ssl.create_default_context(cadata=root.certificate.decode())
    pod = helpers.make_pod(tappable=False)
    review = {"request": {"uid": "1", "namespace": "emojivoto", "object": pod}}

    async def ask() -> dict[str, Any]:
        async with session.post(url, json=review, ssl=trust) as response:
            assert response.status == 200
            return (await response.json())["response"]

    answer = await ask()
    assert answer["uid"] == "1"
    assert answer["allowed"]
    assert answer["patchType"] == "JSONPatch"
    patch = json.loads(base64.b64decode(answer["patch"]))
    assert jsonpatch.apply_patch(pod, patch)["metadata"]["annotations"][
        "viz.linkerd.io/tap-enabled"
    ]
    body = {"metadata": {"annotations": {"viz.linkerd.io/disable-tap": "true"}}}
    await kube.patch(path_of("v1", "namespaces", name="emojivoto"), body)
    assert "patch" not in await ask()
