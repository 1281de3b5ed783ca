import os
import stat
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from labkit import clouds
from labkit.clouds import ExistingCloud, merge_kubeconfigs, open_cloud, save_kubeconfig
from labkit.errors import InputError, LabkitError, StateError
from labkit.folder import LabFolder
from labkit.lab import Lab
from labkit.params import Params
from tests.support.emulated_digitalocean import TOKEN


def kubeconfig(name, *, server="https://192.0.2.1", token="tok-1"):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": f"c-{name}", "cluster": {"server": server}}],
        "users": [{"name": f"u-{name}", "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": f"c-{name}", "user": f"u-{name}"}}],
        "current-context": name,
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    found = LabFolder.of("demo")
    found.prepare()
    return found


@pytest.fixture
def users_kubeconfig(tmp_path, monkeypatch):
    """~/.kube/config of a user with two clusters and a secret third one."""
    path = tmp_path / "user" / ".kube" / "config"
    path.parent.mkdir(parents=True)
    content = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
    for number, name in enumerate(("kind-a", "kind-b", "production")):
        one = kubeconfig(name, server=f"https://192.0.2.{number}", token=f"tok-{name}")
        for part in ("clusters", "users", "contexts"):
            content[part] += one[part]
    path.write_text(yaml.safe_dump({**content, "current-context": "production"}))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    bin_dir = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{bin_dir}{os.pathsep}{os.environ['PATH']}")
    return path


@pytest.fixture
def digitalocean(digitalocean):
    """The emulated DigitalOcean API with the token it wants."""
    digitalocean.token = TOKEN
    return digitalocean


def existing(folder, west="kind-a", east="kind-b"):
    params = Params(cloud="existing", west_context=west, east_context=east)
    return open_cloud(params, folder)


def test_merged_kubeconfigs_have_one_context_per_cluster_and_the_first_is_current():
    merged = merge_kubeconfigs(
        {"west": kubeconfig("do-sfo3-x", token="w"), "east": kubeconfig("do-syd1-x", token="e")}
    )
    assert [item["name"] for item in merged["contexts"]] == ["west", "east"]
    assert merged["current-context"] == "west"
    users = {item["name"]: item["user"]["token"] for item in merged["users"]}
    assert users == {"west-admin": "w", "east-admin": "e"}
    for item in merged["contexts"]:
        assert item["context"] == {"cluster": item["name"], "user": f"{item['name']}-admin"}


def test_the_parameters_choose_the_cloud_and_nothing_is_contacted(folder):
    assert open_cloud(Params(), folder).name == "embedded"
    assert open_cloud(Params(cloud="digitalocean"), folder).name == "digitalocean"
    assert existing(folder).name == "existing"


def test_an_existing_cloud_is_two_contexts_of_the_users_file(folder, users_kubeconfig):
    cloud = existing(folder)
    reports = []
    found = cloud.ensure_clusters(
        {"west": "sfo3", "east": "syd1"}, lambda *report: reports.append(report)
    )
    assert [(c.name, c.region, c.endpoint) for c in found] == [
        ("west", "sfo3", "https://192.0.2.0"),
        ("east", "syd1", "https://192.0.2.1"),
    ]
    assert reports == [("west", "context kind-a"), ("east", "context kind-b")]


def test_the_labs_kubeconfig_holds_only_what_it_needs_and_the_users_is_untouched(
    folder, users_kubeconfig
):
    before = users_kubeconfig.read_bytes()
    save_kubeconfig(folder, existing(folder), ("west", "east"))
    assert users_kubeconfig.read_bytes() == before
    text = folder.kubeconfig.read_text()
    assert "tok-kind-a" in text
    assert "production" not in text
    assert stat.S_IMODE(folder.kubeconfig.stat().st_mode) == 0o600


def test_a_context_that_is_missing_is_named_with_the_way_to_find_one(folder, users_kubeconfig):
    with pytest.raises(StateError, match="no usable context nowhere for east") as caught:
        existing(folder, east="nowhere").kubeconfig("east")
    assert "kubectl config get-contexts" in caught.value.fix


def test_existing_clusters_are_never_deleted_and_cost_labkit_nothing(folder, users_kubeconfig):
    cloud = existing(folder)
    assert cloud.delete_clusters(lambda *_: None) == []
    assert cloud.leftovers() == []
    quote = cloud.quote()
    assert (quote.usd_per_hour, quote.billed) == (0, False)
    assert isinstance(cloud, ExistingCloud)


def test_digitalocean_without_a_token_is_a_clear_message(folder, monkeypatch):
    for name in clouds.TOKEN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="needs an API token") as caught:
        open_cloud(Params(cloud="digitalocean"), folder).start()
    assert "export DIGITALOCEAN_TOKEN" in caught.value.fix


def test_the_quote_counts_nodes_and_load_balancers_of_both_clusters(
    folder, digitalocean, monkeypatch
):
    from labkit.clients.digitalocean import DigitalOcean

    cloud = open_cloud(Params(cloud="digitalocean", node_count=2), folder)
    cloud._client = DigitalOcean(
        digitalocean.token, endpoint=digitalocean.endpoint, ca_file=digitalocean.ca_file
    )
    quote = cloud.quote()
    # 4 nodes at 0.03571 and 2 load balancers at 0.01786; 4 x 24 and 2 x 12 a month
    assert quote.usd_per_hour == Decimal("0.17856")
    assert quote.usd_per_month == 120
    assert quote.billed
    assert "2 clusters x 2 nodes s-2vcpu-4gb" in quote.text


def test_a_node_size_that_is_not_offered_is_named_with_others(folder, digitalocean):
    from labkit.clients.digitalocean import DigitalOcean

    cloud = open_cloud(Params(cloud="digitalocean", node_size="s-999vcpu"), folder)
    cloud._client = DigitalOcean(
        digitalocean.token, endpoint=digitalocean.endpoint, ca_file=digitalocean.ca_file
    )
    with pytest.raises(InputError, match="do not fit the cloud") as caught:
        cloud.quote()
    assert caught.value.problems == ("node_size: `s-999vcpu` is not offered",)
    assert "s-1vcpu-1gb" in caught.value.fix


def test_an_embedded_cloud_that_never_ran_has_nothing_to_stop_or_bill(folder):
    cloud = open_cloud(Params(), folder)
    assert cloud.status() == {"running": False, "processes": []}
    assert cloud.leftovers() == []
    assert cloud.delete_clusters(lambda *_: None) == []
    assert cloud.stop()["processes_left"] == []


def test_an_embedded_cloud_that_does_not_run_says_how_to_start_it(folder):
    folder.cloud_state.mkdir()
    with pytest.raises(StateError, match="is not running") as caught:
        _ = open_cloud(Params(), folder).client
    assert caught.value.fix == "run `labkit up`"


def test_a_problem_of_the_daemon_arrives_with_its_way_out(folder):
    folder.cloud_state.write_text("a file where the state folder belongs")
    with pytest.raises(LabkitError, match="cannot be written") as caught:
        open_cloud(Params(), folder)._daemon("start")
    assert "LABKIT_HOME" in caught.value.fix


def test_a_cloud_that_does_not_answer_is_stopped_all_the_same(folder):
    class Unreachable:
        name, linkerd_command, stopped, bills = "embedded", ("linkerd",), False, False

        def charges(self):
            raise LabkitError("no answer")

        def delete_clusters(self, _report):
            raise LabkitError("no answer")

        def stop(self):
            self.stopped = True
            return {"was_running": True, "ended": [], "processes_left": []}

    cloud = Unreachable()
    with pytest.raises(LabkitError, match="no answer"):
        Lab(params=Params(), folder=folder, cloud=cloud).tear_down()
    assert cloud.stopped


def test_kubectl_of_the_lab_is_the_pinned_one(folder):
    clouds.install_kubectl(folder)
    clouds.install_kubectl(folder)
    target = folder.commands / "kubectl"
    assert target.is_symlink()
    assert os.access(target, os.X_OK)


@pytest.mark.parametrize(
    "params",
    [Params(cloud="digitalocean"), Params(cloud="existing", west_context="a", east_context="b")],
    ids=lambda params: params.cloud,
)
def test_a_real_network_cannot_be_set_and_the_lab_says_so(folder, params):
    with pytest.raises(StateError, match="cannot be set") as caught:
        Lab.of(params).wan()
    assert caught.value.seen == f"on cloud {params.cloud} it is a real network"


def test_the_network_of_an_embedded_cloud_that_does_not_run_is_a_message(folder):
    with pytest.raises(StateError, match="is not running"):
        Lab.of(Params()).wan()
