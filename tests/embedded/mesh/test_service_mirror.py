"""The service mirror between two real API servers, with a stand-in for its sidecar."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from labkit.certs import Credential
from labkit.embedded.apiserver.server import ApiServer, ApiServerConfig, User
from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.mesh import service_mirror
from labkit.embedded.serving import served

LINKS = path_of("multicluster.linkerd.io/v1alpha3", "links", "linkerd-multicluster")
TOKEN = "east-token-of-the-tests"
GATEWAY = "198.51.100.7"
IDENTITY = "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"
FREE_FORM = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "links.multicluster.linkerd.io"},
    "spec": {
        "group": "multicluster.linkerd.io",
        "scope": "Namespaced",
        "names": {"plural": "links", "singular": "link", "kind": "Link", "listKind": "LinkList"},
        "versions": [
            {
                "name": "v1alpha3",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": FREE_FORM, "status": FREE_FORM},
                    }
                },
            }
        ],
    },
}


@dataclass
class FakeContainer:
    """What the node tells the controller."""

    work_dir: Path
    server: str
    token: str
    ca_file: Path
    egress: str
    app_sockets: dict[int, str]
    argv: tuple[str, ...] = ("service-mirror", "-namespace=linkerd-multicluster", "east")
    cluster: str = "west"
    namespace: str = "linkerd-multicluster"
    pod: str = "controller-east-1"
    root: Path = Path("/nonexistent")


@dataclass
class Log:
    lines: list[str] = field(default_factory=list)

    def log(self, line: str) -> None:
        self.lines.append(line)


@dataclass
class Gateway:
    """Stands for sidecar, WAN and gateway: answers the probe."""

    status: int = 200
    asked: list[str] = field(default_factory=list)
    socket: str = ""


@dataclass
class Clusters:
    west: KubeClient
    east: KubeClient
    container: FakeContainer
    gateway: Gateway
    log: Log


async def until(condition: Callable[[], Awaitable[Any]], *, timeout_s: float = 20) -> Any:
    """Poll until the condition's value is true; 404 counts as not yet."""
    last: object = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while True:
                with contextlib.suppress(KubeError):
                    last = await condition()
                    if last:
                        return last
                await asyncio.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s; last seen {last!r}")


def named(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}}


def service(name: str = "web-svc", **labels: str) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        **named(name, **labels),
        "spec": {"ports": ports, "selector": {"app": name}},
    }


def endpoints(name: str = "web-svc", *, ready: bool = True) -> dict[str, Any]:
    part = "addresses" if ready else "notReadyAddresses"
    subset = {
        part: [{"ip": "10.245.0.9"}],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }
    return {"apiVersion": "v1", "kind": "Endpoints", **named(name), "subsets": [subset]}


def link_spec() -> dict[str, Any]:
    return {
        "targetClusterName": "east",
        "targetClusterDomain": "cluster.local",
        "targetClusterLinkerdNamespace": "linkerd",
        "clusterCredentialsSecret": "cluster-credentials-east",
        "gatewayAddress": GATEWAY,
        "gatewayPort": "4143",
        "gatewayIdentity": IDENTITY,
        "probeSpec": {"path": "/ready", "port": "4191", "period": "100ms"},
        "selector": {"matchLabels": {"mirror.linkerd.io/exported": "true"}},
        "remoteDiscoverySelector": {
            "matchLabels": {"mirror.linkerd.io/exported": "remote-discovery"}
        },
        "excludedLabels": ["secret.example/*"],
    }


def kubeconfig(server: ApiServer, ca: Credential) -> str:
    data = base64.b64encode(ca.certificate).decode()
    return json.dumps(
        {
            "clusters": [
                {
                    "name": "east",
                    "cluster": {"server": server.url, "certificate-authority-data": data},
                }
            ],
            "users": [{"name": "mirror", "user": {"token": TOKEN}}],
            "contexts": [{"name": "east", "context": {"cluster": "east", "user": "mirror"}}],
            "current-context": "east",
        }
    )


@pytest.fixture
async def east_server(
    tmp_path: Path, cluster_ca: Credential, account_key: bytes
) -> AsyncIterator[ApiServer]:
    server = ApiServer(
        ApiServerConfig(
            name="east",
            database=tmp_path / "east" / "east.sqlite",
            ca=cluster_ca,
            service_account_key=account_key,
            tokens={TOKEN: User("east-admin", ("system:masters",))},
            kubelet_token="kubelet-of-east",
        )
    )
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    state = Gateway()

    async def probe(request: web.Request) -> web.Response:
        state.asked.append(str(request.url))
        return web.Response(status=state.status)

    app = web.Application()
    app.router.add_get("/{path:.*}", probe)
    async with served(app, ["127.0.0.1:0"]) as (socket,):
        state.socket = socket
        yield state


@pytest.fixture
async def clusters(  # noqa: PLR0917 - fixtures
    apiserver: Any,
    kube: KubeClient,
    east_server: ApiServer,
    cluster_ca: Credential,
    gateway: Gateway,
    tmp_path: Path,
    unused_tcp_port: int,
) -> AsyncIterator[Clusters]:
    """Two clusters with a link from west to east; the controller is not running yet."""
    async with KubeClient(east_server.url, token=TOKEN, ca_file=apiserver.ca_file) as east:
        for namespace in ("linkerd-multicluster", "emojivoto"):
            await kube.create(path_of("v1", "namespaces"), named(namespace))
        await east.create(path_of("v1", "namespaces"), named("emojivoto"))
        await kube.create(path_of("apiextensions.k8s.io/v1", "customresourcedefinitions"), CRD)
        secret = {
            **named("cluster-credentials-east"),
            "type": "mirror.linkerd.io/remote-kubeconfig",
            "stringData": {"kubeconfig": kubeconfig(east_server, cluster_ca)},
        }
        await kube.create(path_of("v1", "secrets", "linkerd-multicluster"), secret)
        link = {
            "apiVersion": "multicluster.linkerd.io/v1alpha3",
            "kind": "Link",
            **named("east"),
            "spec": link_spec(),
        }
        await until(lambda: kube.create(LINKS, link))
        container = FakeContainer(
            work_dir=tmp_path,
            server=apiserver.url,
            token=apiserver.token,
            ca_file=apiserver.ca_file,
            egress=gateway.socket,
            app_sockets={9999: f"127.0.0.1:{unused_tcp_port}"},
        )
        yield Clusters(kube, east, container, gateway, Log())


@pytest.fixture
async def running(clusters: Clusters) -> AsyncIterator[Clusters]:
    task = asyncio.create_task(service_mirror.run(clusters.container, clusters.log))  # type: ignore[arg-type]
    yield clusters
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def export(clusters: Clusters, name: str = "web-svc", how: str = "true", **more: str) -> None:
    labels = {"mirror.linkerd.io/exported": how, **more}
    await clusters.east.create(path_of("v1", "services", "emojivoto"), service(name, **labels))
    await clusters.east.create(path_of("v1", "endpoints", "emojivoto"), endpoints(name))


def mirror(clusters: Clusters, plural: str, name: str = "web-svc-east") -> Awaitable[Any]:
    return clusters.west.get(path_of("v1", plural, "emojivoto", name))


async def status_of(clusters: Clusters, name: str = "web-svc") -> dict[str, Any]:
    link = await clusters.west.get(f"{LINKS}/east")
    entries = (link.get("status") or {}).get("mirrorServices") or []
    found = [entry for entry in entries if entry["remoteRef"]["name"] == name]
    return found[0]["conditions"][0] if found else {}


async def with_reason(clusters: Clusters, reason: str) -> dict[str, Any]:
    async def check() -> dict[str, Any]:
        condition = await status_of(clusters)
        return condition if condition.get("reason") == reason else {}

    return await until(check)


async def test_an_exported_service_gets_a_mirror_with_linkerds_labels(running: Clusters) -> None:
    await export(running, app="web-svc", **{"secret.example/x": "1"})
    found = await until(lambda: mirror(running, "services"))
    metadata = found["metadata"]
    assert metadata["labels"] == {
        "app": "web-svc",
        "mirror.linkerd.io/mirrored-service": "true",
        "mirror.linkerd.io/cluster-name": "east",
    }
    remote = await running.east.get(path_of("v1", "services", "emojivoto", "web-svc"))
    assert metadata["annotations"] == {
        "mirror.linkerd.io/remote-svc-fq-name": "web-svc.emojivoto.svc.cluster.local",
        "mirror.linkerd.io/remote-resource-version": remote["metadata"]["resourceVersion"],
    }
    assert not found["spec"].get("selector")
    assert [(p["name"], p["port"]) for p in found["spec"]["ports"]] == [("http", 80)]


async def test_the_mirrors_endpoints_are_the_gateway(running: Clusters) -> None:
    await export(running)

    async def ready() -> dict[str, Any] | None:
        found = await mirror(running, "endpoints")
        return found if found.get("subsets") else None

    found = await until(ready)
    assert found["subsets"] == [
        {
            "addresses": [{"ip": GATEWAY}],
            "ports": [{"name": "http", "port": 4143, "protocol": "TCP"}],
        }
    ]
    annotations = found["metadata"]["annotations"]
    assert annotations["mirror.linkerd.io/remote-gateway-identity"] == IDENTITY
    assert (await with_reason(running, "Mirrored"))["status"] == "True"


async def test_remote_discovery_makes_a_service_without_endpoints(running: Clusters) -> None:
    await export(running, how="remote-discovery")
    found = await until(lambda: mirror(running, "services"))
    labels = found["metadata"]["labels"]
    assert labels["multicluster.linkerd.io/remote-discovery"] == "east"
    assert labels["multicluster.linkerd.io/remote-service"] == "web-svc"
    await with_reason(running, "Mirrored")
    with pytest.raises(KubeError) as refused:
        await mirror(running, "endpoints")
    assert refused.value.status == 404


async def test_unexporting_deletes_the_mirror(running: Clusters) -> None:
    await export(running)
    await until(lambda: mirror(running, "endpoints"))
    await with_reason(running, "Mirrored")
    body = {"metadata": {"labels": {"mirror.linkerd.io/exported": None}}}
    await running.east.patch(path_of("v1", "services", "emojivoto", "web-svc"), body)

    async def gone() -> bool:
        left = []
        for plural in ("services", "endpoints"):
            answer = await running.west.list(path_of("v1", plural, "emojivoto"))
            left += [item["metadata"]["name"] for item in answer["items"]]
        return "web-svc-east" not in left and not await status_of(running)

    await until(gone)


async def test_a_service_without_ready_pods_has_an_empty_mirror(running: Clusters) -> None:
    await export(running)

    async def has_addresses() -> bool:
        return bool((await mirror(running, "endpoints")).get("subsets"))

    await until(has_addresses)
    path = path_of("v1", "endpoints", "emojivoto", "web-svc")
    await running.east.patch(path, {"subsets": endpoints(ready=False)["subsets"]})

    async def is_empty() -> bool:
        return not await has_addresses()

    await until(is_empty)
    await running.east.patch(path, {"subsets": endpoints()["subsets"]})
    await until(has_addresses)


async def test_a_missing_namespace_is_reported_and_mirrored_once_it_exists(
    running: Clusters,
) -> None:
    await running.east.create(path_of("v1", "namespaces"), named("books"))
    labels = {"mirror.linkerd.io/exported": "true"}
    await running.east.create(path_of("v1", "services", "books"), service(**labels))
    await with_reason(running, "MissingNamespace")

    async def event() -> bool:
        answer = await running.east.list(path_of("v1", "events", "books"))
        return any(e["reason"] == "ServiceMirroringSkipped" for e in answer["items"])

    await until(event)
    await running.west.create(path_of("v1", "namespaces"), named("books"))
    await until(lambda: running.west.get(path_of("v1", "services", "books", "web-svc-east")))
    await with_reason(running, "Mirrored")


async def test_a_deleted_mirror_comes_back(running: Clusters) -> None:
    await export(running)
    first = await until(lambda: mirror(running, "services"))
    await running.west.delete(path_of("v1", "services", "emojivoto", "web-svc-east"))

    async def another() -> bool:
        found = await mirror(running, "services")
        return found["metadata"]["uid"] != first["metadata"]["uid"]

    await until(another)


async def test_a_service_that_is_no_mirror_is_left_alone(running: Clusters) -> None:
    await running.west.create(path_of("v1", "services", "emojivoto"), service("web-svc-east"))
    await export(running)
    condition = await with_reason(running, "Error")
    assert "is not a mirror" in condition["message"]
    assert (await mirror(running, "services"))["spec"]["selector"] == {"app": "web-svc-east"}


async def test_a_dead_gateway_makes_the_mirror_unready_until_it_answers_again(
    running: Clusters,
) -> None:
    await export(running)

    async def part() -> str:
        subsets = (await mirror(running, "endpoints")).get("subsets") or [{}]
        return next((k for k in ("addresses", "notReadyAddresses") if subsets[0].get(k)), "")

    async def is_ready() -> bool:
        return await part() == "addresses" and "gateway_alive" in await metrics(running)

    async def is_dead() -> bool:
        return await part() == "notReadyAddresses"

    await until(is_ready)
    await until(lambda: alive(running, 1))
    running.gateway.status = 503
    await until(is_dead)
    await until(lambda: alive(running, 0))
    running.gateway.status = 200
    await until(is_ready)


async def metrics(clusters: Clusters) -> str:
    url = f"http://{clusters.container.app_sockets[9999]}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.text()


async def alive(clusters: Clusters, value: int) -> bool:
    return f'gateway_alive{{target_cluster_name="east"}} {value}' in await metrics(clusters)


async def test_the_probe_goes_through_the_sidecar_to_the_probe_service(running: Clusters) -> None:
    path = path_of("v1", "endpoints", "linkerd-multicluster", "probe-east")
    found = await until(lambda: running.west.get(path))
    ports = [{"name": "mc-probe", "port": 4191, "protocol": "TCP"}]
    assert found["subsets"] == [{"addresses": [{"ip": GATEWAY}], "ports": ports}]
    assert found["metadata"]["annotations"]["mirror.linkerd.io/remote-gateway-identity"] == IDENTITY
    await until(lambda: alive(running, 1))
    assert running.gateway.asked[0] == "http://probe-east.linkerd-multicluster:4191/ready"


async def test_the_lease_names_the_pod_and_is_released_at_the_end(clusters: Clusters) -> None:
    path = path_of(
        "coordination.k8s.io/v1", "leases", "linkerd-multicluster", "service-mirror-write-east"
    )

    async def holder() -> str | None:
        return (await clusters.west.get(path))["spec"].get("holderIdentity")

    task = asyncio.create_task(service_mirror.run(clusters.container, clusters.log))  # type: ignore[arg-type]
    assert await until(holder) == "controller-east-1"
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert not await holder()


async def test_a_holder_renews_a_lease_that_somebody_else_has_changed(running: Clusters) -> None:
    path = path_of(
        "coordination.k8s.io/v1", "leases", "linkerd-multicluster", "service-mirror-write-east"
    )
    await until(lambda: running.west.get(path))
    body = {"metadata": {"labels": {"changed": "by-hand"}}}
    before = (await running.west.patch(path, body))["spec"]["renewTime"]

    async def renewed() -> bool:
        return bool((await running.west.get(path))["spec"]["renewTime"] > before)

    await until(renewed)
    lease = await running.west.get(path)
    assert lease["metadata"]["labels"] == {"changed": "by-hand"}
    assert lease["spec"]["holderIdentity"] == "controller-east-1"
    assert lease["spec"]["leaseTransitions"] == 0


async def test_mirrors_stay_when_the_link_is_deleted(running: Clusters) -> None:
    await export(running)
    await with_reason(running, "Mirrored")
    await running.west.delete(f"{LINKS}/east")

    async def noticed() -> bool:
        return any("deleted; its mirror Services stay" in line for line in running.log.lines)

    await until(noticed)
    assert await mirror(running, "services")


async def test_what_was_unexported_while_nobody_looked_is_removed_at_the_start(
    clusters: Clusters,
) -> None:
    stale = service(
        "web-svc-east",
        **{"mirror.linkerd.io/mirrored-service": "true", "mirror.linkerd.io/cluster-name": "east"},
    )
    await clusters.west.create(path_of("v1", "services", "emojivoto"), stale)
    task = asyncio.create_task(service_mirror.run(clusters.container, clusters.log))  # type: ignore[arg-type]

    async def gone() -> bool:
        answer = await clusters.west.list(path_of("v1", "services", "emojivoto"))
        return not answer["items"]

    await until(gone)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_without_a_link_name_the_controller_ends_with_a_message(clusters: Clusters) -> None:
    clusters.container.argv = ("service-mirror", "-log-level=info")
    assert await service_mirror.run(clusters.container, clusters.log) == 2  # type: ignore[arg-type]
    assert "name of the Link is missing" in clusters.log.lines[0]


async def test_missing_credentials_are_named_and_tried_again(
    clusters: Clusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_mirror, "RESTART_S", 0.1)
    path = path_of("v1", "secrets", "linkerd-multicluster", "cluster-credentials-east")
    secret = await clusters.west.get(path)
    await clusters.west.delete(path)
    task = asyncio.create_task(service_mirror.run(clusters.container, clusters.log))  # type: ignore[arg-type]

    async def complains() -> bool:
        return any("cluster-credentials-east" in line for line in clusters.log.lines)

    await until(complains)
    fresh = {"metadata": {"name": secret["metadata"]["name"]}, "data": secret["data"]}
    await clusters.west.create(path_of("v1", "secrets", "linkerd-multicluster"), fresh)
    await export(clusters)
    await until(lambda: mirror(clusters, "services"))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_changed_link_takes_effect(running: Clusters) -> None:
    await export(running)
    await until(lambda: mirror(running, "endpoints"))
    await running.west.patch(f"{LINKS}/east", {"spec": {"gatewayAddress": "198.51.100.8"}})

    async def moved() -> bool:
        subsets = (await mirror(running, "endpoints")).get("subsets") or [{}]
        return subsets[0].get("addresses") == [{"ip": "198.51.100.8"}]

    await until(moved)
