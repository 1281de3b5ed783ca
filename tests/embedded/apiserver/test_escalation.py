"""Nobody gives away rights that he does not have, and every refusal leaves an audit line."""

import logging
from collections.abc import AsyncIterator

import pytest

from labkit.embedded.kube import KubeClient, KubeError, path_of

RBAC = "rbac.authorization.k8s.io/v1"
READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
MANAGE_ROLES = {
    "apiGroups": ["rbac.authorization.k8s.io"],
    "resources": ["roles", "rolebindings"],
    "verbs": ["create", "get", "update", "patch"],
}


@pytest.fixture
async def alice(apiserver, kube: KubeClient) -> AsyncIterator[KubeClient]:
    """May manage roles and read pods in the namespace default."""
    await grant(kube, "manager", MANAGE_ROLES, READ_PODS)
    async with KubeClient(
        apiserver.url, token=apiserver.alice_token, ca_file=apiserver.ca_file, user_agent="alice"
    ) as client:
        yield client


async def grant(kube: KubeClient, name: str, *rules: dict[str, object]) -> None:
    await kube.create(path_of(RBAC, "roles", "default"), role(name, *rules))
    subject = {"kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"}
    await kube.create(path_of(RBAC, "rolebindings", "default"), binding(name, name, subject))


def role(name: str, *rules: dict[str, object]) -> dict[str, object]:
    return {"metadata": {"name": name}, "rules": list(rules)}


def binding(name: str, of: str, subject: dict[str, str], kind: str = "Role") -> dict[str, object]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": of}
    return {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}


GROUP = {"kind": "Group", "name": "friends", "apiGroup": "rbac.authorization.k8s.io"}


async def test_a_role_may_hold_what_its_writer_holds_and_no_more(alice: KubeClient):
    path = path_of(RBAC, "roles", "default")
    await alice.create(path, role("reader", READ_PODS))
    wider = {**READ_PODS, "verbs": ["get", "delete"]}
    with pytest.raises(KubeError) as refused:
        await alice.create(path, role("killer", wider))
    assert refused.value.status == 403
    assert "attempting to grant RBAC permissions not currently held" in str(refused.value)
    with pytest.raises(KubeError) as refused:
        await alice.patch(f"{path}/reader", {"rules": [wider]}, kind="merge")
    assert refused.value.status == 403


async def test_one_name_does_not_cover_all_names(kube: KubeClient, alice: KubeClient):
    one = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["a"]}
    await grant(kube, "one-secret", one)
    path = path_of(RBAC, "roles", "default")
    await alice.create(path, role("same", one))
    everything = {key: value for key, value in one.items() if key != "resourceNames"}
    with pytest.raises(KubeError) as refused:
        await alice.create(path, role("more", everything))
    assert refused.value.status == 403


async def test_the_verb_escalate_permits_it(kube: KubeClient, alice: KubeClient):
    rights = {
        "apiGroups": [RBAC.split("/", maxsplit=1)[0]],
        "resources": ["roles"],
        "verbs": ["escalate"],
    }
    await grant(kube, "escalator", rights)
    stars = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    await alice.create(path_of(RBAC, "roles", "default"), role("all", stars))


async def test_binding_needs_the_rights_or_the_verb_bind(kube: KubeClient, alice: KubeClient):
    path = path_of(RBAC, "rolebindings", "default")
    with pytest.raises(KubeError) as refused:
        await alice.create(path, binding("b", "edit", GROUP, "ClusterRole"))
    assert refused.value.status == 403
    rights = {
        "apiGroups": [RBAC.split("/", maxsplit=1)[0]],
        "resources": ["clusterroles"],
        "resourceNames": ["edit"],
        "verbs": ["bind"],
    }
    await grant(kube, "binder", rights)
    await alice.create(path, binding("b", "edit", GROUP, "ClusterRole"))
    with pytest.raises(KubeError) as refused:
        await alice.create(path, binding("c", "admin", GROUP, "ClusterRole"))
    assert refused.value.status == 403


async def test_applying_something_missing_needs_the_verb_create(
    kube: KubeClient, alice: KubeClient
):
    patching = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch", "update"]}
    await grant(kube, "patcher", patching)
    path = path_of("v1", "configmaps", "default", "c")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    with pytest.raises(KubeError) as refused:
        await alice.patch(path, body, kind="apply", fieldManager="alice")
    assert refused.value.status == 403
    assert 'cannot create resource "configmaps"' in str(refused.value)
    await kube.create(path_of("v1", "configmaps", "default"), body)
    await alice.patch(path, body, kind="apply", fieldManager="alice")


async def test_every_refusal_leaves_an_audit_line(
    alice: KubeClient, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, logger="labkit.embedded.apiserver")
    stars = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    for attempt in (
        alice.get(path_of("v1", "secrets", "default", "s")),
        alice.get("/metrics"),
        alice.create(path_of(RBAC, "roles", "default"), role("all", stars)),
    ):
        with pytest.raises(KubeError):
            await attempt
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("audit: ")]
    assert len(lines) == 3
    assert 'cannot get resource "secrets"' in lines[0]
    assert 'cannot get path "/metrics"' in lines[1]
    assert "attempting to grant RBAC permissions" in lines[2]
