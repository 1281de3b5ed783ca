"""Linking: credentials and gateway of the target, as objects for the source."""

import base64

import pytest
import yaml

ACCOUNT = "linkerd-service-mirror-remote-access-default"
MULTICLUSTER = "linkerd-multicluster"
SERVICES = f"/api/v1/namespaces/{MULTICLUSTER}/services"
SECRETS = f"/api/v1/namespaces/{MULTICLUSTER}/secrets"


@pytest.fixture
async def target(multicluster, kube):
    """Multicluster installed; address and token as the controllers would have filled them in."""
    await kube.patch(
        f"{SERVICES}/linkerd-gateway/status",
        {"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.10"}]}}},
    )
    token = base64.b64encode(b"the-remote-token").decode()
    await kube.patch(f"{SECRETS}/{ACCOUNT}-token", {"data": {"token": token}})


async def test_two_secrets_and_a_link(linkerd_at, target, parse, apiserver):
    result = await linkerd_at("multicluster", "link-gen", "--cluster-name", "east")
    own, discovery, link = parse(result.stdout)
    assert own["metadata"] == {"name": "cluster-credentials-east", "namespace": MULTICLUSTER}
    assert own["type"] == discovery["type"] == "mirror.linkerd.io/remote-kubeconfig"
    assert discovery["metadata"]["namespace"] == "linkerd"
    labels = discovery["metadata"]["labels"]
    assert labels == {"multicluster.linkerd.io/cluster-name": "east"}
    kubeconfig = yaml.safe_load(base64.b64decode(own["data"]["kubeconfig"]))
    assert kubeconfig["users"] == [{"name": ACCOUNT, "user": {"token": "the-remote-token"}}]
    assert kubeconfig["clusters"][0]["cluster"]["server"] == apiserver.url
    assert link["metadata"]["name"] == "east"
    assert link["spec"] == {
        "clusterCredentialsSecret": "cluster-credentials-east",
        "federatedServiceSelector": {"matchLabels": {"mirror.linkerd.io/federated": "member"}},
        "gatewayAddress": "198.51.100.10",
        "gatewayIdentity": f"linkerd-gateway.{MULTICLUSTER}.serviceaccount.identity"
        ".linkerd.cluster.local",
        "gatewayPort": "4143",
        "probeSpec": {"path": "/ready", "period": "3s", "port": "4191"},
        "remoteDiscoverySelector": {
            "matchLabels": {"mirror.linkerd.io/exported": "remote-discovery"}
        },
        "selector": {"matchLabels": {"mirror.linkerd.io/exported": "true"}},
        "targetClusterDomain": "cluster.local",
        "targetClusterLinkerdNamespace": "linkerd",
        "targetClusterName": "east",
    }
    assert result.stderr == ""


async def test_what_is_linked_is_accepted_by_a_cluster(linkerd_at, target, west, install):
    applied = await install("multicluster", "link", "--cluster-name", "east")
    assert f"Link {MULTICLUSTER}/east" in applied
    assert f"Deployment {MULTICLUSTER}/linkerd-service-mirror-east" in applied
    assert f"Service {MULTICLUSTER}/probe-gateway-east" in applied
    result = await linkerd_at("multicluster", "unlink", "--cluster-name", "east")
    assert "kind: Lease" in result.stdout
    assert "linkerd-service-mirror-east" in result.stdout
    assert "deprecated" in result.stderr


async def test_addresses_and_selectors_may_be_given(linkerd_at, target, parse):
    result = await linkerd_at(
        "multicluster",
        "link-gen",
        "--cluster-name=east",
        "--gateway-addresses=203.0.113.1,203.0.113.2",
        "--api-server-address=https://10.0.0.1:6443",
        "--selector=a=b",
        "--excluded-labels=x/*",
    )
    own, _, link = parse(result.stdout)
    assert link["spec"]["gatewayAddress"] == "203.0.113.1,203.0.113.2"
    assert link["spec"]["selector"] == {"matchLabels": {"a": "b"}}
    assert link["spec"]["excludedLabels"] == ["x/*"]
    kubeconfig = yaml.safe_load(base64.b64decode(own["data"]["kubeconfig"]))
    assert kubeconfig["clusters"][0]["cluster"]["server"] == "https://10.0.0.1:6443"


async def test_a_flat_link_has_no_gateway(linkerd_at, target, parse):
    result = await linkerd_at("multicluster", "link-gen", "--cluster-name=east", "--gateway=false")
    spec = parse(result.stdout)[2]["spec"]
    assert not {"gatewayAddress", "gatewayPort", "probeSpec", "selector"} & set(spec)


async def test_a_gateway_without_an_address_is_refused(linkerd_at, target, kube):
    status = {"status": {"loadBalancer": {"ingress": []}}}
    await kube.patch(f"{SERVICES}/linkerd-gateway/status", status)
    result = await linkerd_at("multicluster", "link-gen", "--cluster-name", "east")
    assert (result.returncode, result.stdout) == (1, "")
    assert "no ingress addresses" in result.stderr


async def test_a_token_that_is_late_is_told(linkerd_at, target, kube):
    await kube.patch(f"{SECRETS}/{ACCOUNT}-token", {"data": {"token": None}})
    result = await linkerd_at("multicluster", "link-gen", "--cluster-name", "east")
    assert result.returncode == 1
    assert "could not find the token data" in result.stderr


async def test_a_cluster_without_the_extension_is_refused(linkerd_at, control_plane):
    result = await linkerd_at("multicluster", "link-gen", "--cluster-name", "east")
    assert result.returncode == 1
    assert "not found" in result.stderr


def test_the_clusters_name_is_required(linkerd):
    result = linkerd("multicluster", "link-gen")
    assert result.returncode == 1
    assert "You need to specify cluster name" in result.stderr


def test_one_more_account_may_be_allowed(linkerd, parse):
    result = linkerd("multicluster", "allow", "--service-account-name", "other")
    kinds = [item["kind"] for item in parse(result.stdout)]
    assert kinds == ["Namespace", "ClusterRole", "ServiceAccount", "Secret", "ClusterRoleBinding"]


async def test_uninstalling_refuses_while_a_link_exists_and_then_lists_what_to_delete(
    linkerd_at, target, install, kube, parse
):
    await install("multicluster", "link-gen", "--cluster-name", "east")
    result = await linkerd_at("multicluster", "uninstall")
    assert result.returncode == 1
    assert "* east" in result.stderr
    await kube.delete(
        f"/apis/multicluster.linkerd.io/v1alpha3/namespaces/{MULTICLUSTER}/links/east"
    )
    result = await linkerd_at("uninstall")
    assert result.returncode == 1
    assert "* multicluster" in result.stderr
    result = await linkerd_at("multicluster", "uninstall")
    found = {(item["kind"], item["metadata"]["name"]) for item in parse(result.stdout)}
    assert ("Namespace", MULTICLUSTER) in found
    assert ("CustomResourceDefinition", "links.multicluster.linkerd.io") in found
    result = await linkerd_at("uninstall", "--force")
    found = {(item["kind"], item["metadata"]["name"]) for item in parse(result.stdout)}
    assert ("Namespace", "linkerd") in found
    assert ("CustomResourceDefinition", "servers.policy.linkerd.io") in found


async def test_with_nothing_installed_extensions_fail_and_the_core_does_not(linkerd_at, kube):
    assert (await linkerd_at("uninstall")).returncode == 0
    for extension in ("viz", "multicluster"):
        result = await linkerd_at(extension, "uninstall")
        assert result.returncode == 1
        assert "No resources found to uninstall" in result.stderr
