"""What is wrong with pods: fields and words of the real server, in its order."""

from typing import Any

import pytest

from labkit.embedded.apiserver.rules import defaulting, validation
from labkit.embedded.apiserver.rules.schemas import Schemas

CONTAINER: dict[str, Any] = {"name": "a", "image": "x"}


def wrong(kind: str = "Pod", **spec: Any) -> list[tuple[str, str]]:
    """Field and message of each cause of a pod's refusal."""
    spec = {"containers": [CONTAINER], **spec}
    obj = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "p"}, "spec": spec}
    obj = defaulting.apply_defaults(obj)
    causes = validation.validate(obj, schema=Schemas.load().for_kind("", "v1", kind))
    return [(cause.field, cause.message) for cause in causes]


def in_container(**fields: Any) -> list[tuple[str, str]]:
    """The same for a pod of one container, with fields seen from the container."""
    start = "spec.containers[0]"
    found = wrong(containers=[{**CONTAINER, **fields}])
    return [(field.removeprefix(start), message) for field, message in found]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.nope"}}}]},
            [
                (
                    ".env[0].valueFrom.fieldRef.fieldPath",
                    (
                        'Invalid value: "metadata.nope": error converting fieldPath: field label not '
                        "supported: metadata.nope"
                    ),
                )
            ],
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c"}}}]},
            [(".env[0].valueFrom.configMapKeyRef.key", "Required value")],
        ),
        (
            {"envFrom": [{}]},
            [
                (
                    ".envFrom",
                    'Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
                )
            ],
        ),
        (
            {"volumeMounts": [{"name": "", "mountPath": ""}]},
            [
                (".volumeMounts[0].name", "Required value"),
                (".volumeMounts[0].name", 'Not found: ""'),
                (".volumeMounts[0].mountPath", "Required value"),
            ],
        ),
        (
            {"livenessProbe": {"exec": {"command": ["x"]}, "successThreshold": 2}},
            [(".livenessProbe.successThreshold", "Invalid value: 2: must be 1")],
        ),
        (
            {"livenessProbe": {"exec": {}}},
            [(".livenessProbe.exec.command", "Required value")],
        ),
        (
            {"lifecycle": {"preStop": {"sleep": {"seconds": 100}}}},
            [
                (
                    ".lifecycle.preStop.sleep",
                    (
                        "Invalid value: 100: must be non-negative and less than "
                        "terminationGracePeriodSeconds (30)"
                    ),
                )
            ],
        ),
        (
            {"resources": {"requests": {"example.com/gpu": "1"}}},
            [
                (
                    ".resources.limits",
                    "Required value: Limit must be set for non overcommitable resources",
                )
            ],
        ),
        (
            {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}},
            [
                (
                    ".resources.requests",
                    'Invalid value: "2": must be less than or equal to cpu limit of 1500m',
                )
            ],
        ),
        (
            {"securityContext": {"runAsUser": -1}},
            [
                (
                    ".securityContext.runAsUser",
                    "Invalid value: -1: must be between 0 and 2147483647, inclusive",
                )
            ],
        ),
        (
            {"ports": [{"containerPort": 1, "hostPort": 5}, {"containerPort": 2, "hostPort": 5}]},
            [(".ports[1].hostPort", 'Duplicate value: "TCP//5"')],
        ),
    ],
)
def test_a_container_is_refused_for(fields, expected):
    assert in_container(**fields) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"tolerations": [{"operator": "Equal"}]},
            [
                (
                    "spec.tolerations[0].operator",
                    (
                        'Invalid value: "Equal": operator must be Exists when `key` is empty, which '
                        'means "match all values and all keys"'
                    ),
                )
            ],
        ),
        (
            {"dnsPolicy": "None"},
            [
                (
                    "spec.dnsConfig",
                    "Required value: must provide `dnsConfig` when `dnsPolicy` is None",
                )
            ],
        ),
        (
            {"initContainers": [{"name": "i", "image": "x", "livenessProbe": {"exec": {}}}]},
            [
                (
                    "spec.initContainers[0].livenessProbe",
                    "Forbidden: may not be set for init containers without restartPolicy=Always",
                )
            ],
        ),
        (
            {"volumes": [{"name": "v", "secret": {}}, {"name": "w", "configMap": {}}]},
            [
                ("spec.volumes[0].secret.secretName", "Required value"),
                ("spec.volumes[1].configMap.name", "Required value"),
            ],
        ),
        (
            {"activeDeadlineSeconds": 0},
            [
                (
                    "spec.activeDeadlineSeconds",
                    "Invalid value: 0: must be between 1 and 2147483647, inclusive",
                )
            ],
        ),
        (
            {
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {"matchExpressions": [{"key": "k", "operator": "Near"}]}
                            ]
                        }
                    }
                }
            },
            [
                (
                    (
                        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
                        ".nodeSelectorTerms[0].matchExpressions[0].operator"
                    ),
                    'Invalid value: "Near": not a valid selector operator',
                )
            ],
        ),
    ],
)
def test_a_pod_is_refused_for(spec, expected):
    assert wrong(**spec) == expected


def test_ports_of_a_pod_in_the_hosts_network_are_the_hosts():
    port = {"containerPort": 80}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"hostNetwork": True, "containers": [{**CONTAINER, "ports": [port]}]},
    }
    found = defaulting.apply_defaults(pod)["spec"]["containers"][0]["ports"][0]
    assert found["hostPort"] == 80


def test_an_empty_text_and_a_zero_of_a_probe_count_as_left_out():
    probe = {"httpGet": {"path": "", "port": 80}, "periodSeconds": 0}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{**CONTAINER, "imagePullPolicy": "", "livenessProbe": probe}]},
    }
    found = defaulting.apply_defaults(pod)["spec"]["containers"][0]
    assert found["imagePullPolicy"] == "Always"
    assert found["livenessProbe"]["periodSeconds"] == 10
    assert found["livenessProbe"]["httpGet"]["path"] == "/"
