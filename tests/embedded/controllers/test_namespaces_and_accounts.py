"""Namespaces end in order; every one has its service account and the cluster's CA."""

import base64
from typing import Any

import pytest

from labkit.embedded.kube import KubeClient, KubeError, path_of

NS = "shop"


def secret(name: str, account: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "annotations": {"kubernetes.io/service-account.name": account},
        },
        "type": "kubernetes.io/service-account-token",
    }


async def test_the_default_account_and_the_ca_come_back_when_deleted(cluster, apiserver):
    await cluster.add_namespace(NS)
    for plural, name in (("serviceaccounts", "default"), ("configmaps", "kube-root-ca.crt")):
        path = path_of("v1", plural, NS, name)
        first = await cluster.eventually(lambda path=path: cluster.kube.get(path))
        await cluster.kube.delete(path)

        async def again(path: str = path, uid: str = first["metadata"]["uid"]) -> bool:
            return (await cluster.kube.get(path))["metadata"]["uid"] != uid

        await cluster.eventually(again)
    config_map = await cluster.kube.get(path_of("v1", "configmaps", NS, "kube-root-ca.crt"))
    assert config_map["data"]["ca.crt"] == apiserver.ca_file.read_text()


async def test_a_token_secret_is_filled_with_a_token_that_works(cluster, apiserver):
    await cluster.add_namespace(NS)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    await cluster.create(account, NS)
    await cluster.create(secret("robot-token", "robot"), NS)
    path = path_of("v1", "secrets", NS, "robot-token")

    async def filled() -> Any:
        item = await cluster.kube.get(path)
        return item if "token" in (item.get("data") or {}) else None

    item = await cluster.eventually(filled)
    assert base64.b64decode(item["data"]["namespace"]).decode() == NS
    token = base64.b64decode(item["data"]["token"]).decode()
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    }
    path = path_of("authentication.k8s.io/v1", "tokenreviews")
    status = (await cluster.kube.create(path, review))["status"]
    assert status["authenticated"]
    assert status["user"]["username"] == f"system:serviceaccount:{NS}:robot"

    await cluster.kube.delete(path_of("v1", "serviceaccounts", NS, "robot"))
    await cluster.eventually(lambda: cluster.is_gone("v1", "secrets", NS, "robot-token"))
    async with KubeClient(apiserver.url, token=token, ca_file=apiserver.ca_file) as client:
        with pytest.raises(KubeError) as caught:
            await client.get(path_of("v1", "configmaps", NS, "kube-root-ca.crt"))
    assert caught.value.status == 401


async def test_a_token_secret_of_no_account_goes_away(cluster):
    await cluster.add_namespace(NS)
    await cluster.create(secret("stray", "nobody"), NS)
    await cluster.eventually(lambda: cluster.is_gone("v1", "secrets", NS, "stray"))


async def test_a_namespace_takes_its_content_along(cluster, kubelet):
    await cluster.add_namespace(NS)
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}
    await cluster.create(config_map, NS)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one"},
        "spec": {"containers": [{"name": "a", "image": "app:1"}]},
    }
    await cluster.create(pod, NS)
    await cluster.kube.delete(path_of("v1", "namespaces", None, NS))
    await cluster.eventually(lambda: cluster.is_gone("v1", "namespaces", None, NS))
    assert not await cluster.pods(NS)


async def test_a_finalizer_keeps_a_namespace_and_the_conditions_say_so(cluster):
    await cluster.add_namespace(NS)
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "held", "finalizers": ["lab.example.com/hold"]},
    }
    await cluster.create(held, NS)
    path = path_of("v1", "namespaces", None, NS)
    await cluster.kube.delete(path)

    async def told() -> bool:
        conditions = (await cluster.kube.get(path))["status"].get("conditions") or []
        messages = {c["type"]: c["message"] for c in conditions if c["status"] == "True"}
        return messages == {
            "NamespaceContentRemaining": (
                "Some resources are remaining: configmaps. has 1 resource instances"
            ),
            "NamespaceFinalizersRemaining": (
                "Some content in the namespace has finalizers remaining: "
                "lab.example.com/hold in 1 resource instances"
            ),
        }

    await cluster.eventually(told)
    await cluster.kube.patch(
        path_of("v1", "configmaps", NS, "held"), {"metadata": {"finalizers": None}}
    )
    await cluster.eventually(lambda: cluster.is_gone("v1", "namespaces", None, NS))
