"""Labels, annotations and ports that other parts and users rely on."""

import base64
import json

import pytest
import yaml

from labkit import certs


@pytest.fixture
def find_in(linkerd, parse):
    """`find(kind, name)` in what a command renders without a cluster."""

    def render(*arguments: str):
        result = linkerd(*arguments, "--ignore-cluster")
        assert result.returncode == 0, result.stderr
        items = {(i["kind"], i["metadata"]["name"]): i for i in parse(result.stdout)}
        return lambda kind, name: items[kind, name]

    return render


def test_the_namespace_is_left_alone_by_webhooks(find_in):
    metadata = find_in("install")("Namespace", "linkerd")["metadata"]
    assert metadata["annotations"] == {"linkerd.io/inject": "disabled"}
    assert metadata["labels"]["config.linkerd.io/admission-webhooks"] == "disabled"
    assert metadata["labels"]["linkerd.io/is-control-plane"] == "true"


def test_components_are_found_by_their_label_and_are_not_injected(find_in):
    find = find_in("install")
    for component in ("identity", "destination", "proxy-injector"):
        template = find("Deployment", f"linkerd-{component}")["spec"]["template"]
        labels = template["metadata"]["labels"]
        assert labels["linkerd.io/control-plane-component"] == component
        assert template["metadata"]["annotations"]["linkerd.io/inject"] == "disabled"
        container = template["spec"]["containers"][0]
        assert container["image"] == "cr.l5d.io/linkerd/controller:edge-26.6.3"
        assert container["args"][0] == component


def test_services_lead_to_the_ports_of_their_containers(find_in):
    for arguments in (("install",), ("viz", "install")):
        find = find_in(*arguments)
        deployments = ("linkerd-identity", "linkerd-destination", "linkerd-proxy-injector")
        services = ("linkerd-identity", "linkerd-dst", "linkerd-proxy-injector")
        if arguments[0] == "viz":
            deployments = services = ("metrics-api", "prometheus", "tap", "tap-injector", "web")
        for deployment, service in zip(deployments, services, strict=True):
            template = find("Deployment", deployment)["spec"]["template"]
            ports = [p for c in template["spec"]["containers"] for p in c["ports"]]
            known = {p["name"] for p in ports} | {p["containerPort"] for p in ports}
            spec = find("Service", service)["spec"]
            assert {port["targetPort"] for port in spec["ports"]} <= known
            assert spec["selector"].items() <= template["metadata"]["labels"].items()


@pytest.mark.parametrize(
    ("arguments", "configuration", "secret", "host"),
    [
        (
            ("install",),
            ("MutatingWebhookConfiguration", "linkerd-proxy-injector-webhook-config"),
            "linkerd-proxy-injector-k8s-tls",
            "linkerd-proxy-injector.linkerd.svc",
        ),
        (
            ("install",),
            ("ValidatingWebhookConfiguration", "linkerd-sp-validator-webhook-config"),
            "linkerd-sp-validator-k8s-tls",
            "linkerd-sp-validator.linkerd.svc",
        ),
        (
            ("viz", "install"),
            ("MutatingWebhookConfiguration", "linkerd-tap-injector-webhook-config"),
            "tap-injector-k8s-tls",
            "tap-injector.linkerd-viz.svc",
        ),
    ],
)
def test_a_webhooks_certificate_is_for_its_service_and_signed_by_its_bundle(
    find_in, arguments, configuration, secret, host
):
    find = find_in(*arguments)
    client = find(*configuration)["webhooks"][0]["clientConfig"]
    data = {k: base64.b64decode(v) for k, v in find("Secret", secret)["data"].items()}
    certs.verify_chain(data["tls.crt"], base64.b64decode(client["caBundle"]))
    assert f"{client['service']['name']}.{client['service']['namespace']}.svc" == host
    (leaf,) = certs.load_chain(data["tls.crt"])
    assert host in str(leaf.extensions)
    assert certs.load_key(data["tls.key"]).public_key() == leaf.public_key()


def test_the_injector_skips_what_it_must(find_in):
    find = find_in("install")
    hook = find("MutatingWebhookConfiguration", "linkerd-proxy-injector-webhook-config")
    (webhook,) = hook["webhooks"]
    assert webhook["failurePolicy"] == "Ignore"
    assert webhook["rules"][0]["resources"] == ["pods", "services"]
    expressions = webhook["namespaceSelector"]["matchExpressions"]
    assert [e["values"] for e in expressions] == [["disabled"], ["kube-system", "cert-manager"]]


def test_the_identity_is_where_proxies_and_checks_look_for_it(find_in, identity_files, tmp_path):
    find = find_in("install", *identity_files)
    root = (tmp_path / "root.crt").read_text()
    issuer = find("Secret", "linkerd-identity-issuer")["data"]
    assert base64.b64decode(issuer["crt.pem"]) == (tmp_path / "issuer.crt").read_bytes()
    assert base64.b64decode(issuer["key.pem"]) == (tmp_path / "issuer.key").read_bytes()
    roots = find("ConfigMap", "linkerd-identity-trust-roots")["data"]["ca-bundle.crt"]
    assert roots.strip() == root.strip()
    config = find("ConfigMap", "linkerd-config")
    values = yaml.safe_load(config["data"]["values"])
    assert values["identityTrustAnchorsPEM"].strip() == root.strip()
    assert values["clusterDomain"] == values["identityTrustDomain"] == "cluster.local"
    assert values["linkerdVersion"] == "edge-26.6.3"


def test_the_issuers_key_is_in_its_secret_only(linkerd, identity_files, tmp_path, parse):
    text = linkerd("install", "--ignore-cluster", *identity_files).stdout
    own = (tmp_path / "issuer.key").read_text().splitlines()[2]  # the first lines are common
    assert own not in text
    holders = [
        item["metadata"]["name"]
        for item in parse(text)
        if item["kind"] == "Secret"
        and any(own in base64.b64decode(value).decode() for value in item["data"].values())
    ]
    assert holders == ["linkerd-identity-issuer"]


def test_without_files_an_identity_is_made_for_one_cluster(find_in):
    find = find_in("install")
    roots = find("ConfigMap", "linkerd-identity-trust-roots")["data"]["ca-bundle.crt"]
    issuer = base64.b64decode(find("Secret", "linkerd-identity-issuer")["data"]["crt.pem"])
    certs.verify_chain(issuer, roots.encode())


def test_the_gateway_is_injected_and_shows_its_identity(find_in):
    find = find_in("multicluster", "install", "--gateway-service-type=NodePort")
    service = find("Service", "linkerd-gateway")
    annotations = service["metadata"]["annotations"]
    assert annotations["mirror.linkerd.io/gateway-identity"] == (
        "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"
    )
    assert annotations["mirror.linkerd.io/probe-period"] == "3"
    assert annotations["mirror.linkerd.io/probe-path"] == "/ready"
    assert service["spec"]["type"] == "NodePort"
    ports = {p["name"]: p["port"] for p in service["spec"]["ports"]}
    assert ports == {"mc-gateway": 4143, "mc-probe": 4191}
    pod = find("Deployment", "linkerd-gateway")["spec"]["template"]
    assert pod["metadata"]["annotations"]["linkerd.io/inject"] == "enabled"
    assert pod["metadata"]["annotations"]["config.linkerd.io/enable-gateway"] == "true"
    assert pod["spec"]["containers"][0]["image"] == "registry.k8s.io/pause:3.2"


def test_a_controller_is_injected_and_named_after_its_link(find_in):
    find = find_in(
        "multicluster",
        "install",
        "--set=controllers[0].link.ref.name=east",
        "--set=controllers[0].logLevel=debug",
    )
    pod = find("Deployment", "controller-east")["spec"]["template"]
    assert pod["metadata"]["annotations"]["linkerd.io/inject"] == "enabled"
    assert pod["metadata"]["labels"] == {
        "component": "controller",
        "mirror.linkerd.io/cluster-name": "east",
        "linkerd.io/extension": "multicluster",
    }
    (container,) = pod["spec"]["containers"]
    assert (container["args"][0], container["args"][-1]) == ("service-mirror", "east")
    assert "-log-level=debug" in container["args"]
    assert container["ports"] == [{"name": "ctrl-admin", "containerPort": 9999}]
    assert "readinessProbe" not in container
    probe = find("Service", "probe-east")
    assert "selector" not in probe["spec"]
    assert probe["metadata"]["labels"]["mirror.linkerd.io/mirrored-gateway"] == "true"


def test_prometheus_scrapes_as_linkerd_does(find_in):
    find = find_in("viz", "install", "--set=prometheus.globalConfig.scrape_interval=2s")
    text = find("ConfigMap", "prometheus-config")["data"]["prometheus.yml"]
    config = yaml.safe_load(text)
    assert config["global"]["scrape_interval"] == "2s"
    jobs = [job["job_name"] for job in config["scrape_configs"]]
    assert jobs[-2:] == ["linkerd-multicluster-controller", "linkerd-proxy"]
    (container,) = find("Deployment", "prometheus")["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": 9090}
    assert container["image"] == "prom/prometheus:v2.55.1"


def test_high_availability_means_three_replicas(find_in):
    find = find_in("install", "--ha")
    assert find("Deployment", "linkerd-identity")["spec"]["replicas"] == 3
    assert find("PodDisruptionBudget", "linkerd-dst")
    assert find_in("multicluster", "install", "--ha")("PodDisruptionBudget", "linkerd-gateway")


def test_json_is_one_compact_document_a_line(linkerd):
    lines = linkerd("install", "--ignore-cluster", "-o", "json").stdout.splitlines()
    assert len(lines) == 42
    assert all(json.loads(line)["kind"] for line in lines)
