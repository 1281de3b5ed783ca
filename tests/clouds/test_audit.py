"""What a lab made is found, priced, removed; what only looks like it is not touched."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from labkit import clouds
from labkit.clients.digitalocean import DigitalOcean
from labkit.clients.digitalocean_values import ClusterSpec
from labkit.clients.lab_tags import LabTags, lab_tags
from labkit.clouds.audit import audit
from labkit.clouds.record import FILE, AccountRecord, RecordFile, read_record
from labkit.clouds.teardown import Teardown
from labkit.errors import CloudError, InputError, StateError
from labkit.opening import lab_of_run
from labkit.params import Params

REGIONS = {"west": "sfo3", "east": "syd1"}
RULE = {"entry_protocol": "tcp", "entry_port": 1, "target_protocol": "tcp", "target_port": 1}


@pytest.fixture
def client(digitalocean):
    with DigitalOcean(
        digitalocean.token,
        endpoint=digitalocean.endpoint,
        ca_file=digitalocean.ca_file,
        settle_s=0.2,
    ) as found:
        yield found


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def silent(_name, _text):
    """Reports to nobody."""


def lab_in(client, home, name="demo", ttl_hours=4.0):
    """A lab with both clusters, made as `up` makes them."""
    folder = clouds.LabFolder(home / name)
    cloud = clouds.open_cloud(
        Params(lab_name=name, cloud="digitalocean", node_count=2, ttl_hours=ttl_hours), folder
    )
    cloud._client = client
    cloud.ensure_clusters(REGIONS, silent)
    return cloud


def add_balancer(server, cluster_id, name="lb"):
    body = {"name": name, "region": "sfo3", "tag": f"k8s:{cluster_id}", "forwarding_rules": [RULE]}
    return server.on_loop(server.state.balancers.create, body)["id"]


def test_tags_have_only_characters_that_digitalocean_allows_and_say_whose_and_until_when():
    tags = lab_tags("demo", cluster="demo-west", nonce="00ff", ttl_hours=2, owner=None)
    assert all(set(tag) <= set("abcdefghijklmnopqrstuvwxyzABCTZ0123456789:-_") for tag in tags)
    read = LabTags.of(tags)
    assert (read.ours, read.lab, read.nonce) == (True, "demo", "00ff")
    assert read.owner
    assert not read.has_expired()
    assert read.has_expired(datetime.now(UTC) + timedelta(hours=3))
    assert read.prove("demo-west")
    assert not read.prove("demo-east")


def test_a_record_outlives_its_writer_and_a_damaged_one_is_told(tmp_path):
    records = RecordFile(tmp_path, "demo")
    record = records.read()
    records.asking(record, "demo-west")
    assert read_record(tmp_path / FILE) == record
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / FILE).write_text("{")
    with pytest.raises(StateError, match="cannot be read"):
        records.read()


def test_an_audit_lists_clusters_and_what_they_made_with_prices(client, digitalocean, home):
    digitalocean.faults("cluster_volumes")
    cloud = lab_in(client, home)
    west = next(c for c in client.clusters() if c.name == "demo-west")
    add_balancer(digitalocean, west.id)
    found = cloud.audit()
    assert found.exit_code == 1
    prices = {(item.kind, item.usd_per_month) for item in found.left}
    assert ("cluster", Decimal("48.0")) in prices  # two nodes of 24 USD
    assert ("load balancer", Decimal(12)) in prices
    assert ("volume", Decimal("1.00")) in prices  # 10 GiB of 0.10 USD
    assert ("snapshot", Decimal("0.090")) in prices  # 1.5 GiB of 0.06 USD
    assert len(found.left) == 7
    assert {item.lab for item in found.left} == {"demo"}


def test_what_survives_its_cluster_is_found_by_the_record_and_deleted(client, digitalocean, home):
    cloud = lab_in(client, home)
    west = next(c for c in client.clusters() if c.name == "demo-west")
    survivor = add_balancer(digitalocean, west.id)
    digitalocean.faults("survivor")
    deleted = cloud.delete_clusters(silent)
    assert "load balancer lb" in deleted
    assert client.resources.get("load_balancers", survivor) is None
    assert cloud.audit().exit_code == 0
    assert read_record(home / "demo" / FILE) is None


def test_a_cluster_deleted_by_hand_leaves_a_load_balancer_that_down_removes(
    client, digitalocean, home
):
    cloud = lab_in(client, home)
    west = next(c for c in client.clusters() if c.name == "demo-west")
    add_balancer(digitalocean, west.id)
    digitalocean.on_loop(digitalocean.state.delete_cluster, west.id)
    assert [item.kind for item in cloud.audit().left] == ["cluster", "load balancer"]
    assert "load balancer lb" in cloud.delete_clusters(silent)
    assert client.resources.load_balancers() == []


@pytest.mark.parametrize(
    "tags",
    [
        ("labkit", "lab:demo"),
        ("labkit", "lab:demo", f"labkit-id:{'0' * 16}-{'0' * 12}"),
        lab_tags("demo", cluster="demo-east", nonce="00ff", ttl_hours=1),
    ],
    ids=["only the tags", "a wrong check sum", "copied from another cluster"],
)
def test_a_look_alike_is_listed_apart_and_never_deleted(client, home, tags):
    size = {"version": "latest", "node_size": "s-2vcpu-4gb", "node_count": 1}
    client.create_cluster(ClusterSpec(name="demo-west", region="ams3", tags=tags, **size))
    record = AccountRecord(lab="demo", nonce="00ff", asked={"demo-west": 0.0})
    records = RecordFile(home / "demo", "demo")
    records.keep(record)
    assert Teardown(client, records, silent).run() == []
    found = audit(client, [record])
    assert (found.left, [item.name for item in found.look_alikes]) == ((), ["demo-west"])
    assert found.exit_code == 3
    assert [cluster.name for cluster in client.clusters()] == ["demo-west"]


def test_a_token_of_another_account_is_refused_and_forgets_nothing(client, home):
    cloud = lab_in(client, home)
    records = RecordFile(home / "demo", "demo")
    record = records.read()
    record.account = "another"
    records.keep(record)
    with pytest.raises(StateError, match="another account"):
        cloud.delete_clusters(silent)
    assert read_record(home / "demo" / FILE) == record
    assert "another account" in cloud.audit().unseen[0]


def test_other_parameters_than_those_of_a_cluster_that_is_there_are_refused(client, home):
    lab_in(client, home)
    params = Params(cloud="digitalocean", node_count=3)
    other = clouds.open_cloud(params, clouds.LabFolder(home / "demo"))
    other._client = client
    with pytest.raises(CloudError, match="node_count is 2, asked 3") as caught:
        other.ensure_clusters(REGIONS, silent)
    assert "labkit down` first" in caught.value.fix


def test_only_labs_whose_time_has_passed_are_reaped(client, home):
    lab_in(client, home, "old", ttl_hours=1e-6)
    lab_in(client, home, "new")
    now = datetime.now(UTC) + timedelta(seconds=1)
    labs = {lab.lab: lab for lab in clouds.labs_of(client)}
    assert {name: lab.has_expired(now) for name, lab in labs.items()} == {"old": True, "new": False}
    deleted = clouds.reap(client, labs["old"], silent)
    assert sorted(deleted) == ["cluster old-east", "cluster old-west"]
    assert sorted(c.name for c in client.clusters()) == ["new-east", "new-west"]


def test_a_lab_of_another_machine_is_reaped_from_its_tags_alone(client, digitalocean, home):
    lab_in(client, home, "lost", ttl_hours=1e-6)
    for cluster in client.clusters():
        add_balancer(digitalocean, cluster.id, f"lb-{cluster.name}")
    (home / "lost" / FILE).unlink()
    digitalocean.faults("survivor")
    (lab,) = clouds.labs_of(client)
    clouds.reap(client, lab, silent)
    assert clouds.audit_account(client).left == ()
    assert client.resources.load_balancers() == []
    assert list((home / "reaped").glob(f"*/{FILE}")) == []


def test_a_run_folder_is_enough_to_take_its_lab_down(client, home, tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    params = Params(cloud="digitalocean", node_count=2)
    (run / "params.json").write_text(params.model_dump_json())
    monkeypatch.setenv("LABKIT_RUN_FOLDER", str(run))
    lab_in(client, home)
    monkeypatch.delenv("LABKIT_RUN_FOLDER")
    (home / "demo" / FILE).unlink()
    lab = lab_of_run(run)
    assert lab.params == params
    lab.cloud._client = client
    assert sorted(lab.tear_down()["deleted"]) == ["cluster demo-east", "cluster demo-west"]
    assert client.clusters() == []


def test_a_run_folder_of_a_lab_that_was_made_anew_is_refused(client, home, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "params.json").write_text(Params(cloud="digitalocean").model_dump_json())
    RecordFile(run, "demo").keep(AccountRecord(lab="demo", clusters={"1": "demo-west"}))
    lab_in(client, home)
    with pytest.raises(StateError, match="made anew"):
        lab_of_run(run)
    with pytest.raises(InputError, match="no run folder"):
        lab_of_run(tmp_path / "nowhere")
