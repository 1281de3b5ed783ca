"""Two clusters that the user has: the lab goes in, and exactly the lab comes out again.

The clusters are those of an embedded lab, reached by contexts of a kubeconfig like any others.
"""

import json
import os
import subprocess

import pytest
import yaml

from labkit.chapters import multicluster_link
from labkit.clients.installed import Installed
from labkit.errors import InputError, StateError
from labkit.folder import LabFolder
from labkit.lab import Lab
from labkit.params import Params, load_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

KINDS = (
    "namespaces,crd,clusterroles,clusterrolebindings,apiservices,mutatingwebhookconfigurations,"
    "validatingwebhookconfigurations,rolebindings,roles,services,deployments,configmaps,secrets"
)


class Clusters:
    """Two clusters of a user, with something of his in them."""

    def __init__(self, home, folder):
        self.home, self.folder = home, folder
        self.config = home.root / "user-config"
        content = yaml.safe_load((folder / "kubeconfig").read_text())
        for item in content["contexts"]:
            item["name"] = f"my-{item['name']}"
        self.config.write_text(yaml.safe_dump({**content, "current-context": "my-west"}))
        self.environment = {
            "KUBECONFIG": str(self.config),
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "LABKIT_HOME": str(home.root),
        }
        (east,) = [c for c in content["clusters"] if c["name"] == "east"]
        self.east = east["cluster"]["server"]

    def kubectl(self, *words, check=True):
        done = subprocess.run(
            ["kubectl", *words],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def everything(self):
        """Context → every object of the kinds that a lab installs, by name and uid."""
        return {context: self._of(context) for context in ("my-west", "my-east")}

    def _of(self, context):
        text = self.kubectl("--context", context, "get", KINDS, "-A", "-o", "json")
        return {
            (
                item["kind"],
                item["metadata"].get("namespace"),
                item["metadata"]["name"],
                item["metadata"]["uid"],
            )
            for item in json.loads(text)["items"]
        }


@pytest.fixture(scope="module")
def clusters(module_home):
    done = module_home.run("up", "--bare", "--lab-name", "host")
    assert done.returncode == 0, done.stderr
    try:
        found = Clusters(module_home, module_home.root / "host")
        for context in ("my-west", "my-east"):
            found.kubectl("--context", context, "create", "ns", "mine")
            found.kubectl(
                "--context", context, "-n", "mine", "create", "cm", "x", "--from-literal=a=b"
            )
        yield found
    finally:
        down = module_home.run("down", "--lab-name", "host")
    assert "processes left: 0" in down.stdout


@pytest.fixture
def lab(clusters, monkeypatch, request):
    """A lab on the user's clusters; taken down at the end, which must leave them as they were."""
    for name, value in clusters.environment.items():
        monkeypatch.setenv(name, value)
    before = clusters.everything()
    params = Params(
        lab_name="guest",
        cloud="existing",
        west_context="my-west",
        east_context="my-east",
        east_api_address=clusters.east,
    )
    made = Lab.create(params)
    yield made
    made.tear_down()
    assert clusters.everything() == before


def records():
    folder = LabFolder.of("guest")
    return [folder.installed(name) for name in ("west", "east")]


def test_a_walk_leaves_the_clusters_as_they_were(lab, clusters):
    before = clusters.everything()
    lab.up()
    assert clusters.everything() == before  # no cluster is made, and nothing is in them yet
    lab.install_linkerd()
    lab.install_viz()
    lab.install_multicluster()
    lab.link_clusters()
    lab.deploy_emojivoto()
    lab.split_emojivoto()
    lab.export_web()
    for step in (lab.install_linkerd, lab.install_viz, lab.link_clusters, lab.deploy_emojivoto):
        step()  # again: what is there is the lab's own
    report = lab.run_checks(["03", "04", "05", "06"])
    assert not report.failures, str(report)
    assert str(lab.cost()) == "Cost so far: 0.00 USD (nothing is billed on existing)"
    facts = lab.tear_down()
    for what in (
        "APIService v1alpha1.tap.linkerd.io from west",
        "Namespace emojivoto from east",
        "CustomResourceDefinition links.multicluster.linkerd.io from west",
        "RoleBinding kube-system/linkerd-linkerd-viz-tap-auth-reader from east",
    ):
        assert what in facts["deleted"]
    assert clusters.everything() == before
    assert not any(path.exists() for path in records())
    assert lab.tear_down()["deleted"] == []


def test_an_install_that_was_cut_off_is_done_again_and_its_remains_are_removed(lab, clusters):
    lab.up()
    lab.install_linkerd()
    clusters.kubectl(
        "--context", "my-west", "delete", "mutatingwebhookconfiguration",
        "linkerd-proxy-injector-webhook-config",
    )  # fmt: skip
    clusters.kubectl(
        "--context", "my-west", "-n", "linkerd", "delete", "deploy", "linkerd-destination"
    )
    lab.install_linkerd()
    assert lab.run_checks(["03"]).outcomes[0].status != "fail"
    text = clusters.kubectl(
        "--context", "my-west", "get", "mutatingwebhookconfigurations", "-o", "name"
    )
    assert "linkerd-proxy-injector-webhook-config" in text


@pytest.mark.parametrize("name", ["linkerd", "emojivoto"])
def test_a_namespace_of_the_users_is_not_applied_over(lab, clusters, name):
    lab.up()
    clusters.kubectl("--context", "my-east", "create", "ns", name)
    clusters.kubectl("--context", "my-east", "-n", name, "create", "cm", "precious")
    try:
        before = clusters.everything()["my-east"]
        step = lab.install_linkerd if name == "linkerd" else lab.deploy_emojivoto
        with pytest.raises(StateError, match=f"east has a namespace {name} that this lab did not"):
            step()
        assert clusters.everything()["my-east"] == before
        lab.tear_down()
        assert clusters.everything()["my-east"] == before
    finally:
        clusters.kubectl("--context", "my-east", "delete", "ns", name)
        lab.up()


def test_a_legacy_controller_is_not_joined_by_a_second_one(lab, clusters):
    lab.up()
    lab.install_linkerd()
    lab.install_multicluster()
    west = lab.kubernetes("west")
    container = {"name": "x", "image": "registry.k8s.io/pause:3.2"}
    labels = {"app": "x"}
    legacy = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "linkerd-service-mirror-east", "namespace": "linkerd-multicluster"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    west.apply([legacy])
    with pytest.raises(StateError, match="a second controller must not be added") as caught:
        lab.install_multicluster()
    assert "multicluster unlink" in caught.value.fix


def test_a_token_that_comes_late_is_waited_for(lab, clusters):
    lab.up()
    lab.install_linkerd()
    assert multicluster_link._token(lab) == (
        False,
        "no Secret of the account linkerd-service-mirror-remote-access-default yet",
    )
    lab.install_multicluster()
    lab.link_clusters()
    assert multicluster_link._token(lab) == (True, "filled in")


def test_a_loopback_address_of_the_api_is_refused_before_a_link_is_made(lab, clusters, monkeypatch):
    cloud = Lab.of(lab.params.model_copy(update={"east_api_address": None})).cloud
    with pytest.raises(StateError, match="not reachable from the other cluster") as caught:
        cloud.api_address("east")
    assert "east_api_address=https://" in caught.value.fix
    assert lab.cloud.api_address("east") == clusters.east


def test_contexts_that_lead_elsewhere_meanwhile_lose_nothing(lab, clusters):
    lab.up()
    lab.install("west", [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "guests"}}])
    before = clusters.everything()
    record = Installed(LabFolder.of("guest").installed("west"))
    with pytest.raises(StateError, match="leads to another cluster"):
        record.take_out(lab.kubernetes("east"), lambda _: None)
    assert clusters.everything() == before


def test_what_changed_hands_meanwhile_is_left_alone(lab, clusters):
    lab.up()
    lab.install("west", [_config("theirs"), _config("ours")])
    clusters.kubectl("--context", "my-west", "-n", "mine", "delete", "cm", "theirs")
    clusters.kubectl("--context", "my-west", "-n", "mine", "create", "cm", "theirs")
    assert lab.tear_down()["deleted"] == ["ConfigMap mine/ours from west"]
    clusters.kubectl("--context", "my-west", "-n", "mine", "delete", "cm", "theirs")


def _config(name):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "mine"},
    }


def test_a_damaged_record_is_told_and_nothing_is_removed(lab):
    lab.up()
    path = LabFolder.of("guest").installed("west")
    path.write_text("{")
    with pytest.raises(StateError, match="cannot be read"):
        lab.tear_down()
    path.unlink()


def test_an_address_of_the_api_is_for_existing_clusters_only():
    with pytest.raises(InputError, match="only for cloud `existing`"):
        load_params(overrides={"east_api_address": "https://172.18.0.3:6443"})
