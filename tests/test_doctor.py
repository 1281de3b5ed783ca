"""The doctor without a lab and without a network, and what a sick cloud looks like to it."""

import json
import os
from types import SimpleNamespace

import keyring
import pytest
import yaml
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from labkit.clients.digitalocean import DigitalOcean
from labkit.clients.digitalocean_values import Account
from labkit.clients.linkerd_support import minimum_kubernetes, supports
from labkit.clouds import find_token, open_cloud
from labkit.clouds import token as token_module
from labkit.clouds.account import _droplets
from labkit.doctor import examine
from labkit.folder import LabFolder
from labkit.lab import Lab
from labkit.params import Params
from tests.support.emulated_digitalocean import TOKEN

SECRET = "dop_v1_" + "c0ffee" * 10


class Vault(KeyringBackend):
    """A keyring in memory."""

    priority = -1  # never chosen by itself
    locked = False

    def get_password(self, service, username):
        if self.locked:
            raise KeyringLocked("locked " + SECRET)
        return SECRET if (service, username) == ("labkit", "digitalocean") else None

    def set_password(self, service, username, password):
        raise NotImplementedError

    def delete_password(self, service, username):
        raise NotImplementedError


@pytest.fixture
def vault(monkeypatch):
    for name in token_module.TOKEN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    before, found = keyring.get_keyring(), Vault()
    keyring.set_keyring(found)
    yield found
    keyring.set_keyring(before)


def test_the_environment_comes_before_the_keyring(vault, monkeypatch):
    assert find_token().value == SECRET
    assert find_token().source == "keyring (labkit, digitalocean)"
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", "dop_v1_other")
    assert find_token().value == "dop_v1_other"
    assert find_token().source == "environment DIGITALOCEAN_ACCESS_TOKEN"


def test_a_token_shows_in_no_repr(vault):
    assert SECRET not in repr(find_token())


def test_a_locked_keyring_is_a_reason_and_no_error(vault):
    vault.locked = True
    found = find_token()
    assert found.value == ""
    assert any("locked" in reason for reason in found.tried)
    assert SECRET not in str(found)


@pytest.mark.parametrize(
    ("linkerd", "minimum"),
    [
        ("stable-2.13.4", "1.21"),
        ("stable-2.14.10", "1.21"),
        ("edge-25.5.2", "1.22"),
        ("edge-25.10.7", "1.29"),
        ("edge-26.6.3", "1.31"),
        ("edge-26.8.3", "1.31"),
        ("version-2.20", "1.31"),
        ("edge-22.1.1", None),
    ],
)
def test_each_linkerd_has_its_oldest_kubernetes(linkerd, minimum):
    assert minimum_kubernetes(linkerd) == minimum


def test_a_kubernetes_that_is_too_old_is_told_with_both_versions():
    assert supports("edge-26.6.3", "1.36.2")[0]
    holds, text = supports("edge-26.6.3", "1.30.9")
    assert not holds
    assert text == "Kubernetes 1.30.9; edge-26.6.3 needs 1.31 or newer"


def rows_of(done):
    assert "Traceback" not in done.stderr
    return {row["id"]: row for row in json.loads(done.stdout)}


def test_without_a_lab_the_doctor_answers_and_leaves_nothing(home):
    done = home.run("doctor", "--json")
    rows = rows_of(done)
    statuses = {row["status"] for row in rows.values()}
    assert done.returncode == (1 if "fail" in statuses else 3 if "warn" in statuses else 0)
    for name in ("here.python", "tools.kubectl", "tools.linkerd", "machine.envoy"):
        assert rows[name]["status"] == "pass", rows[name]
    assert list(home.root.iterdir()) == []
    assert home.processes() == []


def test_a_cloud_without_a_token_fails_with_what_to_paste(home):
    done = home.run("doctor", "-p", "cloud=digitalocean")
    assert done.returncode == 1
    assert "✘ account.token" in done.stdout
    assert "export DIGITALOCEAN_TOKEN" in done.stdout
    assert "Traceback" not in done.stderr


def test_contexts_that_are_missing_are_told_one_by_one(home):
    config = home.root / "user-config"
    config.write_text("apiVersion: v1\nkind: Config\n")
    words = ("cloud=existing", "west_context=a", "east_context=b")
    arguments = [part for word in words for part in ("-p", word)]
    done = home.run("doctor", *arguments, "--json", env={"KUBECONFIG": str(config)})
    rows = rows_of(done)
    assert done.returncode == 1
    assert "machine.envoy" not in rows
    for name in ("west.reachable", "east.rights", "contexts.two-clusters"):
        assert rows[name]["status"] == "fail"
        assert "no usable context" in rows[name]["reason"]


@pytest.fixture
def account(digitalocean, tmp_path, monkeypatch):
    """The doctor's outcomes for an emulated account."""
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))

    def asked(**values):
        params = Params(cloud="digitalocean", **values)
        cloud = open_cloud(params, LabFolder.of(params.lab_name))
        cloud._client = DigitalOcean(
            TOKEN, endpoint=digitalocean.endpoint, ca_file=digitalocean.ca_file
        )
        lab = Lab(params=params, folder=LabFolder.of(params.lab_name), cloud=cloud)
        return {outcome.id: outcome for outcome in examine(lab).outcomes}

    return asked


def test_an_account_that_offers_everything_passes(account):
    rows = account()
    for name in ("account.active", "account.scopes", "account.offers", "account.droplets"):
        assert rows[name].status == "pass", rows[name]


def test_everything_that_is_not_offered_is_told_at_once(account):
    row = account(node_size="s-999vcpu", kubernetes_version="1.2")["account.offers"]
    assert row.status == "fail"
    assert "node_size `s-999vcpu`" in row.reason
    assert "kubernetes_version `1.2`" in row.reason


def test_nodes_are_counted_against_the_limit_of_the_account(account):
    row = account(node_count=20)["account.droplets"]
    limit, wanted = int(row.reason.split()[1].rstrip(";")), 40
    assert "40 wanted" in row.reason
    assert row.status == ("pass" if wanted <= limit else "fail")


def test_more_nodes_than_the_account_may_have_are_refused():
    class Full:
        """An account with ten Droplets, and another lab's cluster of five nodes."""

        def account(self):
            return Account("", "", "active", 10, "")

        def clusters(self):
            return [SimpleNamespace(node_names=["n"] * 5, tags=["lab:other"])]

    refused = _droplets(Full(), Params(node_count=3))
    assert refused.status == "fail"
    assert refused.reason == "limit 10; 5 nodes of other clusters, 6 wanted for this lab"
    assert _droplets(Full(), Params(node_count=2)).status == "pass"


@pytest.mark.slow
def test_two_contexts_of_real_api_servers_are_asked_for_everything(module_home):
    """An embedded lab's two clusters, seen as clusters that the user has."""
    done = module_home.run("up", "--bare", "--lab-name", "first")
    assert done.returncode == 0, done.stderr
    try:
        lab = module_home.root / "first"
        config = yaml.safe_load((lab / "kubeconfig").read_text())
        (west,) = [item for item in config["contexts"] if item["name"] == "west"]
        config["contexts"].append({**west, "name": "west-again"})
        mine = module_home.root / "user-config"
        mine.write_text(yaml.safe_dump(config))
        path = f"{lab / 'bin'}{os.pathsep}{os.environ['PATH']}"
        env = {"KUBECONFIG": str(mine), "PATH": path}

        def asked(east):
            words = ("cloud=existing", "west_context=west", f"east_context={east}")
            arguments = [part for word in words for part in ("-p", word)]
            return rows_of(module_home.run("doctor", *arguments, "--json", env=env))

        rows = asked("east")
        for name in ("west.reachable", "east.rights", "east.kubernetes", "contexts.two-clusters"):
            assert rows[name]["status"] == "pass", rows[name]
        assert rows["west.rights"]["reason"] == "10 of 10 rights granted"
        assert asked("west-again")["contexts.two-clusters"]["status"] == "fail"
    finally:
        down = module_home.run("down", "--lab-name", "first")
    assert "processes left: 0" in down.stdout
