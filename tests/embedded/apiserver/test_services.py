"""Addresses and ports of Services: given, taken, kept, and given up with the type."""

import pytest

MERGE = {"Content-Type": "application/merge-patch+json"}
PORTS = [{"port": 80}]
IP = "spec.clusterIPs"


@pytest.fixture
def make(ask, space):
    """`make(**spec)`: a new Service with a port."""

    def made(**spec):
        body = {"metadata": {"generateName": "s-"}, "spec": {"ports": PORTS, **spec}}
        return ask("POST", f"/api/v1/namespaces/{space}/services", json=body)

    return made


@pytest.fixture
def change(ask, space):
    """`change(service, **spec)`: a merge patch."""

    def changed(service, **spec):
        path = f"/api/v1/namespaces/{space}/services/{service.body['metadata']['name']}"
        return ask("PATCH", path, json={"spec": spec}, headers=MERGE)

    return changed


def test_an_address_is_taken_once(make):
    first = make(clusterIP="10.96.77.1")
    assert first.body["spec"]["clusterIPs"] == ["10.96.77.1"]
    assert make(clusterIP="10.96.77.1").causes == [
        (
            IP,
            (
                'Invalid value: ["10.96.77.1"]: failed to allocate IP 10.96.77.1: provided IP is'
                " already allocated"
            ),
        )
    ]
    assert make().body["spec"]["clusterIP"] != first.body["spec"]["clusterIP"]


@pytest.mark.parametrize(
    ("spec", "place", "text"),
    [
        (
            {"clusterIP": "10.1.2.3"},
            IP,
            "failed to allocate IP 10.1.2.3: the provided network does not match the current range",
        ),
        ({"ipFamilies": ["IPv6"]}, "spec.ipFamilies[0]", "not configured on this cluster"),
        (
            {"ipFamilyPolicy": "RequireDualStack"},
            "spec.ipFamilyPolicy",
            "this cluster is not configured for dual-stack services",
        ),
        ({"clusterIP": "fd00::1"}, f"{IP}[0]", "IPv6 is not configured on this cluster"),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]},
            "spec.ports[0].nodePort",
            "80: provided port is not in the valid range. The range of valid ports is 30000-32767",
        ),
    ],
)
def test_an_address_or_port_is_refused_for(make, spec, place, text):
    found = make(**spec)
    assert found.status == 422, found.body
    ((where, message),) = found.causes
    assert where == place
    assert text in message


def test_a_node_port_is_taken_once_for_each_protocol(make):
    tcp, udp = {"port": 53, "nodePort": 30777}, {"port": 53, "nodePort": 30777, "protocol": "UDP"}
    assert make(type="NodePort", ports=[tcp]).status == 201
    ((where, text),) = make(type="NodePort", ports=[tcp]).causes
    assert where == "spec.ports[0].nodePort"
    assert text == "Invalid value: 30777: provided port is already allocated"
    assert make(type="NodePort", ports=[udp]).status == 201


def test_ports_of_nodes_come_and_go_with_the_type(make, change):
    service = make(type="LoadBalancer", externalTrafficPolicy="Local")
    spec = service.body["spec"]
    assert 30000 <= spec["ports"][0]["nodePort"] <= 32767
    assert 30000 <= spec["healthCheckNodePort"] <= 32767
    assert spec["healthCheckNodePort"] != spec["ports"][0]["nodePort"]
    assert spec["allocateLoadBalancerNodePorts"] is True
    plain = change(service, type="ClusterIP").body["spec"]
    assert "nodePort" not in plain["ports"][0]
    gone = {"healthCheckNodePort", "externalTrafficPolicy", "allocateLoadBalancerNodePorts"}
    assert not gone & plain.keys()
    assert plain["clusterIP"] == spec["clusterIP"]
    assert "nodePort" in change(service, type="NodePort").body["spec"]["ports"][0]


def test_a_name_has_no_address(make, change):
    service = make()
    named = change(service, type="ExternalName", externalName="a.example.com")
    assert named.status == 200, named.body
    assert (
        not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"} & named.body["spec"].keys()
    )
    back = change(service, type="ClusterIP")
    assert "externalName" not in back.body["spec"]
    assert back.body["spec"]["clusterIP"].startswith("10.96.")


def test_an_address_stays(make, change):
    service = make()
    assert change(service, clusterIP="10.96.77.9").causes == [
        ("spec.clusterIPs[0]", 'Invalid value: ["10.96.77.9"]: may not change once set')
    ]


def test_a_replace_without_addresses_keeps_them(ask, space, make):
    service = make().body
    path = f"/api/v1/namespaces/{space}/services/{service['metadata']['name']}"
    body = {"metadata": {"name": service["metadata"]["name"]}, "spec": {"ports": PORTS}}
    version = {"resourceVersion": service["metadata"]["resourceVersion"]}
    body["metadata"].update(version)
    found = ask("PUT", path, json=body)
    assert found.body["spec"]["clusterIPs"] == service["spec"]["clusterIPs"]
