"""Who answers for a Service: Endpoints and EndpointSlices."""

from typing import Any

from labkit.embedded.kube import path_of

NS = "shop"
SLICES = "discovery.k8s.io/v1"


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    spec = {"ports": [{"name": "http", "port": 80, "targetPort": "web"}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def pod(name: str, *, port: int = 8080, **labels: str) -> dict[str, Any]:
    ports = [{"name": "web", "containerPort": port}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "app:1", "ports": ports}]},
    }


async def slices(cluster: Any, name: str = "web") -> list[dict[str, Any]]:
    path = path_of(SLICES, "endpointslices", NS)
    selector = f"kubernetes.io/service-name={name}"
    return (await cluster.kube.list(path, labelSelector=selector))["items"]


async def endpoints(cluster: Any, name: str = "web") -> dict[str, Any]:
    return await cluster.kube.get(path_of("v1", "endpoints", NS, name))


async def patch_ready(cluster: Any, name: str, word: str) -> None:
    body = {"status": {"conditions": [{"type": "Ready", "status": word}]}}
    path = path_of("v1", "pods", NS, name, "status")
    await cluster.kube.patch(path, body, kind="strategic")


async def test_a_named_target_port_is_looked_up_in_each_pod(cluster, kubelet):
    await cluster.add_namespace(NS)
    await cluster.create(service(selector={"app": "web"}), NS)
    await cluster.create(pod("one", port=8080), NS)
    await cluster.create(pod("two", port=9090), NS)

    async def both() -> bool:
        found = {
            (item["ports"][0]["port"], item["endpoints"][0]["targetRef"]["name"])
            for item in await slices(cluster)
            if item.get("ports") and item["endpoints"][0]["conditions"]["ready"]
        }
        return found == {(8080, "one"), (9090, "two")}

    await cluster.eventually(both)

    async def both_subsets() -> bool:
        subsets = (await endpoints(cluster)).get("subsets") or []
        return [s["ports"][0]["port"] for s in subsets if s.get("addresses")] == [8080, 9090]

    await cluster.eventually(both_subsets)


async def test_readiness_moves_an_address(cluster, kubelet):
    await cluster.add_namespace(NS)
    await cluster.create(service(selector={"app": "web"}), NS)
    await cluster.create(pod("one"), NS)

    def ready(*, word: bool) -> Any:
        async def look() -> bool:
            [item] = await slices(cluster)
            [subset] = (await endpoints(cluster))["subsets"]
            conditions = item["endpoints"][0]["conditions"]
            kind = "addresses" if word else "notReadyAddresses"
            expected = {"ready": word, "serving": word, "terminating": False}
            return conditions == expected and kind in subset

        return look

    await cluster.eventually(ready(word=True))
    await patch_ready(cluster, "one", "False")
    await cluster.eventually(ready(word=False))
    await patch_ready(cluster, "one", "True")
    await cluster.eventually(ready(word=True))


async def test_not_ready_addresses_are_published_on_request(cluster, kubelet):
    await cluster.add_namespace(NS)
    body = service(selector={"app": "web"}, publishNotReadyAddresses=True, clusterIP="None")
    await cluster.create(body, NS)
    broken = pod("one")
    broken["spec"]["containers"][0]["image"] = kubelet.broken
    await cluster.create(broken, NS)

    async def published() -> bool:
        subsets = (await endpoints(cluster)).get("subsets") or []
        [item] = await slices(cluster)
        return (
            bool(subsets)
            and "addresses" in subsets[0]
            and item["endpoints"][0]["conditions"]["ready"]
            and item["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
        )

    await cluster.eventually(published)


async def test_a_service_without_pods_has_an_empty_slice(cluster):
    await cluster.add_namespace(NS)
    await cluster.create(service(selector={"app": "web"}), NS)

    async def empty() -> bool:
        found = await slices(cluster)
        return len(found) == 1 and not found[0].get("endpoints")

    await cluster.eventually(empty)
    assert "subsets" not in await endpoints(cluster)


async def test_hand_written_endpoints_are_mirrored_with_labels_and_annotations(cluster):
    await cluster.add_namespace(NS)
    await cluster.create(service("web-east", ports=[{"name": "http", "port": 80}]), NS)
    body = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "web-east",
            "labels": {"mirror.linkerd.io/mirrored-service": "true"},
            "annotations": {"mirror.linkerd.io/remote-gateway-identity": "gateway.identity"},
        },
        "subsets": [
            {
                "addresses": [{"ip": "203.0.113.10"}],
                "ports": [{"name": "http", "port": 4143}],
            }
        ],
    }
    await cluster.create(body, NS, "endpoints")

    async def mirrored() -> Any:
        return await slices(cluster, "web-east")

    [item] = await cluster.eventually(mirrored)
    labels = item["metadata"]["labels"]
    manager = "endpointslicemirroring-controller.k8s.io"
    assert labels["endpointslice.kubernetes.io/managed-by"] == manager
    assert labels["mirror.linkerd.io/mirrored-service"] == "true"
    notes = item["metadata"]["annotations"]
    assert notes["mirror.linkerd.io/remote-gateway-identity"] == "gateway.identity"
    assert item["endpoints"] == [{"addresses": ["203.0.113.10"], "conditions": {"ready": True}}]
    assert item["ports"] == [{"name": "http", "port": 4143, "protocol": "TCP"}]

    known = await endpoints(cluster, "web-east")
    known["subsets"][0]["notReadyAddresses"] = known["subsets"][0].pop("addresses")
    await cluster.kube.replace(path_of("v1", "endpoints", NS, "web-east"), known)

    async def not_ready() -> bool:
        found = await slices(cluster, "web-east")
        return len(found) == 1 and found[0]["endpoints"][0]["conditions"] == {"ready": False}

    await cluster.eventually(not_ready)


async def test_endpoints_that_never_had_a_service_are_left_alone(cluster):
    await cluster.add_namespace(NS)
    body = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "lonely"},
        "subsets": [{"addresses": [{"ip": "203.0.113.9"}], "ports": [{"port": 80}]}],
    }
    await cluster.create(body, NS, "endpoints")
    await cluster.create(service(selector={"app": "web"}), NS)
    await cluster.eventually(lambda: slices(cluster))
    assert (await endpoints(cluster, "lonely"))["subsets"]


async def test_a_deleted_slice_is_made_again_and_all_goes_with_the_service(cluster, kubelet):
    await cluster.add_namespace(NS)
    await cluster.create(service(selector={"app": "web"}), NS)
    [first] = await cluster.eventually(lambda: slices(cluster))
    name = first["metadata"]["name"]
    await cluster.kube.delete(path_of(SLICES, "endpointslices", NS, name))

    async def again() -> bool:
        return any(s["metadata"]["uid"] != first["metadata"]["uid"] for s in await slices(cluster))

    await cluster.eventually(again)
    await cluster.kube.delete(path_of("v1", "services", NS, "web"))

    async def gone() -> bool:
        return not await slices(cluster) and await cluster.is_gone("v1", "endpoints", NS, "web")

    await cluster.eventually(gone)
