"""Objects are created, read, replaced, patched, listed and deleted over the wire."""

import pytest

from labkit.embedded.apiserver import strategies
from labkit.embedded.kube import KubeClient, KubeError, path_of

MAPS = path_of("v1", "configmaps", "default")


async def test_a_new_cluster_has_its_namespaces_and_its_service(kube: KubeClient):
    names = [n["metadata"]["name"] for n in (await kube.list("/api/v1/namespaces"))["items"]]
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
    service = await kube.get("/api/v1/namespaces/default/services/kubernetes")
    assert service["spec"]["clusterIP"] == "10.96.0.1"


async def test_an_object_lives_through_create_replace_patch_and_delete(kube: KubeClient):
    made = await kube.create(MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}})
    assert made["kind"] == "ConfigMap"
    made["data"]["x"] = "2"
    changed = await kube.replace(f"{MAPS}/a", made)
    assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    with pytest.raises(KubeError) as stale:
        await kube.replace(f"{MAPS}/a", made)
    assert stale.value.status == 409
    patched = await kube.patch(f"{MAPS}/a", {"data": {"y": "3"}})
    assert patched["data"] == {"x": "2", "y": "3"}
    await kube.delete(f"{MAPS}/a")
    with pytest.raises(KubeError) as gone:
        await kube.get(f"{MAPS}/a")
    assert gone.value.status == 404


async def test_a_patch_that_changes_nothing_keeps_the_version(kube: KubeClient):
    made = await kube.create(MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}})
    same = await kube.patch(f"{MAPS}/a", {"data": {"x": "1"}})
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_nobody_owns_what_admission_and_the_server_add(kube: KubeClient):
    await kube.create(path_of("v1", "serviceaccounts", "default"), {"metadata": {"name": "robot"}})
    pod = {
        "metadata": {"name": "a"},
        "spec": {"serviceAccountName": "robot", "containers": [{"name": "c", "image": "x"}]},
    }
    made = await kube.create(path_of("v1", "pods", "default"), pod)
    assert made["spec"]["volumes"][0]["name"].startswith("kube-api-access-")
    owned = made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]
    assert "f:serviceAccountName" in owned
    assert "f:volumes" not in owned
    service = {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}
    made = await kube.create(path_of("v1", "services", "default"), service)
    owned = made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]
    assert made["spec"]["clusterIP"]
    assert "f:clusterIP" not in owned


async def test_a_generated_name_that_somebody_has_is_drawn_again(kube: KubeClient, monkeypatch):
    draws = iter([*["aaaaa"] * 7, "bbbbb", *["aaaaa"] * 8])
    monkeypatch.setattr(strategies.random, "choices", lambda *_, **__: next(draws))
    await kube.create(MAPS, {"metadata": {"name": "g-aaaaa"}})
    made = await kube.create(MAPS, {"metadata": {"generateName": "g-"}})
    assert made["metadata"]["name"] == "g-bbbbb"
    with pytest.raises(KubeError, match="already exists"):
        await kube.create(MAPS, {"metadata": {"generateName": "g-"}})


async def test_a_replace_without_generate_name_drops_it(kube: KubeClient):
    made = await kube.create(MAPS, {"metadata": {"generateName": "a-"}})
    path = f"{MAPS}/{made['metadata']['name']}"
    assert made["metadata"]["generateName"] == "a-"
    patched = await kube.patch(path, {"data": {"x": "1"}})
    assert patched["metadata"]["generateName"] == "a-"
    del patched["metadata"]["generateName"]
    replaced = await kube.replace(path, patched)
    assert "generateName" not in replaced["metadata"]


def job(**spec):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}
    return {"metadata": {"name": "once"}, "spec": {"template": template, **spec}}


async def test_a_job_selects_its_own_pods(kube: KubeClient):
    made = await kube.create(path_of("batch/v1", "jobs", "default"), job())
    uid = made["metadata"]["uid"]
    own = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": "once",
        "controller-uid": uid,
        "job-name": "once",
    }
    spec = made["spec"]
    assert spec["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert spec["template"]["metadata"]["labels"] == own
    assert made["metadata"]["labels"] == own


async def test_a_job_with_a_selector_of_its_own_keeps_it(kube: KubeClient):
    template = {**job()["spec"]["template"], "metadata": {"labels": {"app": "x"}}}
    given = {"matchLabels": {"app": "x"}}
    body = job(manualSelector=True, selector=given, template=template)
    made = await kube.create(path_of("batch/v1", "jobs", "default"), body)
    assert made["spec"]["selector"] == given
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "x"}
