"""Which objects each install renders: Linkerd's own names, no more and no less."""

from collections import defaultdict

import pytest

LINK = ("multicluster", "install", "--set", "controllers[0].link.ref.name=east")


@pytest.fixture
def inventory(linkerd, parse):
    """Kind → names of what a command renders without a cluster."""

    def render(*arguments: str) -> dict[str, set[str]]:
        result = linkerd(*arguments, "--ignore-cluster")
        assert result.returncode == 0, result.stderr
        found = defaultdict(set)
        for item in parse(result.stdout):
            assert item["metadata"]["name"] not in found[item["kind"]] or item["kind"] == "Secret"
            found[item["kind"]].add(item["metadata"]["name"])
        return found

    return render


def test_ten_custom_resources_and_fourteen_with_the_gateway_api(inventory):
    crds = inventory("install", "--crds")["CustomResourceDefinition"]
    assert crds == {
        "authorizationpolicies.policy.linkerd.io",
        "egressnetworks.policy.linkerd.io",
        "externalworkloads.workload.linkerd.io",
        "httplocalratelimitpolicies.policy.linkerd.io",
        "httproutes.policy.linkerd.io",
        "meshtlsauthentications.policy.linkerd.io",
        "networkauthentications.policy.linkerd.io",
        "serverauthorizations.policy.linkerd.io",
        "servers.policy.linkerd.io",
        "serviceprofiles.linkerd.io",
    }
    more = inventory("install", "--crds", "--set", "installGatewayAPI=true")
    assert more["CustomResourceDefinition"] - crds == {
        f"{name}.gateway.networking.k8s.io"
        for name in ("httproutes", "grpcroutes", "tlsroutes", "tcproutes")
    }


def test_the_control_plane(inventory):
    found = inventory("install")
    assert sum(len(names) for names in found.values()) == 42
    assert found["Namespace"] == {"linkerd"}
    assert found["Deployment"] == {
        "linkerd-identity",
        "linkerd-destination",
        "linkerd-proxy-injector",
    }
    assert found["CronJob"] == {"linkerd-heartbeat"}
    assert found["Service"] == {
        "linkerd-identity",
        "linkerd-identity-headless",
        "linkerd-dst",
        "linkerd-dst-headless",
        "linkerd-policy",
        "linkerd-sp-validator",
        "linkerd-policy-validator",
        "linkerd-proxy-injector",
    }
    assert found["ConfigMap"] == {"linkerd-config", "linkerd-identity-trust-roots"}
    assert found["Secret"] == {
        "linkerd-identity-issuer",
        "linkerd-config-overrides",
        "linkerd-sp-validator-k8s-tls",
        "linkerd-policy-validator-k8s-tls",
        "linkerd-proxy-injector-k8s-tls",
    }
    assert found["ClusterRole"] == {
        "linkerd-linkerd-identity",
        "linkerd-linkerd-destination",
        "linkerd-linkerd-proxy-injector",
        "linkerd-heartbeat",
        "linkerd-policy",
    }
    assert found["ClusterRoleBinding"] == {
        "linkerd-linkerd-identity",
        "linkerd-linkerd-destination",
        "linkerd-linkerd-proxy-injector",
        "linkerd-heartbeat",
        "linkerd-destination-policy",
    }
    assert found["Role"] == {
        "linkerd-heartbeat",
        "remote-discovery",
        "ext-namespace-metadata-linkerd-config",
    }
    assert found["RoleBinding"] == {"linkerd-heartbeat", "linkerd-destination-remote-discovery"}
    assert found["ServiceAccount"] == {
        "linkerd-identity",
        "linkerd-destination",
        "linkerd-proxy-injector",
        "linkerd-heartbeat",
    }
    assert found["MutatingWebhookConfiguration"] == {"linkerd-proxy-injector-webhook-config"}
    assert found["ValidatingWebhookConfiguration"] == {
        "linkerd-sp-validator-webhook-config",
        "linkerd-policy-validator-webhook-config",
    }


def test_multicluster(inventory):
    found = inventory("multicluster", "install")
    assert sum(len(names) for names in found.values()) == 26
    assert found["Deployment"] == {"linkerd-gateway", "linkerd-local-service-mirror"}
    assert found["Service"] == {"linkerd-gateway"}
    servers = {
        "linkerd-gateway",
        "linkerd-admin",
        "service-mirror",
        "controller",
        "local-service-mirror",
    }
    assert found["Server"] == found["AuthorizationPolicy"] == servers
    assert found["Secret"] == {"linkerd-service-mirror-remote-access-default-token"}
    assert found["CustomResourceDefinition"] == {"links.multicluster.linkerd.io"}


def test_a_controller_adds_six_objects(inventory):
    before, after = inventory("multicluster", "install"), inventory(*LINK)
    added = {kind: names - before[kind] for kind, names in after.items() if names - before[kind]}
    assert added == {
        "ServiceAccount": {"controller-east"},
        "Deployment": {"controller-east"},
        "ClusterRoleBinding": {"linkerd-multicluster-controller-access-local-resources-east"},
        "Role": {"controller-read-remote-creds-east"},
        "RoleBinding": {"controller-read-remote-creds-east"},
        "Service": {"probe-east"},
    }


def test_a_cluster_that_lets_nobody_in_has_no_gateway(inventory):
    found = inventory(*LINK, "--gateway=false")
    assert "linkerd-gateway" not in found["Deployment"] | found["Service"] | found["Server"]
    assert "controller-east" in found["Deployment"]


def test_viz(inventory):
    found = inventory("viz", "install")
    assert sum(len(names) for names in found.values()) == 52
    names = {"metrics-api", "prometheus", "tap", "tap-injector", "web"}
    assert found["Deployment"] == found["Service"] == found["ServiceAccount"] == names
    assert found["APIService"] == {"v1alpha1.tap.linkerd.io"}
    assert found["Server"] == {"metrics-api", "prometheus-admin", "tap-api", "tap-injector-webhook"}
    assert found["Secret"] == {"tap-k8s-tls", "tap-injector-k8s-tls"}
    assert found["NetworkAuthentication"] == {"kubelet", "kube-api-server"}
    assert found["ConfigMap"] == {"prometheus-config"}


def test_every_secret_and_bundle_is_new_at_each_rendering(linkerd, parse):
    def certificates() -> list[str]:
        items = parse(linkerd("viz", "install", "--ignore-cluster").stdout)
        return [item["data"]["tls.crt"] for item in items if item["kind"] == "Secret"]

    assert not set(certificates()) & set(certificates())
