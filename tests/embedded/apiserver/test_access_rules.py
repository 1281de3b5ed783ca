"""The finer rules of access: names of resources, paths, groups of accounts, acting as others."""

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from json import loads as json_of
from typing import Any

import aiohttp
import pytest

from labkit.embedded.kube import KubeClient, path_of

RBAC = "rbac.authorization.k8s.io/v1"
CORE = "/api/v1/namespaces/default"
Ask = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture
async def ask(apiserver, kube) -> AsyncIterator[Ask]:
    """`await ask(method, path, token=…)`: the status and the body of an answer."""
    context = ssl.create_default_context(cafile=str(apiserver.ca_file))
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(apiserver.url, connector=connector) as session:

        async def asker(
            method: str, path: str, *, token: str = apiserver.alice_token, json=None, headers=None
        ):
            headers = {"Authorization": f"Bearer {token}", **(headers or {})}
            async with session.request(method, path, json=json, headers=headers) as answer:
                text = await answer.text()
                found = json_of(text) if answer.content_type == "application/json" else text
                return answer.status, found

        yield asker


async def grant(kube: KubeClient, rules: list[dict[str, Any]], *, subject=None, name="granted"):
    """A ClusterRole, bound to alice or somebody else."""
    await kube.create(path_of(RBAC, "clusterroles"), {"metadata": {"name": name}, "rules": rules})
    subject = subject or {"kind": "User", "name": "alice"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    body = {"metadata": {"name": name}, "subjects": [subject], "roleRef": reference}
    await kube.create(path_of(RBAC, "clusterrolebindings"), body)


async def account_token(kube: KubeClient, name: str) -> str:
    await kube.create(f"{CORE}/serviceaccounts", {"metadata": {"name": name}})
    answer = await kube.create(f"{CORE}/serviceaccounts/{name}/token", {"spec": {}})
    return answer["status"]["token"]


async def test_a_named_resource_can_be_listed_and_watched_by_its_name_only(ask: Ask, kube):
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}
    await grant(kube, [{**rule, "resourceNames": ["a"]}])
    for name in ("a", "b"):
        await kube.create(f"{CORE}/configmaps", {"metadata": {"name": name}})
    status, found = await ask("GET", f"{CORE}/configmaps?fieldSelector=metadata.name%3Da")
    assert status == 200
    assert [item["metadata"]["name"] for item in found["items"]] == ["a"]
    assert (await ask("GET", f"{CORE}/configmaps/a"))[0] == 200
    for query in (
        "",
        "?fieldSelector=metadata.name%3Db",
        "?fieldSelector=metadata.name%21%3Da",
        "?fieldSelector=metadata.name%3Db&watch=1",
        "?fieldSelector=metadata.namespace%3Ddefault",
        "?fieldSelector=metadata.name",
        "/b",
    ):
        assert (await ask("GET", f"{CORE}/configmaps{query}"))[0] == 403, query
    query = "?fieldSelector=metadata.name%3Da&watch=1&timeoutSeconds=1"
    assert (await ask("GET", f"{CORE}/configmaps{query}"))[0] == 200


async def test_deleting_by_name_needs_the_name_to_be_granted(ask: Ask, kube):
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["deletecollection"]}
    await grant(kube, [{**rule, "resourceNames": ["a"]}])
    for name in ("a", "b"):
        await kube.create(f"{CORE}/configmaps", {"metadata": {"name": name}})
    path = f"{CORE}/configmaps"
    assert (await ask("DELETE", path))[0] == 403
    assert (await ask("DELETE", f"{path}?fieldSelector=metadata.name%3Da"))[0] == 200
    left = (await kube.get(path))["items"]
    assert [item["metadata"]["name"] for item in left] == ["b"]


async def test_paths_that_are_no_resources_are_granted_by_url(ask: Ask, kube):
    assert (await ask("GET", "/metrics"))[0] == 403
    await grant(kube, [{"nonResourceURLs": ["/metrics", "/debug/*"], "verbs": ["get"]}])
    assert (await ask("GET", "/metrics"))[0] == 404
    assert (await ask("GET", "/debug/x"))[0] == 404
    assert (await ask("POST", "/metrics", json={}))[0] == 403
    assert (await ask("GET", "/logs"))[0] == 403


async def test_a_change_of_roles_holds_at_once(ask: Ask, kube):
    path = f"{CORE}/pods"
    assert (await ask("GET", path))[0] == 403
    await grant(kube, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}])
    assert (await ask("GET", path))[0] == 200
    role = path_of(RBAC, "clusterroles", None, "granted")
    await kube.patch(role, {"rules": []})
    assert (await ask("GET", path))[0] == 403
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}
    await kube.patch(role, {"rules": [rule]})
    assert (await ask("GET", path))[0] == 200
    await kube.delete(path_of(RBAC, "clusterrolebindings", None, "granted"))
    assert (await ask("GET", path))[0] == 403


@pytest.mark.parametrize("group", ["system:serviceaccounts", "system:serviceaccounts:default"])
async def test_groups_of_service_accounts_hold_for_their_accounts(ask: Ask, kube, group):
    token = await account_token(kube, "robot")
    assert (await ask("GET", f"{CORE}/pods", token=token))[0] == 403
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
    await grant(kube, [rule], subject={"kind": "Group", "name": group})
    assert (await ask("GET", f"{CORE}/pods", token=token))[0] == 200
    assert (await ask("GET", f"{CORE}/pods"))[0] == 403  # alice is no service account


async def test_an_aggregated_role_follows_the_roles_it_selects(ask: Ask, kube):
    selector = {"matchLabels": {"collect": "yes"}}
    body = {"metadata": {"name": "sum"}, "aggregationRule": {"clusterRoleSelectors": [selector]}}
    await kube.create(path_of(RBAC, "clusterroles"), body)
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sum"}
    subject = {"kind": "User", "name": "alice"}
    await kube.create(
        path_of(RBAC, "clusterrolebindings"),
        {"metadata": {"name": "sum"}, "subjects": [subject], "roleRef": reference},
    )
    assert (await ask("GET", f"{CORE}/pods"))[0] == 403
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
    part = {"metadata": {"name": "part", "labels": {"collect": "yes"}}, "rules": [rule]}
    await kube.create(path_of(RBAC, "clusterroles"), part)
    assert (await ask("GET", f"{CORE}/pods"))[0] == 200
    path = path_of(RBAC, "clusterroles", None, "part")
    await kube.patch(path, {"metadata": {"labels": {"collect": None}}})
    assert (await ask("GET", f"{CORE}/pods"))[0] == 403


async def test_acting_as_somebody_is_granted_part_by_part(ask: Ask, kube):
    reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    parts = {
        "Impersonate-User": "bob",
        "Impersonate-Group": "testers",
        "Impersonate-Uid": "7",
        "Impersonate-Extra-scopes": "all",
    }
    name = {"Impersonate-User": "bob"}
    assert (await ask("POST", reviews, json={}, headers=name))[0] == 403
    core = {"apiGroups": [""], "verbs": ["impersonate"]}
    await grant(
        kube,
        [
            {**core, "resources": ["users"], "resourceNames": ["bob"]},
            {**core, "resources": ["groups"], "resourceNames": ["testers"]},
        ],
    )
    assert (await ask("POST", reviews, json={}, headers=name))[0] == 201
    assert (await ask("POST", reviews, json={}, headers={"Impersonate-User": "carol"}))[0] == 403
    assert (await ask("POST", reviews, json={}, headers=parts))[0] == 403  # uid and extra
    group = {"apiGroups": ["authentication.k8s.io"], "verbs": ["impersonate"]}
    rules = [{**group, "resources": ["uids", "userextras/scopes"]}]
    await grant(kube, rules, name="more")
    status, found = await ask("POST", reviews, json={}, headers=parts)
    assert status == 201
    assert found["status"]["userInfo"] == {
        "username": "bob",
        "uid": "7",
        "groups": ["testers", "system:authenticated"],
        "extra": {"scopes": ["all"]},
    }


@pytest.mark.parametrize("header", ["Group", "Uid", "Extra-x"])
async def test_acting_as_nobody_is_a_bad_request(ask: Ask, header):
    status, found = await ask("GET", f"{CORE}/pods", headers={f"Impersonate-{header}": "x"})
    assert status == 400
    assert "without impersonating a user" in found["message"]


async def test_somebody_can_ask_what_he_may(ask: Ask, kube):
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"], "resourceNames": ["a"]}
    await grant(kube, [rule, {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}])
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    status, found = await ask("POST", path, json={"spec": {"namespace": "default"}})
    assert status == 201
    rules = found["status"]["resourceRules"]
    assert rule in rules
    assert {"apiGroups", "resources", "verbs"} <= rules[0].keys()
    assert {"nonResourceURLs": ["/metrics"], "verbs": ["get"]} in found["status"][
        "nonResourceRules"
    ]
    assert not [item for item in rules if item["verbs"] == ["*"]]


async def test_each_refusal_leaves_one_line_in_the_log(ask: Ask, caplog):
    caplog.set_level(logging.INFO, logger="labkit.embedded.apiserver")
    await ask("GET", f"{CORE}/secrets")
    await ask("GET", "/metrics")
    await ask("GET", f"{CORE}/secrets", headers={"Impersonate-User": "bob\u00e9"})
    lines = [item.getMessage() for item in caplog.records if "audit" in item.getMessage()]
    assert len(lines) == 3
    assert lines[0] == (
        'audit: forbidden: User "alice" cannot list resource "secrets" in API group ""'
        ' in the namespace "default"'
    )
    assert 'cannot get path "/metrics"' in lines[1]
    assert 'cannot impersonate resource "users"' in lines[2]
