import logging
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from labkit.clients.digitalocean import DigitalOcean
from labkit.clients.digitalocean_values import ClusterSpec
from labkit.clients.lab_tags import lab_tags
from labkit.embedded.digitalocean.progression import Progression
from labkit.errors import CloudError, StateError, WaitTimeout


def tags(cluster):
    return lab_tags("demo", cluster=cluster, nonce="00ff", ttl_hours=4, owner="ann")


def spec(name="west", region="sfo3", **changes):
    values = {
        "version": "1.36.2-do.0",
        "node_size": "s-2vcpu-4gb",
        "node_count": 3,
        "tags": tags(name),
    }
    return ClusterSpec(name=name, region=region, **values | changes)


@pytest.fixture
def cloud(digitalocean):
    with DigitalOcean(
        digitalocean.token,
        endpoint=digitalocean.endpoint,
        ca_file=digitalocean.ca_file,
        settle_s=0.2,
    ) as client:
        yield client


def delete(cloud, cluster_id):
    return cloud.delete_cluster(cluster_id, remember=lambda _: None)


def posts(server):
    return [e for e in server.exchanges if e.method == "POST"]


def create_balancer(server, cluster, name="lb"):
    rule = {
        "entry_protocol": "tcp",
        "entry_port": 4143,
        "target_protocol": "tcp",
        "target_port": 31000,
    }
    body = {
        "name": name,
        "region": cluster.region,
        "tag": f"k8s:{cluster.id}",
        "forwarding_rules": [rule],
    }
    return server.on_loop(server.state.balancers.create, body)["id"]


def test_the_account_is_read(cloud):
    account = cloud.account()
    assert account.status == "active"
    assert account.droplet_limit >= 6


def test_the_catalogue_is_read_with_prices(cloud):
    sizes = {size.slug: size for size in cloud.sizes()}
    assert sizes["s-2vcpu-4gb"].price_hourly_usd == pytest.approx(0.03571)
    assert {"sfo3", "syd1"} <= {region.slug for region in cloud.regions()}
    assert next(iter(cloud.options().versions)) == "1.36.2-do.0"


def test_a_cluster_is_created_waited_for_and_deleted(cloud):
    seen = []
    created = cloud.create_cluster(spec())
    assert created.state == "provisioning"
    running = cloud.wait_running(
        created.id, on_progress=lambda cluster, _: seen.append(cluster.state)
    )
    assert running.is_running
    assert running.nodes_running == 3
    assert seen[-1] == "running"
    assert cloud.find_cluster("west") == running
    delete(cloud, created.id)
    cloud.wait_deleted(created.id, timeout_s=5)
    assert cloud.clusters() == []


def test_a_kubeconfig_is_read_although_pydo_cannot(cloud):
    cluster = cloud.create_cluster(spec())
    cloud.wait_running(cluster.id)
    config = yaml.safe_load(cloud.kubeconfig(cluster.id))
    assert config["current-context"] == "do-sfo3-west"


def test_creating_twice_gives_the_same_cluster(cloud, digitalocean):
    assert cloud.create_cluster(spec()).id == cloud.create_cluster(spec()).id
    assert len(posts(digitalocean)) == 1


def test_a_foreign_cluster_of_the_same_name_is_refused(cloud):
    cloud.create_cluster(spec(tags=("labkit", "lab:other")))
    with pytest.raises(StateError, match="not of this lab"):
        cloud.create_cluster(spec())


@pytest.mark.parametrize("status", [500, 503, 504])
def test_a_create_that_was_executed_but_answered_badly_is_found_by_name(
    cloud, digitalocean, status
):
    attempts = []

    async def look(request, handler):
        return await handler(request)

    async def execute_then_fail(request, handler):
        attempts.append(request.method)
        await handler(request)
        return web.json_response({"id": "server_error", "message": "no"}, status=status)

    digitalocean.fail_next += [look, execute_then_fail]
    created = cloud.create_cluster(spec())
    assert created.name == "west"
    assert attempts == ["POST"]
    assert len(cloud.clusters()) == 1


def test_a_create_that_fails_is_looked_for_before_each_of_its_few_tries(cloud, digitalocean):
    digitalocean.faults({"name": "server_error", "method": "POST"})
    with pytest.raises(CloudError, match="tried 3 times") as caught:
        cloud.create_cluster(spec())
    assert caught.value.status == 500
    methods = [exchange.method for exchange in digitalocean.exchanges]
    assert methods.count("POST") == 3
    assert "POST POST" not in " ".join(methods)
    assert cloud.clusters() == []


def test_a_refused_create_says_what_the_api_said(cloud):
    with pytest.raises(CloudError, match="invalid size slug") as caught:
        cloud.create_cluster(spec(node_size="s-999vcpu"))
    assert caught.value.status == 422


def test_a_404_is_an_error_not_a_result(cloud):
    with pytest.raises(CloudError, match="could not be found") as caught:
        cloud.cluster("00000000-0000-4000-8000-000000000000")
    assert caught.value.status == 404


def test_a_kubeconfig_of_a_missing_cluster_is_a_404(cloud):
    with pytest.raises(CloudError) as caught:
        cloud.kubeconfig("00000000-0000-4000-8000-000000000000")
    assert caught.value.status == 404


def test_deleting_takes_the_load_balancers_along(cloud, digitalocean):
    west, east = cloud.create_cluster(spec()), cloud.create_cluster(spec("east", "syd1"))
    create_balancer(digitalocean, west, "lb-west")
    create_balancer(digitalocean, east, "lb-east")
    assert [b.ip[:8] for b in cloud.resources.load_balancers()] == ["203.0.11", "198.51.1"]
    assert list(delete(cloud, west.id).load_balancers.values()) == ["lb-west"]
    assert [b.name for b in cloud.resources.load_balancers()] == ["lb-east"]


def test_deleting_what_is_gone_is_no_error(cloud):
    missing = "00000000-0000-4000-8000-000000000000"
    assert delete(cloud, missing).is_empty
    cloud.resources.delete("load_balancers", missing)
    cloud.wait_deleted(missing, timeout_s=1)


def test_lists_longer_than_a_page_are_complete(cloud, digitalocean):
    west = cloud.create_cluster(spec())
    for number in range(105):
        create_balancer(digitalocean, west, f"lb-{number}")
    assert len(cloud.resources.load_balancers()) == 105


def test_waiting_ends_with_the_last_state_seen(serve_digitalocean, tmp_path):
    slow = Progression.after_seconds(3600)
    with (
        serve_digitalocean(tmp_path, standalone=True, progression=slow) as server,
        DigitalOcean(server.token, endpoint=server.endpoint, ca_file=server.ca_file) as cloud,
    ):
        cluster = cloud.create_cluster(spec())
        with pytest.raises(WaitTimeout, match="state provisioning, 0 of 3 nodes"):
            cloud.wait_running(cluster.id, timeout_s=0.1)


def test_a_wrong_token_is_named_without_being_shown(digitalocean):
    wrong = "dop_v1_" + "bad0" * 16
    with DigitalOcean(wrong, endpoint=digitalocean.endpoint, ca_file=digitalocean.ca_file) as cloud:
        assert "dop_v1" not in repr(cloud)
        with pytest.raises(CloudError, match="DIGITALOCEAN_TOKEN") as caught:
            cloud.account()
    assert caught.value.status == 401
    assert wrong not in str(caught.value)


def test_no_token_in_any_log(cloud, digitalocean, caplog):
    caplog.set_level(logging.DEBUG)
    cloud.wait_running(cloud.create_cluster(spec()).id)
    assert caplog.records
    assert digitalocean.token not in caplog.text


def test_an_unknown_authority_is_refused(digitalocean, tmp_path):
    with (
        DigitalOcean(digitalocean.token, endpoint=digitalocean.endpoint) as cloud,
        pytest.raises(CloudError, match="could not be reached"),
    ):
        cloud.account()


def test_nobody_there_is_a_cloud_error(tmp_path):
    with (
        DigitalOcean("t" * 10, endpoint="https://127.0.0.1:1") as cloud,
        pytest.raises(CloudError, match="could not be reached") as caught,
    ):
        cloud.account()
    assert caught.value.status is None


def _azure_classes():
    from azure.core import exceptions

    return [
        value
        for value in vars(exceptions).values()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and value.__module__ == exceptions.__name__
    ]


@pytest.mark.parametrize("kind", _azure_classes(), ids=lambda kind: kind.__name__)
def test_every_exception_of_azure_core_is_translated(kind):
    cloud = DigitalOcean("s3cr3t-token", endpoint="https://127.0.0.1:1")
    exception = kind.__new__(kind)
    Exception.__init__(exception, "with s3cr3t-token inside")
    exception.message = "with s3cr3t-token inside"
    with (
        pytest.raises(CloudError, match="Trying") as caught,
        cloud._wire.errors.translated("Trying"),
    ):
        raise exception
    cloud.close()
    assert caught.value.__cause__ is exception
    assert "s3cr3t" not in str(caught.value)


def test_the_contract_is_exercised_by_every_operation_of_the_client(contract, cloud, digitalocean):
    cluster = cloud.create_cluster(spec())
    cloud.wait_running(cluster.id)
    balancer = create_balancer(digitalocean, cluster)
    for call in (
        cloud.account,
        cloud.regions,
        cloud.sizes,
        cloud.options,
        cloud.resources.load_balancers,
    ):
        call()
    cloud.kubeconfig(cluster.id)
    cloud.resources.delete("load_balancers", balancer)
    delete(cloud, cluster.id)
    used = {
        (e.method, e.path.replace(cluster.id, "ID").replace(balancer, "ID"))
        for e in digitalocean.exchanges
    }
    assert len(used) == 12
    for exchange in digitalocean.exchanges:
        contract.check(exchange)


def test_the_token_is_in_no_file_of_the_client(cloud, digitalocean, tmp_path):
    cloud.account()
    for file in Path(tmp_path).rglob("*"):
        assert not file.is_file() or digitalocean.token.encode() not in file.read_bytes()
