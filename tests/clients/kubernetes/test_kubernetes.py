"""The adapter over the official client, against a real API server."""

import asyncio
from asyncio import to_thread

import pytest

from labkit.clients.kubernetes import Kubernetes, is_ready
from labkit.clients.rollouts import rollout_state, wait_for, wait_gone, wait_rollout
from labkit.errors import KubernetesError, LabkitError, WaitTimeout

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop, labels: {app: shop}}
data: {colour: blue}
---
apiVersion: example.org/v1
kind: Fruit
metadata: {name: apple, namespace: shop}
spec: {sweet: true}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: fruits.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: fruits, singular: fruit, kind: Fruit}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
"""


async def test_manifests_are_applied_in_an_order_the_cluster_can_take(west):
    told: list[str] = []
    applied = await to_thread(west.apply, MANIFEST, progress=told.append)
    assert applied[:2] == ("Namespace shop", "CustomResourceDefinition fruits.example.org")
    assert list(applied) == told
    again = await to_thread(west.apply, MANIFEST)
    assert again == applied
    fruit = await to_thread(west.require, "example.org/v1", "Fruit", "apple", "shop")
    assert fruit["spec"] == {"sweet": True}
    assert fruit["metadata"]["managedFields"][0]["manager"] == "labkit"


async def test_every_refused_object_is_told_and_the_others_are_applied(west):
    bad = MANIFEST.replace("colour: blue", "colour: [1]")
    with pytest.raises(KubernetesError, match=r"1 of 4 objects") as caught:
        await to_thread(west.apply, bad)
    assert "ConfigMap shop/settings" in caught.value.seen
    assert await to_thread(west.get, "example.org/v1", "Fruit", "apple", "shop")


async def test_what_does_not_exist_is_none_or_an_error_as_asked(west):
    assert await to_thread(west.get, "v1", "ConfigMap", "absent", "default") is None
    assert await to_thread(west.get, "example.org/v9", "Nothing", "absent", "default") is None
    assert await to_thread(west.list, "example.org/v9", "Nothing") == []
    with pytest.raises(KubernetesError) as caught:
        await to_thread(west.require, "v1", "ConfigMap", "absent", "default")
    assert (caught.value.status, caught.value.reason) == (404, "NotFound")
    assert "ConfigMap default/absent in west" in str(caught.value)


async def test_lists_select_by_label_and_carry_their_kind(west):
    await to_thread(west.apply, MANIFEST)
    found = await to_thread(west.list, "v1", "ConfigMap", "shop", labels="app=shop")
    assert [(i["kind"], i["metadata"]["name"]) for i in found] == [("ConfigMap", "settings")]
    assert await to_thread(west.list, "v1", "ConfigMap", "shop", labels="app=none") == []
    everywhere = await to_thread(west.list, "v1", "Namespace")
    assert "shop" in {item["metadata"]["name"] for item in everywhere}


async def test_objects_are_patched_and_deleted(west):
    await to_thread(west.apply, MANIFEST)
    body = {"metadata": {"labels": {"mirror.linkerd.io/exported": "true"}}}
    changed = await to_thread(west.patch, "v1", "ConfigMap", "settings", "shop", body=body)
    assert changed["metadata"]["labels"]["mirror.linkerd.io/exported"] == "true"
    assert await to_thread(west.delete, "v1", "ConfigMap", "settings", "shop")
    assert not await to_thread(west.delete, "v1", "ConfigMap", "settings", "shop")
    await to_thread(wait_gone, west, "v1", "ConfigMap", "settings", "shop", timeout_s=5)


async def test_manifests_are_deleted_in_reverse_order(west):
    await to_thread(west.apply, MANIFEST)
    gone = await to_thread(west.delete_all, MANIFEST)
    assert gone[-1] == "Namespace shop"
    assert gone[0] == "Fruit shop/apple"


async def test_a_bad_credential_is_told_without_showing_it(apiserver, kube, tmp_path):
    path = tmp_path / "stranger"
    path.write_text(apiserver.kubeconfig.read_text().replace(apiserver.token, "not-the-token"))
    stranger = await to_thread(Kubernetes, path, "west")
    with pytest.raises(KubernetesError) as caught:
        await to_thread(stranger.list, "v1", "Node")
    stranger.close()
    await asyncio.sleep(0.05)
    assert caught.value.status == 401
    assert "credential" in caught.value.fix
    assert "not-the-token" not in str(caught.value) + repr(caught.value)


def test_a_server_that_is_gone_is_told_at_once(tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(
        '{"clusters": [{"name": "west", "cluster": {"server": "https://127.0.0.1:1"}}],'
        '"users": [{"name": "u", "user": {"token": "t"}}], "current-context": "west",'
        '"contexts": [{"name": "west", "context": {"cluster": "west", "user": "u"}}]}'
    )
    with pytest.raises(KubernetesError, match=r"no answer from https://127\.0\.0\.1:1") as caught:
        Kubernetes(path, "west").version()
    assert caught.value.status is None


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_kubeconfig_that_leads_nowhere_is_told(tmp_path, name):
    (tmp_path / "empty").write_text("{}")
    with pytest.raises(KubernetesError, match="does not lead to a cluster"):
        Kubernetes(tmp_path / name, "west")


async def test_logs_are_read_through_the_node(west, kubelet):
    await kubelet.pod("shop", "web-1")
    text = await to_thread(west.logs, "web-1", "shop", container="app", tail=3)
    assert text == "app says tailLines=3\n"


async def test_a_port_of_a_deployment_is_reached_and_the_connection_is_kept(
    west, kubelet, answering
):
    seen: list[str] = []

    def big(request):
        seen.append(request.query_string)
        return "x" * 300_000

    await kubelet.deployment("shop", "web", {8080: answering(big=big)})

    def twice() -> list[int]:
        sizes = []
        with west.forward("shop", "deploy/web", 8080) as connection:
            for number in (1, 2):
                connection.request("GET", f"/big?{number}")
                sizes.append(len(connection.getresponse().read()))
        return sizes

    assert await to_thread(twice) == [300_000, 300_000]
    assert seen == ["1", "2"]


async def test_a_port_nobody_listens_on_is_told(west, kubelet):
    await kubelet.pod("shop", "web-1")

    def ask() -> None:
        with west.forward("shop", "web-1", 9) as connection:
            connection.request("GET", "/")
            connection.getresponse()

    with pytest.raises(KubernetesError, match="Pod shop/web-1 port 9") as caught:
        await to_thread(ask)
    assert "connection refused" in caught.value.seen


async def test_a_deployment_without_a_ready_pod_is_told(west, kubelet, kube):
    await kubelet.deployment("shop", "web", {})
    body = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    await kube.patch("/api/v1/namespaces/shop/pods/web-1/status", body)
    with pytest.raises(LabkitError, match="no ready pod"):
        await to_thread(west.pod_of, "shop", "deploy/web")


async def test_a_rollout_that_does_not_come_names_what_is_missing(west, kubelet):
    await kubelet.deployment("shop", "web", {})
    with pytest.raises(WaitTimeout) as caught:
        await to_thread(wait_rollout, west, "shop", ["web", "bot"], timeout_s=0.2)
    assert "bot: does not exist" in caught.value.seen
    assert "web: not yet seen by the controller" in caught.value.seen


async def test_a_rollout_ends_when_all_replicas_are_available(west, kubelet, kube):
    await kubelet.deployment("shop", "web", {})
    waiting = asyncio.create_task(to_thread(wait_rollout, west, "shop", ["web"], timeout_s=10))
    status = {
        "observedGeneration": 1,
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": 1,
        "availableReplicas": 1,
    }
    await kube.patch("/apis/apps/v1/namespaces/shop/deployments/web/status", {"status": status})
    await waiting


def test_old_pods_keep_a_rollout_open():
    deployment = {
        "metadata": {"generation": 2},
        "spec": {"replicas": 1},
        "status": {
            "observedGeneration": 2,
            "replicas": 2,
            "updatedReplicas": 1,
            "availableReplicas": 1,
        },
    }
    assert rollout_state(deployment) == (False, "1 of 1 available, 1 old")


def test_a_wait_survives_a_server_that_restarts_but_not_a_refusal():
    looks = iter([KubernetesError("no answer"), KubernetesError("busy", status=503)])

    def look() -> tuple[bool, str]:
        for error in looks:
            raise error
        return True, "there"

    assert wait_for(look, what="it", timeout_s=5) == "there"

    def refused() -> tuple[bool, str]:
        raise KubernetesError("forbidden", status=403)

    with pytest.raises(KubernetesError, match="forbidden"):
        wait_for(refused, what="it", timeout_s=5)


def test_a_pod_on_its_way_out_is_not_ready():
    pod = {"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert is_ready(pod)
    assert not is_ready({**pod, "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
