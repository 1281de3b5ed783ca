import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from time import perf_counter

import psutil
import pytest
from aiohttp.test_utils import TestClient, TestServer

from labkit.certs import create_root
from labkit.embedded.apiserver.server import ApiServer, ApiServerConfig, User
from labkit.embedded.digitalocean.app import create_app
from labkit.embedded.digitalocean.handlers import STATE
from labkit.embedded.digitalocean.state import DigitalOceanState
from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.network.wan import ClusterNetwork, WanConfig, WideAreaNetwork
from labkit.embedded.network.wan_live import PATH, LiveWan, routes
from labkit.embedded.processes import ProcessTable
from labkit.errors import InputError

WAN = WanConfig.from_json({"seed": 7, "pairs": [{"a": "sfo3", "b": "syd1", "rtt_ms": 30}]})


@pytest.fixture
async def clusters(tmp_path: Path) -> AsyncIterator[dict[str, ClusterNetwork]]:
    """Two real API servers, west in sfo3 and east in syd1."""
    ca = create_root("test-ca")
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.certificate)
    servers, found = [], {}
    for name, region in (("west", "sfo3"), ("east", "syd1")):
        config = ApiServerConfig(
            name=name,
            database=tmp_path / f"{name}.sqlite",
            ca=ca,
            service_account_key=create_root("accounts").key,
            tokens={"token": User("admin", ("system:masters",))},
            kubelet_token="kubelet",
        )
        server = ApiServer(config)
        await server.start()
        servers.append(server)
        found[name] = ClusterNetwork(
            name, region, KubeClient(server.url, token="token", ca_file=ca_file)
        )
    yield found
    for cluster in found.values():
        await cluster.kube.close()
    for server in servers:
        await server.stop()


@pytest.fixture
async def network(clusters, short_dir, tmp_path) -> AsyncIterator[WideAreaNetwork]:
    table = ProcessTable(tmp_path / "state")
    network = WideAreaNetwork(
        WAN, run_dir=short_dir, log_file=tmp_path / "relay.log", processes=table
    )
    for cluster in clusters.values():
        network.add(cluster)
    task = asyncio.create_task(network.run())
    yield network
    task.cancel()
    await asyncio.wait({task})
    assert all(not record.alive() for record in table.records())


async def publish_gateway(kube: KubeClient, *, address: str, ready: bool = True) -> None:
    """A gateway pod behind a load balancer with a public address."""
    meta = {"name": "gateway", "namespace": "default"}
    sockets = {"network.labkit.dev/sockets": json.dumps({"4143": address})}
    spec = {"containers": [{"name": "pause", "image": "registry.k8s.io/pause"}]}
    with contextlib.suppress(KubeError):  # it may exist
        await kube.create(
            path_of("v1", "serviceaccounts", "default"), {"metadata": {"name": "default"}}
        )
    await kube.create(
        path_of("v1", "pods", "default"),
        {"metadata": {**meta, "annotations": sockets}, "spec": spec},
    )
    running = {"status": {"phase": "Running"}}
    await kube.patch(path_of("v1", "pods", "default", "gateway", "status"), running)
    service = {
        "metadata": meta,
        "spec": {
            "type": "LoadBalancer",
            "ports": [{"name": "mc-gateway", "port": 4143, "targetPort": 4143}],
        },
    }
    await kube.create(path_of("v1", "services", "default"), service)
    ingress = {"loadBalancer": {"ingress": [{"ip": "198.51.100.10", "ipMode": "VIP"}]}}
    path = path_of("v1", "services", "default", "gateway", "status")
    await kube.patch(path, {"status": ingress})
    slice_ = {
        "metadata": {"name": "gateway-x", "labels": {"kubernetes.io/service-name": "gateway"}},
        "addressType": "IPv4",
        "ports": [{"name": "mc-gateway", "port": 4143, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": ["10.245.0.9"],
                "conditions": {"ready": ready},
                "targetRef": {"kind": "Pod", "name": "gateway", "namespace": "default"},
            }
        ],
    }
    await kube.create(path_of("discovery.k8s.io/v1", "endpointslices", "default"), slice_)


async def wait_route(cluster: ClusterNetwork, condition) -> list[str]:
    path = path_of("v1", "configmaps", "kube-system", "network-routes")
    found = None
    async with asyncio.timeout(20):
        while True:
            table = {}
            with contextlib.suppress(KubeError):  # not written yet
                table = (await cluster.kube.get(path)).get("data") or {}
            found = table.get("198.51.100.10_4143")
            if condition(found):
                return [] if found is None else json.loads(found)
            await asyncio.sleep(0.02)


async def round_trip(address: str) -> float:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for _ in range(2):
            began = perf_counter()
            writer.write(b"ping")
            assert await asyncio.wait_for(reader.readexactly(4), 5) == b"ping"
        return perf_counter() - began
    finally:
        writer.close()


async def test_a_public_address_is_near_at_home_and_far_from_abroad(network, clusters, echo):
    await publish_gateway(clusters["east"].kube, address=echo.address)
    assert await wait_route(clusters["east"], lambda found: found not in (None, "[]")) == [
        echo.address
    ]
    (far,) = await wait_route(clusters["west"], lambda found: found is not None)
    assert far != echo.address
    async with asyncio.timeout(20):
        while not (await (await network.relay.client()).routes()):
            await asyncio.sleep(0.02)
    assert await round_trip(far) >= 0.029


async def test_another_table_applies_at_once(network, clusters, echo):
    await publish_gateway(clusters["east"].kube, address=echo.address)
    await wait_route(clusters["east"], lambda found: found not in (None, "[]"))
    (far,) = await wait_route(clusters["west"], lambda found: found is not None)
    pairs = [{"a": "syd1", "b": "sfo3", "rtt_ms": 90}]
    network.change(WanConfig.from_json({"pairs": pairs}))
    async with asyncio.timeout(20):
        while await round_trip(far) < 0.089:
            await asyncio.sleep(0.02)


async def test_a_killed_relay_comes_back_with_the_same_sockets(network, clusters, echo):
    await publish_gateway(clusters["east"].kube, address=echo.address)
    await wait_route(clusters["east"], lambda found: found not in (None, "[]"))
    (far,) = await wait_route(clusters["west"], lambda found: found is not None)
    await round_trip(far)
    killed = network.relay.pid
    psutil.Process(killed).kill()
    async with asyncio.timeout(20):
        while True:
            try:
                if await round_trip(far) >= 0.029 and network.relay.pid != killed:
                    break
            except (OSError, EOFError):
                await asyncio.sleep(0.02)
    assert network.relay.starts == 2
    assert await wait_route(clusters["west"], lambda found: found is not None) == [far]


async def test_an_unready_pod_is_no_target(network, clusters, echo):
    await publish_gateway(clusters["east"].kube, address=echo.address, ready=False)
    assert await wait_route(clusters["east"], lambda found: found is not None) == []


async def test_a_removed_cluster_takes_its_addresses_along(network, clusters, echo):
    await publish_gateway(clusters["east"].kube, address=echo.address)
    await wait_route(clusters["west"], lambda found: found is not None)
    await network.remove("east")
    await wait_route(clusters["west"], lambda found: found is None)


@pytest.fixture
async def api(network, tmp_path):
    """The operations on the live network, served as the daemon serves them."""
    live = LiveWan(WAN, tmp_path / "wan-live.json")
    app = create_app(
        DigitalOceanState(tmp_path / "account.sqlite"), "tok", beside=routes(live, network)
    )
    async with TestClient(TestServer(app)) as client:
        client.live = live
        yield client
    app[STATE].close()


TOKEN = {"Authorization": "Bearer tok"}


async def change(api, body):
    answer = await api.patch(PATH, json=body, headers=TOKEN)
    return answer.status, await answer.json()


async def test_a_live_change_holds_for_open_connections_and_is_taken_back(
    network, clusters, echo, api
):
    await publish_gateway(clusters["east"].kube, address=echo.address)
    await wait_route(clusters["east"], lambda found: found not in (None, "[]"))
    (far,) = await wait_route(clusters["west"], lambda found: found is not None)
    host, _, port = far.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    async def ping() -> float:
        began = perf_counter()
        writer.write(b"ping")
        await asyncio.wait_for(reader.readexactly(4), 5)
        return perf_counter() - began

    await ping()  # the first one waits for the handshake
    status, body = await change(api, {"pairs": [{"a": "syd1", "b": "sfo3", "rtt_ms": 250}]})
    assert (status, body["live"]) == (200, True)
    assert await ping() >= 0.249
    assert [one["text"] for one in body["changes"]] == ["sfo3–syd1 round trip 30 → 250 ms"]
    answer = await api.delete(PATH, headers=TOKEN)
    body = await answer.json()
    assert body["live"] is False
    assert body["now"] == body["initial"]
    assert [one["text"] for one in body["changes"]][1:] == ["sfo3–syd1 round trip 250 → 30 ms"]
    relay = await network.relay.client()
    assert {route["rtt_ms"] for route in (await relay.routes()).values()} == {30}
    writer.close()


async def test_live_changes_add_up_and_outlive_the_daemon(api, tmp_path):
    await change(api, {"jitter_ms": 2.5})
    status, body = await change(api, {"loss": 0.01})
    assert status == 200
    assert (body["now"]["jitter_ms"], body["now"]["loss"]) == (2.5, 0.01)
    again = LiveWan(WAN, tmp_path / "wan-live.json")
    assert again.now == api.live.now
    assert [one["text"] for one in again.changes] == ["jitter 0 → 2.5 ms", "loss 0 → 0.01"]
    other = LiveWan(WanConfig({frozenset(("sfo3", "syd1")): 77.0}), tmp_path / "wan-live.json")
    assert other.now.rtt_ms("sfo3", "syd1") == 77, "what was not changed follows the table"


async def test_a_change_to_what_is_there_already_is_none(api):
    assert (await change(api, {"loss": 0.0}))[1]["changes"] == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"loss": 2}, "loss must be at least 0"),
        ({"speed": 1}, "unknown key 'speed'"),
        ({"pairs": [{"a": "sfo3", "b": "fra1", "rtt_ms": 5}]}, "there is no pair fra1–sfo3"),
        ({"pairs": [{"a": "sfo3", "b": "syd1", "rtt_ms": -5}]}, "rtt_ms must be 0"),
        ({"pairs": 7}, "pairs must be a list"),
    ],
)
async def test_a_change_that_does_not_fit_is_refused_and_changes_nothing(api, body, problem):
    status, answer = await change(api, body)
    assert status == 422
    assert problem in answer["problems"][0]
    assert api.live.now == WAN
    assert api.live.changes == []


async def test_the_live_network_is_behind_the_token(api):
    for method in ("get", "patch", "delete"):
        assert (await getattr(api, method)(PATH)).status == 401
    assert (await api.patch(PATH, data="{", headers=TOKEN)).status == 400
    assert (await api.patch(PATH, data="[]", headers=TOKEN)).status == 400


def test_the_table_knows_both_directions_and_the_own_region():
    assert WAN.rtt_ms("syd1", "sfo3") == WAN.rtt_ms("sfo3", "syd1") == 30
    assert WAN.rtt_ms("fra1", "fra1") == 0.5
    with pytest.raises(InputError, match="between sfo3 and fra1"):
        WAN.rtt_ms("sfo3", "fra1")


def test_every_problem_of_a_table_is_named(tmp_path):
    body = {"pairs": [{"a": "x"}], "loss": 2, "speed": 1}
    with pytest.raises(InputError) as caught:
        WanConfig.from_json(body)
    assert len(caught.value.problems) == 3
    file = tmp_path / "wan.json"
    file.write_text("[]")
    with pytest.raises(InputError, match="not a JSON object"):
        WanConfig.read(file)
