"""What Ingresses, their classes, and NetworkPolicies are refused for."""

import pytest

from tests.support.validated import wrong

NETWORKING = "networking.k8s.io/v1"
SERVICE = {"service": {"name": "web", "port": {"number": 80}}}
PATH = {"path": "/", "pathType": "Prefix", "backend": SERVICE}
HTTP = "spec.rules[0].http.paths[0]"
SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of"
PORT = "must be between 1 and 65535, inclusive"


def of_ingress(spec):
    return wrong(NETWORKING, "Ingress", spec=spec)


def with_path(**fields):
    return of_ingress({"rules": [{"http": {"paths": [{**PATH, **fields}]}}]})


def test_good_ingresses_are_accepted():
    rule = {"host": "*.example.com", "http": {"paths": [PATH]}}
    tls = [{"hosts": ["*.example.com", "example.com"], "secretName": "s"}]
    spec = {"rules": [rule, {"host": "b.example.com"}], "tls": tls, "ingressClassName": "a"}
    assert of_ingress(spec) == []
    named = {"service": {"name": "web", "port": {"name": "http"}}}
    assert of_ingress({"defaultBackend": named}) == []
    stored = {"resource": {"apiGroup": "a.b", "kind": "C", "name": "d"}}
    assert of_ingress({"defaultBackend": stored}) == []


@pytest.mark.parametrize(
    ("fields", "place", "text"),
    [
        ({"pathType": None}, f"{HTTP}.pathType", "pathType must be specified"),
        ({"pathType": "Odd"}, f"{HTTP}.pathType", 'Unsupported value: "Odd"'),
        ({"path": "a"}, f"{HTTP}.path", "must be an absolute path"),
        ({"path": ""}, f"{HTTP}.path", "must be an absolute path"),
        ({"path": "/a//b"}, f"{HTTP}.path", "must not contain '//'"),
        ({"path": "/a%2Fb"}, f"{HTTP}.path", "must not contain '%2F'"),
        ({"path": "/a/.."}, f"{HTTP}.path", "cannot end with '/..'"),
        (
            {"path": "a", "pathType": "ImplementationSpecific"},
            f"{HTTP}.path",
            "must be an absolute path",
        ),
        ({"backend": {}}, f"{HTTP}.backend", "resource or service backend is required"),
        (
            {"backend": {**SERVICE, "resource": {"kind": "C", "name": "d"}}},
            f"{HTTP}.backend",
            "cannot set both resource and service backends",
        ),
        (
            {"backend": {"service": {"name": "1", "port": {"number": 80}}}},
            f"{HTTP}.backend.service.name",
            "a DNS-1035 label",
        ),
        (
            {"backend": {"service": {"name": "", "port": {"number": 80}}}},
            f"{HTTP}.backend.service.name",
            "Required value",
        ),
        (
            {"backend": {"service": {"name": "a"}}},
            f"{HTTP}.backend.service",
            "port name or number is required",
        ),
        (
            {"backend": {"service": {"name": "a", "port": {"name": "b", "number": 1}}}},
            f"{HTTP}.backend.service",
            "cannot set both port name & port number",
        ),
        (
            {"backend": {"service": {"name": "a", "port": {"number": 70000}}}},
            f"{HTTP}.backend.service.port.number",
            PORT,
        ),
        (
            {"backend": {"service": {"name": "a", "port": {"name": "-"}}}},
            f"{HTTP}.backend.service.port.name",
            "must",
        ),
    ],
)
def test_a_path_is_refused_for(fields, place, text):
    found = with_path(**fields)
    assert found, "accepted"
    assert found[0][0] == place
    assert text in found[0][1]


@pytest.mark.parametrize(
    ("spec", "place", "text"),
    [
        ({"rules": [{"host": "10.0.0.1"}]}, "spec.rules[0].host", "must be a DNS name"),
        ({"rules": [{"host": "A.b"}]}, "spec.rules[0].host", SUBDOMAIN),
        ({"rules": [{"host": "*.*.b"}]}, "spec.rules[0].host", "a wildcard DNS-1123 subdomain"),
        ({"rules": [{"http": {"paths": []}}]}, "spec.rules[0].http.paths", "Required value"),
        (
            {"rules": [{"host": "a"}], "tls": [{"hosts": ["a", "B"]}]},
            "spec.tls[0].hosts[1]",
            SUBDOMAIN,
        ),
        (
            {"rules": [{"host": "a"}], "ingressClassName": "A"},
            "spec.ingressClassName",
            SUBDOMAIN,
        ),
        ({"defaultBackend": {}}, "spec.defaultBackend", "resource or service backend is required"),
    ],
)
def test_an_ingress_is_refused_for(spec, place, text):
    ((found, message),) = of_ingress(spec)
    assert found == place
    assert text in message


def test_the_controller_of_a_class_has_a_domain_and_stays():
    def of_class(controller, **more):
        return wrong(NETWORKING, "IngressClass", spec={"controller": controller}, **more)

    assert of_class("a.b/c") == []
    assert of_class("") == [("spec.controller", "Required value")]
    ((place, text),) = of_class("nginx")
    assert (place, "must be a domain-prefixed path" in text) == ("spec.controller", True)
    old = {"spec": {"controller": "a.b/c"}}
    assert of_class("a.b/d", old=old) == [
        ("spec.controller", 'Invalid value: "a.b/d": field is immutable')
    ]


BLOCK = "spec.ingress[0].from[0].ipBlock"
GIVEN = "spec.ingress[0].ports[0]"
CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


@pytest.mark.parametrize(
    ("peer", "place", "text"),
    [
        ({"ipBlock": {"cidr": ""}}, f"{BLOCK}.cidr", "Required value"),
        ({"ipBlock": {"cidr": "10.0.0.1"}}, f"{BLOCK}.cidr", CIDR),
        ({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["x"]}}, f"{BLOCK}.except[0]", CIDR),
        (
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}},
            f"{BLOCK}.except[0]",
            "must be a strict subset of `cidr`",
        ),
        (
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["fd00::/8"]}},
            f"{BLOCK}.except[0]",
            "must be a strict subset of `cidr`",
        ),
        (
            {"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}},
            "spec.ingress[0].from[0]",
            "may not specify both ipBlock and another peer",
        ),
        (
            {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Odd"}]}},
            "spec.ingress[0].from[0].podSelector.matchExpressions[0].operator",
            "not a valid selector operator",
        ),
    ],
)
def test_a_peer_is_refused_for(peer, place, text):
    spec = {"podSelector": {}, "ingress": [{"from": [peer]}]}
    ((found, message),) = wrong(NETWORKING, "NetworkPolicy", spec=spec)
    assert found == place
    assert text in message


@pytest.mark.parametrize(
    ("port", "place", "text"),
    [
        ({"protocol": "ICMP", "port": 1}, f"{GIVEN}.protocol", 'Unsupported value: "ICMP"'),
        ({"port": 0}, f"{GIVEN}.port", PORT),
        ({"port": 80, "endPort": 79}, f"{GIVEN}.endPort", "greater than or equal to `port`"),
        ({"port": "http", "endPort": 80}, f"{GIVEN}.endPort", "when `port` is non-numeric"),
        ({"endPort": 80}, f"{GIVEN}.endPort", "when `port` is not specified"),
    ],
)
def test_a_port_of_a_policy_is_refused_for(port, place, text):
    spec = {"podSelector": {}, "ingress": [{"ports": [port]}]}
    ((found, message),) = wrong(NETWORKING, "NetworkPolicy", spec=spec)
    assert found == place
    assert text in message


def test_a_good_policy_is_accepted_and_has_at_most_two_types():
    block = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}
    rule = {"to": [{"ipBlock": block}], "ports": [{"port": 80, "endPort": 90}, {"port": "http"}]}
    spec = {"podSelector": {}, "egress": [rule], "policyTypes": ["Egress"]}
    assert wrong(NETWORKING, "NetworkPolicy", spec=spec) == []
    many = {"podSelector": {}, "policyTypes": ["Ingress", "Egress", "Ingress"]}
    ((place, text),) = wrong(NETWORKING, "NetworkPolicy", spec=many)
    assert (place, "may not specify more than two" in text) == ("spec.policyTypes", True)
