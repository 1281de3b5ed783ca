"""Lists: pages, selectors, versions; deletions that wait; custom resources."""

import asyncio

import pytest

from labkit.embedded.kube import KubeClient, KubeError, path_of

MAPS = path_of("v1", "configmaps", "default")
CRDS = path_of("apiextensions.k8s.io/v1", "customresourcedefinitions")
LINKS = path_of("lab.example.com/v1", "links", "default")


def names(found: dict) -> list[str]:
    return [item["metadata"]["name"] for item in found["items"]]


async def test_pages_show_the_state_of_the_first_page(kube: KubeClient):
    for number in range(5):
        await kube.create(MAPS, {"metadata": {"name": f"m{number}"}})
    first = await kube.list(MAPS, limit=2)
    assert names(first) == ["m0", "m1"]
    assert first["metadata"]["remainingItemCount"] == 3
    await kube.create(MAPS, {"metadata": {"name": "m9"}})
    await kube.delete(f"{MAPS}/m3")
    query = {"limit": 9, "continue": first["metadata"]["continue"]}
    assert names(await kube.list(MAPS, **query)) == ["m2", "m3", "m4"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"labelSelector": "app in (web,api),!old"}, ["a", "b"]),
        ({"labelSelector": "app!=web"}, ["b", "c"]),
        ({"fieldSelector": "metadata.name=c"}, ["c"]),
    ],
)
async def test_selectors_choose(kube: KubeClient, query, expected):
    for name, labels in (("a", {"app": "web"}), ("b", {"app": "api"}), ("c", {"old": "yes"})):
        await kube.create(MAPS, {"metadata": {"name": name, "labels": labels}})
    assert names(await kube.list(MAPS, **query)) == expected


async def test_an_object_with_a_finalizer_waits_for_it(kube: KubeClient):
    metadata = {"name": "a", "finalizers": ["lab.example.com/hold"]}
    await kube.create(MAPS, {"metadata": metadata})
    held = await kube.delete(f"{MAPS}/a")
    assert held["metadata"]["deletionTimestamp"]
    await kube.patch(f"{MAPS}/a", {"metadata": {"finalizers": None}})
    with pytest.raises(KubeError) as gone:
        await kube.get(f"{MAPS}/a")
    assert gone.value.status == 404


async def test_a_pod_on_a_node_stays_until_its_grace_is_over(kube: KubeClient):
    pods = path_of("v1", "pods", "default")
    spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "x"}]}
    await kube.create(pods, {"metadata": {"name": "p"}, "spec": spec})
    assert (await kube.delete(f"{pods}/p"))["metadata"]["deletionGracePeriodSeconds"] == 30
    assert (await kube.get(f"{pods}/p"))["metadata"]["deletionTimestamp"]
    await kube.delete(f"{pods}/p", {"gracePeriodSeconds": 0})
    assert names(await kube.list(pods)) == []


def definition(**schema) -> dict:
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": schema}}},
    }
    names = {"plural": "links", "singular": "link", "kind": "Link", "shortNames": ["lk"]}
    spec = {"group": "lab.example.com", "scope": "Namespaced", "names": names}
    return {"metadata": {"name": "links.lab.example.com"}, "spec": spec | {"versions": [version]}}


async def test_a_definition_is_served_with_its_schema_until_it_is_deleted(kube: KubeClient):
    properties = {"target": {"type": "string"}, "weight": {"type": "integer", "default": 3}}
    await kube.create(CRDS, definition(type="object", properties=properties))
    made = await kube.create(
        LINKS,
        {
            "apiVersion": "lab.example.com/v1",
            "kind": "Link",
            "metadata": {"name": "east"},
            "spec": {"target": "east", "unknown": 1},
        },
    )
    assert made["spec"] == {"target": "east", "weight": 3}
    bad = {"metadata": {"name": "x"}, "spec": {"target": 5}}
    with pytest.raises(KubeError) as refused:
        await kube.create(LINKS, bad | {"apiVersion": "lab.example.com/v1", "kind": "Link"})
    assert refused.value.status == 422
    with pytest.raises(KubeError, match="Object 'Kind' is missing in") as refused:
        await kube.create(LINKS, {"apiVersion": "lab.example.com/v1", "metadata": {"name": "x"}})
    assert refused.value.status == 400
    resources = await kube.get("/apis/lab.example.com/v1")
    assert [entry["name"] for entry in resources["resources"]] == ["links"]
    await kube.delete(f"{CRDS}/links.lab.example.com")
    async with asyncio.timeout(10):
        while "lab.example.com" in str(await kube.get("/apis")):
            await asyncio.sleep(0.02)


async def test_a_restarted_server_serves_the_same_objects_and_definitions(apiserver, kube):
    await kube.create(CRDS, definition(type="object"))
    link = {"apiVersion": "lab.example.com/v1", "kind": "Link", "metadata": {"name": "east"}}
    before = await kube.create(LINKS, link)
    await apiserver.server.stop()
    again = type(apiserver.server)(apiserver.config)
    await again.start()
    async with KubeClient(again.url, token=apiserver.token, ca_file=apiserver.ca_file) as client:
        assert (await client.get(f"{LINKS}/east")) == before
        after = await client.create(MAPS, {"metadata": {"name": "a"}})
    version = int(after["metadata"]["resourceVersion"])
    assert version > int(before["metadata"]["resourceVersion"])
    await again.stop()
