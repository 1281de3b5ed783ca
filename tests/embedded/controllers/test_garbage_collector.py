"""Owners and what belongs to them."""

from typing import Any

from labkit.embedded.kube import path_of

NS = "shop"


async def family(cluster: Any, *, block: bool = True) -> dict[str, Any]:
    """An owner called parent and a dependent called child, both ConfigMaps."""
    await cluster.add_namespace(NS)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "parent"}}
    parent = await cluster.create(body, NS)
    await add_child(cluster, parent, "child", block=block)
    return parent


async def add_child(
    cluster: Any, parent: dict[str, Any], name: str, *, block: bool = True, **metadata: Any
) -> dict[str, Any]:
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": parent["metadata"]["name"],
        "uid": parent["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": block,
    }
    metadata = {"name": name, "ownerReferences": [reference], **metadata}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    return await cluster.create(body, NS)


async def remove(cluster: Any, policy: str, name: str = "parent") -> None:
    path = path_of("v1", "configmaps", NS, name)
    await cluster.kube.delete(path, propagationPolicy=policy)


async def test_dependents_follow_in_the_background(cluster):
    parent = await family(cluster)
    child = await cluster.kube.get(path_of("v1", "configmaps", NS, "child"))
    await add_child(cluster, child, "grandchild")
    assert parent["metadata"]["uid"]
    await remove(cluster, "Background")
    for name in ("child", "grandchild"):
        await cluster.eventually(lambda name=name: cluster.is_gone("v1", "configmaps", NS, name))


async def test_in_the_foreground_the_owner_goes_last(cluster):
    parent = await family(cluster)
    await add_child(cluster, parent, "held", finalizers=["lab.example.com/hold"])
    await remove(cluster, "Foreground")
    await cluster.eventually(lambda: cluster.is_gone("v1", "configmaps", NS, "child"))
    owner = await cluster.kube.get(path_of("v1", "configmaps", NS, "parent"))
    assert owner["metadata"]["finalizers"] == ["foregroundDeletion"]
    body = {"metadata": {"finalizers": None}}
    await cluster.kube.patch(path_of("v1", "configmaps", NS, "held"), body)
    await cluster.eventually(lambda: cluster.is_gone("v1", "configmaps", NS, "parent"))


async def test_orphans_stay_without_their_tie(cluster):
    await family(cluster)
    await remove(cluster, "Orphan")
    await cluster.eventually(lambda: cluster.is_gone("v1", "configmaps", NS, "parent"))
    child = await cluster.kube.get(path_of("v1", "configmaps", NS, "child"))
    assert "ownerReferences" not in child["metadata"]
    assert "deletionTimestamp" not in child["metadata"]


async def test_one_owner_left_is_enough_to_stay(cluster):
    parent = await family(cluster)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}
    other = await cluster.create(body, NS)
    references = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": item["metadata"]["uid"]}
        for name, item in (("parent", parent), ("other", other))
    ]
    path = path_of("v1", "configmaps", NS, "child")
    await cluster.kube.patch(path, {"metadata": {"ownerReferences": references}})
    await remove(cluster, "Background")

    async def untied() -> bool:
        metadata = (await cluster.kube.get(path))["metadata"]
        return [r["name"] for r in metadata["ownerReferences"]] == ["other"]

    await cluster.eventually(untied)


async def test_an_object_whose_owner_never_was_goes_away(cluster):
    await cluster.add_namespace(NS)
    ghost = {"metadata": {"name": "ghost", "uid": "00000000-0000-4000-8000-000000000000"}}
    await add_child(cluster, ghost, "child")
    await cluster.eventually(lambda: cluster.is_gone("v1", "configmaps", NS, "child"))
