"""Wrong types in every place a request can hold one: told to the client, never a fault of ours."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

Send = Callable[..., Awaitable[None]]

VALUES = [None, 1, -1, "x", [], {}, [1], [[]], [{}], {"a": 1}, {"name": 1}, {"name": []}, True]
CORE = "/api/v1/namespaces/default"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/d"
POD = {
    "metadata": {"name": "p"},
    "spec": {"nodeName": "n", "containers": [{"name": "a", "image": "b"}]},
}
TEMPLATE = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"containers": [{"name": "a", "image": "b"}]},
}
PATCHES = (
    "json-patch+json",
    "merge-patch+json",
    "strategic-merge-patch+json",
    "apply-patch+yaml",
)
QUERIES = (
    "limit=-1",
    "limit=99999999999999999999999",
    "continue=%00",
    "continue=eyJ9",
    "timeoutSeconds=%C2%B2&watch=1",
    "resourceVersion=%C2%B2",
    "labelSelector=%ff",
    "fieldSelector=a%3D%00",
)
GENUINE = (
    "does not contain declared merge key",
    "target.name: Required value",
    "target.kind: Unsupported value",
    "resourceVersion should not be set on objects to be created",
)
"""A genuine API server answers 500 with these words as well."""


@pytest.fixture
async def send(apiserver, kube) -> AsyncIterator[Send]:
    """Send a request as the administrator; an answer of 500 or more fails the test."""
    context = ssl.create_default_context(cafile=str(apiserver.ca_file))
    async with aiohttp.ClientSession(
        apiserver.url,
        connector=aiohttp.TCPConnector(ssl=context),
        headers={"Authorization": f"Bearer {apiserver.token}"},
    ) as client:

        async def sender(
            method: str, path: str, body: object, kind: str = "application/json"
        ) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = {"Content-Type": kind}
            async with client.request(method, path, data=data, headers=headers) as answer:
                text = await answer.text()
            genuine = any(words in text for words in GENUINE)
            assert answer.status < 500 or genuine, (method, path, data[:200], text)

        yield sender


@pytest.mark.parametrize(
    "option", ["preconditions", "gracePeriodSeconds", "propagationPolicy", "dryRun", "kind"]
)
async def test_delete_options(send: Send, option: str):
    for value in VALUES:
        await send("POST", f"{CORE}/pods", POD)
        await send("DELETE", f"{CORE}/pods/p", {option: value})
        await send("POST", f"{CORE}/configmaps", {"metadata": {"name": "c"}})
        await send("DELETE", f"{CORE}/configmaps/c", {option: value})
    await send("DELETE", f"{CORE}/pods/p?gracePeriodSeconds=%C2%B2", b"")


async def test_subresources_and_reviews(send: Send):
    await send("POST", f"{CORE}/pods", POD)
    for value in VALUES:
        await send("POST", f"{CORE}/pods/p/eviction", {"deleteOptions": value})
        await send("POST", f"{CORE}/pods/p/eviction", {"deleteOptions": {"dryRun": value}})
        await send("POST", f"{CORE}/pods/p/binding", {"target": value})
        await send("PUT", f"{CORE}/finalize", {"spec": value})
        for field in ("audiences", "expirationSeconds", "boundObjectRef"):
            await send("POST", f"{CORE}/serviceaccounts/default/token", {"spec": {field: value}})
        for review in ("subjectaccessreviews", "selfsubjectrulesreviews"):
            await send("POST", f"/apis/authorization.k8s.io/v1/{review}", {"spec": value})
        await send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": value})


@pytest.mark.parametrize("kind", PATCHES)
async def test_patches(send: Send, kind: str):
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
    path = DEPLOYMENT.rpartition("/")[0]
    await send("POST", path, {"metadata": {"name": "d"}, "spec": spec})
    for value in VALUES:
        bodies = [
            value,
            {"metadata": value},
            {"spec": value},
            {"metadata": {"managedFields": value}},
            {"spec": {"template": {"spec": {"containers": value}}}},
            {"spec": {"template": {"spec": {"$setElementOrder/containers": value}}}},
            {"$patch": value},
            [{"op": "add", "path": value, "value": value}],
        ]
        for body in bodies:
            for tail in ("", "/status", "/scale"):
                where = f"{DEPLOYMENT}{tail}?fieldManager=x"
                await send("PATCH", where, body, f"application/{kind}")


async def test_selectors_of_workloads(send: Send):
    path = DEPLOYMENT.rpartition("/")[0]
    for expression in ({}, {"(": False}, {"key": ""}, {"key": "a"}, {"operator": "In"}):
        selector = {"matchLabels": {"a": "b"}, "matchExpressions": [expression]}
        body = {"metadata": {"name": "d"}, "spec": {"selector": selector, "template": TEMPLATE}}
        await send("POST", path, body)


async def test_new_objects(send: Send):
    rbac = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for value in VALUES:
        for field in ("rules", "aggregationRule", "metadata"):
            await send("POST", rbac, {"metadata": {"generateName": "x"}, field: value})
        for field in ("names", "versions", "group", "scope"):
            await send("POST", crds, {"metadata": {"name": "a.b.c"}, "spec": {field: value}})
        for field in ("clusterIP", "clusterIPs", "ports", "type", "selector"):
            body = {"metadata": {"generateName": "s"}, "spec": {"ports": [{"port": 1}]}}
            body["spec"][field] = value
            await send("POST", f"{CORE}/services", body)


@pytest.mark.parametrize("query", QUERIES)
async def test_queries(send: Send, query: str):
    await send("GET", f"/api/v1/pods?{query}&timeoutSeconds=1", b"")
