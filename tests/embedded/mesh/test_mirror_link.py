"""Links, selectors and credentials as values."""

import base64
from typing import Any

import pytest

from labkit.embedded.mesh.mirror_link import parse_credentials, parse_link, selects
from labkit.embedded.mesh.mirror_objects import mirror_labels, mirror_service
from labkit.errors import InputError


def link(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "east"}, "spec": {"targetClusterName": "east", **spec}}


def test_defaults_are_those_of_the_crd() -> None:
    found = parse_link(link())
    assert found.credentials_secret == "cluster-credentials-east"
    assert found.gateway_addresses == ()
    assert (found.probe.period_s, found.probe.timeout_s, found.probe.failure_threshold) == (
        3,
        30,
        3,
    )
    assert found.mode_of({"metadata": {"labels": {"mirror.linkerd.io/exported": "true"}}}) is None


def test_several_gateway_addresses_are_separated_by_commas() -> None:
    assert parse_link(link(gatewayAddress="1.2.3.4, gw.example")).gateway_addresses == (
        "1.2.3.4",
        "gw.example",
    )


@pytest.mark.parametrize("bad", [{"gatewayPort": "many"}, {"probeSpec": {"period": "often"}}])
def test_a_malformed_link_is_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="Link east"):
        parse_link(link(**bad))


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        ({}, {"a": "1"}, False),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, {"a": "1"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, {}, False),
    ],
)
def test_an_empty_selector_matches_nothing(
    selector: dict[str, Any], labels: dict[str, str], *, selected: bool
) -> None:
    assert selects(selector, labels) is selected


def service() -> dict[str, Any]:
    return {
        "metadata": {
            "name": "web-svc",
            "namespace": "emojivoto",
            "resourceVersion": "7",
            "labels": {"app": "web", "team/a": "1", "mirror.linkerd.io/exported": "true"},
            "annotations": {
                "note": "kept",
                "secret/x": "1",
                "service.kubernetes.io/topology-mode": "auto",
            },
        },
        "spec": {
            "clusterIP": "10.96.0.9",
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30000}],
        },
    }


def test_excluded_and_own_labels_and_annotations_are_not_copied() -> None:
    spec = parse_link(link(excludedLabels=["team/*"], excludedAnnotations=["secret/x"]))
    mirror = mirror_service(service(), spec, "gateway")
    assert set(mirror["metadata"]["labels"]) == {
        "app",
        "mirror.linkerd.io/mirrored-service",
        "mirror.linkerd.io/cluster-name",
    }
    assert set(mirror["metadata"]["annotations"]) == {
        "note",
        "mirror.linkerd.io/remote-svc-fq-name",
        "mirror.linkerd.io/remote-resource-version",
    }


def test_a_mirror_has_no_selector_address_or_node_port() -> None:
    mirror = mirror_service(service(), parse_link(link()), "gateway")
    assert mirror["spec"] == {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}


def test_remote_discovery_is_labelled() -> None:
    labels = mirror_labels(service(), parse_link(link()), "remote-discovery")
    assert labels["multicluster.linkerd.io/remote-discovery"] == "east"
    assert labels["multicluster.linkerd.io/remote-service"] == "web-svc"


def test_an_unusable_kubeconfig_is_refused_without_quoting_the_token() -> None:
    text = "users: [{name: u, user: {token: s3cret}}]"
    secret = {
        "metadata": {"name": "cluster-credentials-east"},
        "data": {"kubeconfig": base64.b64encode(text.encode()).decode()},
    }
    with pytest.raises(InputError) as refused:
        parse_credentials(secret)
    assert "cluster-credentials-east" in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None
