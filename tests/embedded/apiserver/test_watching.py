"""A watch tells everything that happens, in order, and says when it cannot."""

import asyncio
import contextlib

import pytest

from labkit.embedded.kube import KubeClient, KubeError

MAPS = "/api/v1/namespaces/default/configmaps"


async def take(stream, count: int) -> list[tuple[str, str]]:
    found = []
    async with asyncio.timeout(20):
        async for event in stream:
            found.append((event["type"], event["object"]["metadata"].get("name", "")))
            if len(found) == count:
                break
    return found


async def test_changes_after_a_version_arrive_in_order(kube: KubeClient):
    version = (await kube.list(MAPS))["metadata"]["resourceVersion"]
    await kube.create(MAPS, {"metadata": {"name": "a"}})
    stream = kube.watch(MAPS, resource_version=version)
    task = asyncio.create_task(take(stream, 3))
    await kube.patch(f"{MAPS}/a", {"data": {"x": "1"}})
    await kube.delete(f"{MAPS}/a")
    assert await task == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_an_object_that_leaves_the_selector_is_shown_as_deleted(kube: KubeClient):
    made = await kube.create(MAPS, {"metadata": {"name": "a", "labels": {"w": "1"}}})
    version = made["metadata"]["resourceVersion"]
    await kube.patch(f"{MAPS}/a", {"metadata": {"labels": {"w": "2"}}})
    await kube.patch(f"{MAPS}/a", {"metadata": {"labels": {"w": "1"}}})
    stream = kube.watch(MAPS, resource_version=version, labelSelector="w=1")
    assert await take(stream, 2) == [("DELETED", "a"), ("ADDED", "a")]


async def test_a_version_that_is_forgotten_is_410(kube: KubeClient):
    with pytest.raises(KubeError) as refused:
        await take(kube.watch(MAPS, resource_version="1"), 1)
    assert refused.value.status == 410


async def test_fifty_watchers_hear_of_every_write(kube: KubeClient):
    version = (await kube.list(MAPS))["metadata"]["resourceVersion"]
    tasks = [
        asyncio.create_task(take(kube.watch(MAPS, resource_version=version), 20)) for _ in range(50)
    ]
    for number in range(20):
        await kube.create(MAPS, {"metadata": {"name": f"m{number:02}"}})
    expected = [("ADDED", f"m{number:02}") for number in range(20)]
    for found in await asyncio.gather(*tasks):
        assert found == expected


async def test_a_client_that_reads_late_gets_everything_in_order(kube: KubeClient):
    """Ten megabytes: more than the buffers between both ends hold."""
    version = (await kube.list(MAPS))["metadata"]["resourceVersion"]
    stream = kube.watch(MAPS, resource_version=version)
    await kube.create(MAPS, {"metadata": {"name": "first"}})
    assert await anext(stream)
    for number in range(50):
        body = {"metadata": {"name": f"m{number:02}"}, "data": {"x": "x" * 200_000}}
        await kube.create(MAPS, body)
    assert await take(stream, 50) == [("ADDED", f"m{number:02}") for number in range(50)]
    await stream.aclose()


async def test_a_stopped_server_ends_its_watches_at_once(apiserver, kube: KubeClient):
    version = (await kube.list(MAPS))["metadata"]["resourceVersion"]

    async def follow() -> int:
        return len([event async for event in kube.watch(MAPS, resource_version=version)])

    task = asyncio.create_task(follow())
    await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        await apiserver.server.stop()
        with contextlib.suppress(KubeError):  # a broken connection is as good
            assert await task == 0
