"""The state as the daemon sees it, and what survives a restart."""

import asyncio
import stat

import pytest

from labkit.embedded.digitalocean.changes import Changes
from labkit.embedded.digitalocean.errors import ApiError
from labkit.embedded.digitalocean.progression import Progression
from labkit.embedded.digitalocean.state import DigitalOceanState

POOL = {"name": "pool", "size": "s-2vcpu-4gb", "count": 2}
BODY = {"name": "west", "region": "sfo3", "version": "latest", "node_pools": [POOL]}
READY = {"endpoint": "https://127.0.0.1:6443", "ca_pem": b"PEM", "token": "t"}


@pytest.fixture
def database(tmp_path):
    return tmp_path / "cloud.db"


@pytest.fixture
def state(database):
    opened = DigitalOceanState(database)
    yield opened
    opened.close()


def state_of(state, cluster_id):
    return state.cluster(cluster_id)["status"]["state"]


def test_a_cluster_runs_when_the_daemon_says_so(state):
    cluster_id = state.create_cluster(BODY)["id"]
    assert state_of(state, cluster_id) == "provisioning"
    state.cluster_ready(cluster_id, **READY)
    cluster = state.cluster(cluster_id)
    assert cluster["status"]["state"] == "running"
    assert cluster["endpoint"] == "https://127.0.0.1:6443"


def test_the_daemon_learns_what_to_run(state):
    state.create_cluster(BODY)
    (wanted,) = state.wanted_clusters()
    assert (wanted.name, wanted.region, wanted.version) == ("west", "sfo3", "1.36.2-do.0")
    assert (wanted.cluster_subnet, wanted.service_subnet) == ("10.244.0.0/16", "10.96.0.0/16")
    assert len({node.name for node in wanted.nodes}) == 2
    assert not wanted.ready
    assert not wanted.deleting


def test_a_deleted_cluster_is_deleting_until_the_daemon_forgets_it(state):
    cluster_id = state.create_cluster(BODY)["id"]
    state.cluster_ready(cluster_id, **READY)
    state.delete_cluster(cluster_id)
    assert state.wanted_clusters()[0].deleting
    assert state_of(state, cluster_id) == "deleting"
    state.cluster_ready(cluster_id, **READY)
    assert state_of(state, cluster_id) == "deleting"
    state.forget(cluster_id)
    with pytest.raises(ApiError, match="could not be found"):
        state.cluster(cluster_id)
    assert state.wanted_clusters() == []


def test_a_cluster_that_is_being_deleted_cannot_be_updated(state):
    cluster_id = state.create_cluster(BODY)["id"]
    state.delete_cluster(cluster_id)
    with pytest.raises(ApiError) as caught:
        state.update_cluster(cluster_id, {"tags": []})
    assert caught.value.status == 409


def test_a_restart_loses_and_doubles_nothing(database):
    first = DigitalOceanState(database)
    cluster_id = first.create_cluster(BODY)["id"]
    first.cluster_ready(cluster_id, **READY)
    before = (first.account(), first.cluster(cluster_id), first.wanted_clusters())
    second = DigitalOceanState(database)  # the first one was killed: nobody closed it
    assert (second.account(), second.cluster(cluster_id), second.wanted_clusters()) == before
    with pytest.raises(ApiError, match="already exists"):
        second.create_cluster(BODY)
    first.close()
    second.close()


def test_a_new_endpoint_after_a_restart_replaces_the_old_one(state):
    cluster_id = state.create_cluster(BODY)["id"]
    state.cluster_ready(cluster_id, **READY)
    state.cluster(cluster_id)
    state.cluster_ready(cluster_id, **READY | {"endpoint": "https://127.0.0.1:7000"})
    assert state.cluster(cluster_id)["endpoint"] == "https://127.0.0.1:7000"
    assert "https://127.0.0.1:7000" in state.kubeconfig(cluster_id)


def test_the_database_is_private(database, state):
    state.create_cluster(BODY)
    modes = {stat.S_IMODE(f.stat().st_mode) for f in database.parent.iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize(
    ("progression", "reads", "expected"),
    [
        (Progression(), 1, "running"),
        (Progression.after_reads(2), 2, "provisioning"),
        (Progression.after_reads(2), 3, "running"),
        (Progression.after_seconds(3600), 5, "provisioning"),
        (Progression.after_seconds(0), 1, "running"),
    ],
)
def test_progression_decides_when_a_served_cluster_runs(database, progression, reads, expected):
    state = DigitalOceanState(database, progression=progression)
    cluster_id = state.create_cluster(BODY)["id"]
    state.cluster_ready(cluster_id, **READY)
    assert [state_of(state, cluster_id) for _ in range(reads)][-1] == expected
    state.close()


def test_addresses_of_deleted_load_balancers_are_used_again(state):
    rule = {"entry_protocol": "tcp", "entry_port": 1, "target_protocol": "tcp", "target_port": 1}
    body = {"region": "syd1", "tag": "x", "forwarding_rules": [rule]}
    first = state.balancers.create(body | {"name": "a"})["id"]
    state.balancers.create(body | {"name": "b"})
    state.balancers.delete(first)
    state.balancers.create(body | {"name": "c"})
    assert [b["ip"] for b in state.balancers.list()] == ["203.0.113.11", "203.0.113.10"]


def test_a_cluster_that_is_being_deleted_gets_no_new_load_balancer(state):
    cluster_id = state.create_cluster(BODY)["id"]
    state.delete_cluster(cluster_id)
    rule = {"entry_protocol": "tcp", "entry_port": 1, "target_protocol": "tcp", "target_port": 1}
    body = {"name": "a", "region": "sfo3", "tag": f"k8s:{cluster_id}", "forwarding_rules": [rule]}
    with pytest.raises(ApiError, match="being destroyed"):
        state.balancers.create(body)
    assert state.balancers.list() == []


async def test_a_change_wakes_everybody_who_waits():
    changes = Changes()
    waiting = [asyncio.create_task(changes.wait(0)) for _ in range(2)]
    await asyncio.sleep(0)
    changes.notify()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [1, 1]


async def test_a_change_between_two_waits_is_not_missed(state):
    seen = await state.changed.wait(-1)
    state.create_cluster(BODY)
    assert await asyncio.wait_for(state.changed.wait(seen), 5) == seen + 1
