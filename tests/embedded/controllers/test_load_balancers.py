"""Services of type LoadBalancer get an address from the emulated DigitalOcean account."""

from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from labkit.embedded.controllers import load_balancers
from labkit.embedded.controllers.events import EventWriter
from labkit.embedded.controllers.informers import SharedInformers
from labkit.embedded.controllers.load_balancers import Cloud
from labkit.embedded.digitalocean.app import create_app
from labkit.embedded.digitalocean.state import DigitalOceanState
from labkit.embedded.kube import path_of

NS = "shop"
TOKEN = "dop_v1_" + "5ec2e7" * 10
FINALIZER = "service.kubernetes.io/load-balancer-cleanup"


@pytest.fixture
async def account(tmp_path):
    """The emulated account and where its API is."""
    state = DigitalOceanState(tmp_path / "digitalocean.sqlite")
    server = TestServer(create_app(state, TOKEN))
    await server.start_server()
    yield state, Cloud(base_url=str(server.make_url("")), token=TOKEN, region="sfo3")
    await server.close()
    state.close()


@pytest.fixture
async def cloud_controller(cluster, account, run_in_background):
    """The cloud controller beside all others; yields the account's state."""
    state, cloud = account
    async with SharedInformers.open(cluster.kube) as informers:
        events = EventWriter(cluster.kube)
        run = load_balancers.run(cluster.kube, informers, events, cloud=cloud)
        async with run_in_background(run, events.run()):
            yield state


def gateway() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "linkerd-gateway"},
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app": "linkerd-gateway"},
            "ports": [{"name": "mc-gateway", "port": 4143}, {"name": "mc-probe", "port": 4191}],
        },
    }


async def read(cluster: Any) -> dict[str, Any]:
    return await cluster.kube.get(path_of("v1", "services", NS, "linkerd-gateway"))


async def address(cluster: Any) -> str:
    ingress = (await read(cluster))["status"]["loadBalancer"].get("ingress") or [{}]
    return ingress[0].get("ip", "")


async def test_a_service_gets_the_address_of_its_load_balancer(cluster, cloud_controller):
    await cluster.add_namespace(NS)
    await cluster.create(gateway(), NS)
    ip = await cluster.eventually(lambda: address(cluster))
    [balancer] = cloud_controller.load_balancers()
    assert balancer["ip"] == ip
    assert [rule["entry_port"] for rule in balancer["forwarding_rules"]] == [4143, 4191]
    service = await read(cluster)
    uid = service["metadata"]["uid"].replace("-", "")
    assert balancer["name"] == f"a{uid}"[:32]
    assert service["metadata"]["finalizers"] == [FINALIZER]

    async def told() -> bool:
        events = await cluster.items("v1", "events", NS)
        return {e["reason"] for e in events} >= {"EnsuringLoadBalancer", "EnsuredLoadBalancer"}

    await cluster.eventually(told)


async def test_the_load_balancer_goes_with_the_service(cluster, cloud_controller):
    await cluster.add_namespace(NS)
    await cluster.create(gateway(), NS)
    await cluster.eventually(lambda: address(cluster))
    await cluster.kube.delete(path_of("v1", "services", NS, "linkerd-gateway"))
    await cluster.eventually(lambda: cluster.is_gone("v1", "services", NS, "linkerd-gateway"))
    assert cloud_controller.load_balancers() == []


async def test_a_service_that_is_no_longer_one_gives_its_address_back(cluster, cloud_controller):
    await cluster.add_namespace(NS)
    await cluster.create(gateway(), NS)
    await cluster.eventually(lambda: address(cluster))
    path = path_of("v1", "services", NS, "linkerd-gateway")
    await cluster.kube.patch(path, {"spec": {"type": "ClusterIP"}})

    async def released() -> bool:
        return "finalizers" not in (await read(cluster))["metadata"]

    await cluster.eventually(released)
    assert cloud_controller.load_balancers() == []
    assert await address(cluster) == ""


async def test_a_restart_finds_the_load_balancer_again(cluster, account, run_in_background):
    state, cloud = account
    await cluster.add_namespace(NS)
    await cluster.create(gateway(), NS)
    path = path_of("v1", "services", NS, "linkerd-gateway")
    for _ in range(2):
        # The second life knows neither the id nor the address, as after a crash in between.
        note = {load_balancers.ID_ANNOTATION: None}
        await cluster.kube.patch(path, {"metadata": {"annotations": note}})
        status = {"status": {"loadBalancer": {"ingress": None}}}
        await cluster.kube.patch(f"{path}/status", status)
        async with SharedInformers.open(cluster.kube) as informers:
            events = EventWriter(cluster.kube)
            run = load_balancers.run(cluster.kube, informers, events, cloud=cloud)
            async with run_in_background(run):
                await cluster.eventually(lambda: address(cluster))
    assert len(state.load_balancers()) == 1


async def test_new_nodes_join_the_load_balancer(cluster, cloud_controller):
    await cluster.add_namespace(NS)
    await cluster.create(gateway(), NS)
    await cluster.eventually(lambda: address(cluster))
    await cluster.add_node("node-a", providerID="digitalocean://4711")

    async def joined() -> bool:
        return cloud_controller.load_balancers()[0]["droplet_ids"] == [4711]

    await cluster.eventually(joined)


async def test_a_cloud_that_does_not_answer_is_told_as_an_event(cluster, run_in_background):
    await cluster.add_namespace(NS)
    await cluster.create(gateway(), NS)
    cloud = Cloud(base_url="http://127.0.0.1:1", token=TOKEN, region="sfo3")
    async with SharedInformers.open(cluster.kube) as informers:
        events = EventWriter(cluster.kube)
        run = load_balancers.run(cluster.kube, informers, events, cloud=cloud)
        async with run_in_background(run, events.run()):

            async def told() -> bool:
                found = await cluster.items("v1", "events", NS)
                messages = [e["message"] for e in found if e["reason"] == "SyncLoadBalancerFailed"]
                return bool(messages) and TOKEN not in messages[0]

            await cluster.eventually(told)


def test_the_token_is_in_no_representation():
    assert TOKEN not in repr(Cloud(base_url="https://x", token=TOKEN, region="ams3"))
