"""What the credentials that a link hands to the other cluster may do there: this, and no more."""

import asyncio
import ssl

import aiohttp
import pytest

from labkit.embedded.kube import KubeClient, KubeError

ACCOUNT = "linkerd-service-mirror-remote-access-default"
NAMESPACE = "linkerd-multicluster"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
READ = {"get", "list", "watch"}
MAY = {
    "/pods": READ,
    "/endpoints": READ,
    "/services": READ,
    "apps/replicasets": READ,
    "batch/jobs": READ,
    "discovery.k8s.io/endpointslices": READ,
    "policy.linkerd.io/servers": READ,
    "/events": {"create", "patch"},
    # everybody who is known may ask about himself
    "authentication.k8s.io/selfsubjectreviews": {"create"},
    "authorization.k8s.io/selfsubjectaccessreviews": {"create"},
    "authorization.k8s.io/selfsubjectrulesreviews": {"create"},
}
VERBS = (
    *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
    *("impersonate", "bind", "escalate"),
)
REFUSED = (
    ("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets"),
    ("GET", "/api/v1/secrets?fieldSelector=metadata.name%3Da"),
    ("GET", "/api/v1/namespaces/linkerd/secrets/linkerd-identity-issuer"),
    ("GET", "/api/v1/namespaces/linkerd/configmaps"),
    ("GET", "/api/v1/namespaces/default/configmaps/linkerd-config-of-mine"),
    ("GET", "/api/v1/namespaces"),
    ("GET", "/api/v1/nodes"),
    ("GET", "/api/v1/serviceaccounts"),
    ("GET", "/apis/apps/v1/deployments"),
    ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles"),
    ("GET", "/apis/multicluster.linkerd.io/v1alpha3/links"),
    ("GET", "/metrics"),
    ("GET", "/logs"),
    ("GET", "/api/v1/namespaces/default/pods/x/log"),
    ("GET", "/api/v1/namespaces/default/pods/x/exec"),
    ("POST", "/api/v1/namespaces/default/pods/x/exec"),
    ("POST", "/api/v1/namespaces/default/pods/x/portforward"),
    ("GET", "/api/v1/namespaces/default/services/x/proxy/"),
    ("GET", "/api/v1/nodes/x/proxy/"),
    ("POST", "/api/v1/namespaces/default/pods"),
    ("POST", "/api/v1/namespaces/default/services"),
    ("POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"),
    ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"),
    ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"),
    ("PUT", "/api/v1/namespaces/default/services/x"),
    ("PATCH", "/api/v1/namespaces/default/endpoints/x"),
    ("PATCH", "/apis/policy.linkerd.io/v1beta3/namespaces/default/servers/x"),
    ("DELETE", "/api/v1/namespaces/default/services"),
    ("DELETE", "/api/v1/namespaces/default/pods/x"),
    ("DELETE", "/api/v1/namespaces/default"),
)


@pytest.fixture
async def mirror(multicluster, apiserver, kube):
    """A client with the account's token."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
    token = (await kube.create(path, {"spec": {}}))["status"]["token"]
    async with KubeClient(apiserver.url, token=token, ca_file=apiserver.ca_file) as client:
        yield client, token


async def test_it_may_do_exactly_what_a_mirror_needs(mirror, kube):
    client, _ = mirror
    resources = set()
    groups = [v["groupVersion"] for g in (await kube.get("/apis"))["groups"] for v in g["versions"]]
    for version in ("v1", *groups):
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        group = version.rpartition("/")[0]
        found = (await kube.get(root))["resources"]
        resources |= {f"{group}/{item['name']}" for item in found}
    assert len(resources) > 60

    few = asyncio.Semaphore(4)

    async def allowed(resource: str, verb: str) -> tuple[str, str] | None:
        group, _, plural = resource.partition("/")
        plural, _, subresource = plural.partition("/")
        attributes = {"group": group, "resource": plural, "verb": verb, "namespace": "default"}
        attributes["subresource"] = subresource
        async with few:
            answer = await client.create(REVIEWS, {"spec": {"resourceAttributes": attributes}})
        return (resource, verb) if answer["status"]["allowed"] else None

    asked = [allowed(resource, verb) for resource in sorted(resources) for verb in VERBS]
    may: dict[str, set[str]] = {}
    for found in await asyncio.gather(*asked):
        if found:
            may.setdefault(found[0], set()).add(found[1])
    assert may == MAY


async def test_it_reads_what_it_mirrors(mirror):
    client, _ = mirror
    for path in (
        "/api/v1/services",
        "/api/v1/endpoints",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "/api/v1/namespaces/linkerd/configmaps/linkerd-config",
    ):
        assert (await client.get(path))["apiVersion"]


async def test_it_is_refused_everything_else(mirror, apiserver):
    _, token = mirror
    context = ssl.create_default_context(cafile=str(apiserver.ca_file))
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(apiserver.url, connector=connector, headers=headers) as web:
        for method, path in REFUSED:
            async with web.request(method, path, json={}) as answer:
                assert answer.status == 403, (method, path, await answer.text())
                who = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
                assert who in (await answer.json())["message"]


async def test_it_cannot_act_as_somebody_else(mirror, apiserver):
    _, token = mirror
    context = ssl.create_default_context(cafile=str(apiserver.ca_file))
    for header, value in (
        ("Impersonate-User", "kubernetes-admin"),
        ("Impersonate-User", f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"),
    ):
        headers = {"Authorization": f"Bearer {token}", header: value}
        headers["Impersonate-Group"] = "system:masters"
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
            session.get(f"{apiserver.url}/api/v1/secrets", headers=headers) as answer,
        ):
            assert answer.status == 403


async def test_it_ends_with_its_account(mirror, kube):
    client, _ = mirror
    await kube.delete(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}")
    with pytest.raises(KubeError) as refused:
        await client.get("/api/v1/services")
    assert refused.value.status == 401
