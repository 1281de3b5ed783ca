"""What Kubernetes objects mean for reachability."""

import json

from labkit.embedded.mesh import names
from labkit.embedded.mesh.topology_reader import TopologyReader, read_pod


def pod(name: str = "web-1", *, ip: str = "10.244.0.7", meshed: bool = True, **metadata) -> dict:
    annotations = {
        names.SOCKETS: json.dumps({"8080": "127.0.0.1:1001", "4191": "127.0.0.1:1002"}),
        names.APP_SOCKETS: json.dumps({"8080": "127.0.0.1:1003"}),
        names.EGRESS: "127.0.0.1:1004",
    }
    containers = [{"name": "web", "ports": [{"name": "grpc", "containerPort": 8080}]}]
    return {
        "metadata": {
            "namespace": "emojivoto",
            "name": name,
            "uid": name,
            "annotations": annotations | metadata.pop("annotations", {}),
            **metadata,
        },
        "spec": {
            "serviceAccountName": "web",
            "containers": containers,
            "initContainers": [{"name": "linkerd-proxy"}] if meshed else [],
        },
        "status": {"podIP": ip, "phase": "Running"},
    }


def service(name: str = "web-svc", *, port: int = 80, **spec) -> dict:
    ports = [{"name": "http", "port": port}]
    return {
        "metadata": {"namespace": "emojivoto", "name": name},
        "spec": {"clusterIP": "10.96.0.9", "ports": ports, **spec},
    }


def endpoint_slice(ip: str, *, ready: bool = True, name: str = "web-svc") -> dict:
    return {
        "metadata": {
            "namespace": "emojivoto",
            "name": f"{name}-x",
            "labels": {"kubernetes.io/service-name": name},
        },
        "endpoints": [{"addresses": [ip], "conditions": {"ready": ready}}],
        "ports": [{"name": "http", "port": 8080}],
    }


def target(key: str, **objects):
    topology = TopologyReader(**({"pods": [pod()], "services": [service()]} | objects)).read()
    return next(found for found in topology.targets if found.key == key)


def test_a_service_lands_on_its_pods_socket_with_its_identity() -> None:
    found = target("emojivoto/web-svc/80", slices=[endpoint_slice("10.244.0.7")])
    (endpoint,) = found.endpoints
    assert endpoint.address == "10.244.0.7:8080"
    assert endpoint.socket == "127.0.0.1:1001"
    assert endpoint.identity == names.identity_of("web", "emojivoto")


def test_an_unmeshed_pod_is_dialled_in_plain_text() -> None:
    found = target(
        "emojivoto/web-svc/80", pods=[pod(meshed=False)], slices=[endpoint_slice("10.244.0.7")]
    )
    assert found.endpoints[0].identity is None


def test_endpoints_that_are_not_ready_or_unknown_do_not_count() -> None:
    slices = [endpoint_slice("10.244.0.7", ready=False), endpoint_slice("10.244.0.99")]
    assert target("emojivoto/web-svc/80", slices=slices).endpoints == ()


def test_a_service_has_all_its_names_and_the_short_one_only_at_home() -> None:
    found = target("emojivoto/web-svc/80")
    assert set(found.domains) == {
        name + port
        for name in (
            "web-svc.emojivoto",
            "web-svc.emojivoto.svc",
            "web-svc.emojivoto.svc.cluster.local",
            "10.96.0.9",
        )
        for port in ("", ":80")
    }
    assert set(found.local_domains) == {"web-svc", "web-svc:80"}


def test_the_authority_label_drops_port_80_and_keeps_others() -> None:
    assert target("emojivoto/web-svc/80").authority == "web-svc.emojivoto.svc.cluster.local"
    found = target("emojivoto/web-svc/8080", services=[service(port=8080)])
    assert found.authority == "web-svc.emojivoto.svc.cluster.local:8080"


def mirror(subset: dict) -> dict:
    labels = {names.MIRRORED: "true", names.MIRROR_CLUSTER: "east"}
    remote = {names.REMOTE_NAME: "web-svc.emojivoto.svc.cluster.local"}
    metadata = {"namespace": "emojivoto", "name": "web-svc-east", "labels": labels}
    identity = {names.REMOTE_IDENTITY: "gw"}
    return {
        "services": [service() | {"metadata": metadata | {"annotations": remote}}],
        "endpoints": [
            {"metadata": metadata | {"annotations": remote | identity}, "subsets": [subset]}
        ],
        "routes": {"203.0.113.10_4143": '["127.0.0.1:2001", "127.0.0.1:2002"]'},
    }


def test_a_mirror_lands_where_the_network_routes_lead_with_the_gateways_identity() -> None:
    subset = {
        "addresses": [{"ip": "203.0.113.10"}],
        "ports": [{"name": "http", "port": 4143}],
    }
    found = target("emojivoto/web-svc-east/80", **mirror(subset))
    assert [endpoint.socket for endpoint in found.endpoints] == ["127.0.0.1:2001", "127.0.0.1:2002"]
    assert {endpoint.identity for endpoint in found.endpoints} == {"gw"}
    assert found.rewrite == "web-svc.emojivoto.svc.cluster.local:80"
    assert found.labels["dst_target_cluster"] == "east"
    assert found.mirrored


def test_a_mirror_without_ready_addresses_has_no_endpoint() -> None:
    subset = {
        "notReadyAddresses": [{"ip": "203.0.113.10"}],
        "ports": [{"name": "http", "port": 4143}],
    }
    assert target("emojivoto/web-svc-east/80", **mirror(subset)).endpoints == ()


def test_pods_are_targets_by_address_without_their_tap_port() -> None:
    topology = TopologyReader(pods=[pod()], services=[]).read()
    assert [found.domains for found in topology.targets] == [
        ("10.244.0.7:8080",),
        ("10.244.0.7:4191",),
    ]
    assert all(found.pod for found in topology.targets)


def test_a_pod_without_sockets_or_that_has_ended_is_not_there_yet() -> None:
    waiting = pod()
    del waiting["metadata"]["annotations"]
    assert read_pod(waiting) is None
    ended = pod()
    ended["status"]["phase"] = "Succeeded"
    assert read_pod(ended) is None


def test_the_deployment_is_the_replica_sets_name_without_its_hash() -> None:
    found = read_pod(
        pod(
            labels={"pod-template-hash": "77f8"},
            ownerReferences=[{"kind": "ReplicaSet", "name": "web-77f8"}],
        )
    )
    assert found is not None
    assert found.labels["dst_deployment"] == "web"


def test_opaque_ports_come_from_the_pod_else_the_namespace_else_linkerd() -> None:
    key = names.OPAQUE_PORTS_ANNOTATION
    assert 3306 in read_pod(pod()).opaque_ports
    inherited = read_pod(pod(), {key: "9000-9002"})
    assert inherited.opaque_ports == {9000, 9001, 9002}
    own = read_pod(pod(annotations={key: "7000"}), {key: "9000"})
    assert own.opaque_ports == {7000}


def test_a_broken_sockets_annotation_leaves_a_pod_without_sockets() -> None:
    found = read_pod(pod(annotations={names.SOCKETS: "not json"}))
    assert found is not None
    assert found.sockets == {}
