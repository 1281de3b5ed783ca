"""Defaults of built-in kinds."""

from typing import Any

import pytest

from labkit.embedded.apiserver.rules.defaulting import apply_defaults, qos_class


def pod(**container: Any) -> dict[str, Any]:
    containers = [{"name": "a", "image": "x:1", **container}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": containers},
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("localhost:5000/nginx", "Always"),
        ("nginx:1.2", "IfNotPresent"),
        ("nginx@sha256:0123", "IfNotPresent"),
    ],
)
def test_images_without_a_tag_are_always_pulled(image: str, policy: str) -> None:
    assert apply_defaults(pod(image=image))["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_probes_ports_and_volumes_get_their_defaults() -> None:
    obj = pod(
        ports=[{"containerPort": 80}],
        readinessProbe={"httpGet": {"port": 80}},
        env=[{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    )
    obj["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "s"}}]
    spec = apply_defaults(obj)["spec"]
    container = spec["containers"][0]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert spec["volumes"][0]["secret"]["defaultMode"] == 420


def test_requests_follow_limits_and_decide_the_qos_class() -> None:
    limits = {"cpu": "1", "memory": "1Gi"}
    filled = apply_defaults(pod(resources={"limits": limits}))
    assert filled["spec"]["containers"][0]["resources"]["requests"] == limits
    assert filled["status"]["qosClass"] == "Guaranteed"
    assert qos_class(pod(resources={"requests": {"cpu": "1"}})["spec"]) == "Burstable"
    assert qos_class(pod()["spec"]) == "BestEffort"


def test_defaults_do_not_touch_what_is_given_and_do_not_change_their_argument() -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "spec": {"type": "NodePort", "ports": [{"port": 80, "targetPort": "http"}]},
    }
    filled = apply_defaults(service)
    assert filled["spec"]["ports"] == [{"port": 80, "targetPort": "http", "protocol": "TCP"}]
    assert filled["spec"]["externalTrafficPolicy"] == "Cluster"
    assert service["spec"] == {"type": "NodePort", "ports": [{"port": 80, "targetPort": "http"}]}


def test_defaults_are_stable() -> None:
    for obj in (
        pod(),
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": {}}}},
    ):
        once = apply_defaults(obj)
        assert apply_defaults(once) == once


def test_string_data_of_secrets_becomes_data() -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "data": {"a": "b2xk"},
        "stringData": {"a": "abc"},
    }
    assert apply_defaults(secret) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "data": {"a": "YWJj"},
        "type": "Opaque",
    }
