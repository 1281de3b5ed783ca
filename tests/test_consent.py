"""Nothing that is billed is created above the cap or without consent: no create request is sent."""

import io
import os
import sys
from contextlib import contextmanager

import pytest

from labkit.cli.common import agreed
from labkit.clients.digitalocean import DigitalOcean
from labkit.clouds import open_cloud
from labkit.errors import StateError
from labkit.folder import LabFolder
from labkit.lab import Lab
from labkit.params import Params, load_params
from labkit.runs import run_lab
from labkit.runs.sweep.running import require_consent_to_all


@pytest.fixture
def lab_at(digitalocean, tmp_path, monkeypatch):
    """A lab at the emulated DigitalOcean, as `labkit` would hold it."""
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    clients = []

    def made(**values):
        params = Params(cloud="digitalocean", **values)
        folder = LabFolder.of(params.lab_name)
        cloud = open_cloud(params, folder)
        cloud._client = DigitalOcean(
            digitalocean.token, endpoint=digitalocean.endpoint, ca_file=digitalocean.ca_file
        )
        clients.append(cloud._client)
        return Lab(params=params, folder=folder, cloud=cloud)

    yield made
    for client in clients:
        client.close()


def creates(server):
    return [item.path for item in server.exchanges if item.method not in ("GET", "HEAD")]


def test_above_the_cap_nothing_is_created_even_with_consent(lab_at, digitalocean):
    """3 nodes of s-2vcpu-4gb in two clusters cost 0.99992 USD in four hours."""
    with pytest.raises(StateError, match=r"would cost 1\.00 USD in its 4 hours, above") as caught:
        lab_at(max_cost_usd=0.99, approve_cost=True).create_clusters()
    assert "nothing was created" in caught.value.what
    assert "2 clusters x 3 nodes s-2vcpu-4gb" in caught.value.seen
    assert creates(digitalocean) == []


def test_without_consent_nothing_is_created_and_the_price_is_told(lab_at, digitalocean):
    with pytest.raises(StateError, match="nobody has agreed") as caught:
        lab_at(max_cost_usd=1).create_clusters()
    assert "0.25 USD an hour, 168.00 USD a month" in caught.value.seen
    assert "--yes" in caught.value.fix
    assert creates(digitalocean) == []


def test_the_cap_is_exact_to_the_last_digit(lab_at, digitalocean):
    for cap, refused in ((0.99991, "above max_cost_usd"), (0.99992, "nobody has agreed")):
        with pytest.raises(StateError, match=refused):
            lab_at(max_cost_usd=cap).create_clusters()
    assert creates(digitalocean) == []


def test_within_the_cap_and_with_consent_clusters_are_asked_for(lab_at, digitalocean):
    lab = lab_at(max_cost_usd=1, approve_cost=True)
    lab.folder.prepare()
    # the emulated account has no Kubernetes API behind it: the request itself is what matters
    lab.cloud.client.wait_running = lambda cluster_id, **_: lab.cloud.client.cluster(cluster_id)
    from labkit.chapters.clusters import _agree

    _agree(lab)
    lab.cloud.ensure_clusters(lab.regions, lambda *_: None)
    assert creates(digitalocean) == ["/v2/kubernetes/clusters"] * 2
    assert len(lab.read_meter().entries) == 2
    _agree(lab_at())  # both are there: nothing is asked again


def test_a_headless_run_without_consent_makes_no_run_folder(home, monkeypatch):
    environment = {"DIGITALOCEAN_TOKEN": "dop_v1_" + "0" * 64, "https_proxy": "http://127.0.0.1:9"}
    done = home.run("run", "-p", "cloud=digitalocean", env=environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not (home.root / "runs").exists()


def test_a_headless_run_above_the_cap_is_refused_before_anything(
    lab_at, digitalocean, tmp_path, monkeypatch
):
    lab = lab_at(max_cost_usd=0.5, approve_cost=True)
    monkeypatch.setattr(Lab, "of", classmethod(lambda _, __: lab))
    with pytest.raises(StateError, match=r"above max_cost_usd 0\.5"):
        run_lab(lab.params, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    assert creates(digitalocean) == []


def test_consent_is_read_as_text_and_never_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    params = load_params(overrides={"approve_cost": "true", "max_cost_usd": "2.5"}).params
    assert (params.approve_cost, params.max_cost_usd) == (True, 2.5)
    LabFolder.of("demo").write_params(params)
    kept = LabFolder.of("demo").read_params()
    assert (kept.approve_cost, kept.max_cost_usd) == (False, 2.5)


def test_consent_that_is_neither_yes_nor_no_is_told():
    with pytest.raises(ValueError, match="`maybe` is neither true nor false"):
        load_params(overrides={"approve_cost": "maybe"})


@contextmanager
def terminal(monkeypatch):
    """A terminal of one's own: what is typed there is what labkit reads."""
    ours, theirs = os.openpty()
    files = [os.fdopen(os.dup(theirs), mode) for mode in ("r", "w")]
    try:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", files[0])
            patch.setattr(sys, "stderr", files[1])
            yield ours
    finally:
        for file in files:
            file.close()
        for number in (ours, theirs):
            os.close(number)


@pytest.mark.parametrize(("typed", "consent"), [("demo\n", True), ("yes\n", False), ("\n", False)])
def test_on_a_terminal_the_labs_name_is_consent(lab_at, monkeypatch, typed, consent):
    lab, shown = lab_at(), ""
    with terminal(monkeypatch) as screen:
        os.write(screen, typed.encode())
        given = agreed(lab, yes=False).approve_cost
        while "to agree:" not in shown:
            shown += os.read(screen, 4096).decode()
    assert given is consent
    assert "one hour" in shown
    assert "0.25" in shown


def test_without_a_terminal_nothing_is_asked(lab_at, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("demo\n"))
    assert agreed(lab_at(), yes=False).approve_cost is False
    assert agreed(lab_at(), yes=True).approve_cost is True


def test_where_nothing_is_billed_nothing_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    with terminal(monkeypatch):
        given = agreed(Lab.of(Params()), yes=False).approve_cost
    assert given is False


def test_a_sweep_is_quoted_and_agreed_to_as_a_whole(lab_at, digitalocean):
    """Six labs of 0.24998 USD an hour."""
    with pytest.raises(StateError, match="Nobody has agreed to the cost of this sweep") as caught:
        require_consent_to_all(lab_at(), 6)
    assert caught.value.seen.startswith("6 points, each a lab of its own: 1.50 USD at list prices")
    assert "at most 6.00 USD when each lives for its 4 hours" in caught.value.seen
    assert "1.50 USD" in require_consent_to_all(lab_at(approve_cost=True), 6)
    with pytest.raises(StateError, match="above max_cost_usd"):
        require_consent_to_all(lab_at(approve_cost=True, max_cost_usd=0.5), 6)
    assert creates(digitalocean) == []


def test_a_sweep_where_nothing_is_billed_asks_nobody():
    assert require_consent_to_all(Lab.of(Params()), 6) == ""
