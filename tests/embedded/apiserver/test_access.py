"""Who gets in, who is refused, and how that reads."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest

from labkit.certs import create_leaf, create_root, write_credential
from labkit.embedded.kube import KubeClient, KubeError, path_of


@pytest.fixture
async def web(apiserver) -> AsyncIterator[aiohttp.ClientSession]:
    trust = ssl.create_default_context(cadata=apiserver.ca.certificate.decode())
    connector = aiohttp.TCPConnector(ssl=trust)
    async with aiohttp.ClientSession(apiserver.url, connector=connector) as session:
        yield session


def client_context(apiserver, tmp_path, issuer, *, name="carol", groups=()) -> ssl.SSLContext:
    leaf = create_leaf(
        issuer,
        common_name=name,
        organizations=groups,
        valid_for=timedelta(hours=1),
        server=False,
    )
    write_credential(leaf, tmp_path / "c.crt", tmp_path / "c.key")
    context = ssl.create_default_context(cadata=apiserver.ca.certificate.decode())
    context.load_cert_chain(tmp_path / "c.crt", tmp_path / "c.key")
    return context


async def test_health_and_version_are_for_everybody(web):
    for path in ("/healthz", "/livez", "/readyz", "/version"):
        async with web.get(path) as answer:
            assert answer.status == 200


async def test_nobody_is_forbidden_everything_else(web):
    async with web.get("/api/v1/pods") as answer:
        assert answer.status == 403
        assert "system:anonymous" in (await answer.json())["message"]


async def test_a_wrong_token_is_401(web):
    async with web.get("/healthz", headers={"Authorization": "Bearer nonsense"}) as answer:
        assert answer.status == 401
        assert (await answer.json())["reason"] == "Unauthorized"


async def test_a_client_certificate_of_the_cluster_names_its_user(web, apiserver, tmp_path):
    context = client_context(apiserver, tmp_path, apiserver.ca, groups=("system:masters",))
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    async with web.post(path, json={}, ssl=context) as answer:
        info = (await answer.json())["status"]["userInfo"]
    assert info["username"] == "carol"
    assert info["groups"] == ["system:masters", "system:authenticated"]


async def test_a_client_certificate_of_another_ca_is_refused(web, apiserver, tmp_path):
    context = client_context(apiserver, tmp_path, create_root("stranger"))
    with pytest.raises(aiohttp.ClientError):
        async with web.get("/api/v1/pods", ssl=context) as answer:
            await answer.read()


async def test_a_role_binding_lets_a_user_do_exactly_that(apiserver, kube: KubeClient):
    rbac = "rbac.authorization.k8s.io/v1"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    await kube.create(
        path_of(rbac, "roles", "default"), {"metadata": {"name": "r"}, "rules": [rule]}
    )
    await kube.create(
        path_of(rbac, "rolebindings", "default"),
        {
            "metadata": {"name": "r"},
            "subjects": [{"kind": "User", "name": "alice"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        },
    )
    await kube.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "a"}})
    async with KubeClient(
        apiserver.url, token=apiserver.alice_token, ca_file=apiserver.ca_file
    ) as alice:
        assert (await alice.get("/api/v1/namespaces/default/configmaps/a"))["kind"] == "ConfigMap"
        for path in (
            "/api/v1/namespaces/default/configmaps",
            "/api/v1/namespaces/default/secrets/a",
        ):
            with pytest.raises(KubeError) as refused:
                await alice.get(path)
            assert refused.value.status == 403


async def test_a_service_account_token_works_until_the_account_goes(apiserver, kube: KubeClient):
    accounts = path_of("v1", "serviceaccounts", "default")
    await kube.create(accounts, {"metadata": {"name": "mirror"}})
    answer = await kube.create(f"{accounts}/mirror/token", {"spec": {"audiences": []}})
    token = answer["status"]["token"]
    review = {"spec": {"token": token}}
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    status = (await kube.create(reviews, review))["status"]
    assert status["authenticated"] is True
    assert status["user"]["username"] == "system:serviceaccount:default:mirror"
    async with KubeClient(apiserver.url, token=token, ca_file=apiserver.ca_file) as account:
        with pytest.raises(KubeError) as refused:
            await account.get("/api/v1/namespaces/default/secrets")
        assert refused.value.status == 403
        await kube.delete(f"{accounts}/mirror")
        with pytest.raises(KubeError) as gone:
            await account.get("/api/v1/namespaces/default/secrets")
        assert gone.value.status == 401
    assert "authenticated" not in (await kube.create(reviews, review))["status"]


async def test_a_token_for_another_audience_is_not_for_the_api(apiserver, kube: KubeClient):
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    answer = await kube.create(path, {"spec": {"audiences": ["identity.l5d.io"]}})
    token = answer["status"]["token"]
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    wanted = {"spec": {"token": token, "audiences": ["identity.l5d.io"]}}
    assert (await kube.create(reviews, wanted))["status"]["audiences"] == ["identity.l5d.io"]
    async with KubeClient(apiserver.url, token=token, ca_file=apiserver.ca_file) as account:
        with pytest.raises(KubeError) as refused:
            await account.get("/api/v1/pods")
    assert refused.value.status == 401


async def test_many_clients_at_once_are_all_answered(kube: KubeClient):
    answers = await asyncio.gather(*(kube.get("/api/v1/namespaces/default") for _ in range(50)))
    assert {answer["metadata"]["name"] for answer in answers} == {"default"}
