"""What is wrong with kinds other than pods: fields and words of the real server, in its order."""

import pytest

from labkit.embedded.apiserver.rules import cronrules, validation
from labkit.embedded.apiserver.rules.schemas import Schemas
from tests.support.validated import wrong

CONTAINERS = [{"name": "c", "image": "x:1"}]
TEMPLATE = {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": CONTAINERS}}
RUN_ONCE = {"spec": {"restartPolicy": "Never", "containers": CONTAINERS}}
SELECTOR = {"matchLabels": {"app": "d"}}
PORTS = [{"port": 80}]


def test_a_deployment_without_anything_lacks_selector_and_containers_only():
    assert [field for field, _ in wrong("apps/v1", "Deployment")] == [
        "spec.selector",
        "spec.template.metadata.labels",
        "spec.template.spec.containers",
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"strategy": {"rollingUpdate": {"maxSurge": "abc", "maxUnavailable": "150%"}}},
            ["spec.strategy.rollingUpdate.maxSurge", "spec.strategy.rollingUpdate.maxUnavailable"],
        ),
        (
            {"progressDeadlineSeconds": 5, "minReadySeconds": 10},
            ["spec.progressDeadlineSeconds"],
        ),
        (
            {"selector": {"matchExpressions": [{"key": "app", "operator": "Odd"}]}},
            ["spec.selector.matchExpressions[0].operator", "spec.template.metadata.labels"],
        ),
        (
            {"template": {**TEMPLATE, "metadata": {"labels": {"app": "d", "b": "x y"}}}},
            ["spec.template.labels"],
        ),
    ],
)
def test_a_deployment_is_refused_for(fields, expected):
    spec = {"selector": SELECTOR, "template": TEMPLATE, **fields}
    assert [field for field, _ in wrong("apps/v1", "Deployment", spec=spec)] == expected


def test_mounts_of_claims_of_a_stateful_set_are_known():
    mount = {"name": "data", "mountPath": "/data"}
    containers = [{**CONTAINERS[0], "volumeMounts": [mount]}]
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    spec = {
        "selector": SELECTOR,
        "template": {**TEMPLATE, "spec": {"containers": containers}},
        "volumeClaimTemplates": [claim],
    }
    assert wrong("apps/v1", "StatefulSet", spec=spec) == []


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("@bogus", "unrecognized descriptor: @bogus"),
    ],
)
def test_a_schedule_is_refused_for(schedule, problem):
    with pytest.raises(cronrules.ScheduleError) as caught:
        cronrules.parse(schedule)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    "schedule", ["*/5 0-6 1,15 JAN MON", "@daily", "@every 1h30m", "? ? * * *"]
)
def test_a_schedule_is_read(schedule):
    cronrules.parse(schedule)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"completionMode": "Indexed", "parallelism": 2}, ["spec.completions"]),
        ({"backoffLimit": -1}, ["spec.backoffLimit"]),
        ({"selector": SELECTOR}, ["spec.selector", "spec.template.metadata.labels"]),
    ],
)
def test_a_job_is_refused_for(spec, expected):
    found = wrong("batch/v1", "Job", spec={"template": RUN_ONCE, **spec})
    assert [field for field, _ in found] == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "NodePort", "clusterIP": "None"}, ["spec.clusterIPs[0]"]),
        ({"sessionAffinityConfig": {"clientIP": {}}}, ["spec.sessionAffinityConfig"]),
        ({"externalTrafficPolicy": "Local"}, ["spec.externalTrafficPolicy"]),
        ({"loadBalancerSourceRanges": ["10.0.0.0/8"]}, ["spec.LoadBalancerSourceRanges"]),
        ({"loadBalancerClass": "a.b/c"}, ["spec.loadBalancerClass"]),
        ({"clusterIPs": ["10.96.1.1"]}, ["spec.clusterIPs"]),
        (
            {"clusterIP": "10.96.1.1", "ipFamilies": ["IPv6"], "clusterIPs": ["10.96.1.1"]},
            ["spec.clusterIPs[0]"],
        ),
        ({"trafficDistribution": "Odd"}, ["spec.trafficDistribution"]),
        ({"ports": [{"port": 80, "appProtocol": "a b"}]}, ["spec.ports[0].appProtocol"]),
        (
            {"type": "ExternalName", "externalName": "a.b", "ipFamilyPolicy": "SingleStack"},
            ["spec.ipFamilyPolicy"],
        ),
    ],
)
def test_a_service_is_refused_for(spec, expected):
    found = wrong("v1", "Service", spec={"ports": PORTS, **spec})
    assert [field for field, _ in found] == expected


@pytest.mark.parametrize(
    ("api", "kind", "fields", "expected"),
    [
        (
            "policy/v1",
            "PodDisruptionBudget",
            {"spec": {"minAvailable": "x"}},
            ["spec.minAvailable"],
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            {"spec": {"maxReplicas": 0}},
            [
                "spec.maxReplicas",
                "spec.maxReplicas",
                "spec.scaleTargetRef.kind",
                "spec.scaleTargetRef.name",
            ],
        ),
        ("networking.k8s.io/v1", "Ingress", {"spec": {}}, ["spec"]),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            {"spec": {"podSelector": {}, "ingress": [{"from": [{}]}], "policyTypes": ["Odd"]}},
            ["spec.ingress[0].from[0]", "spec.policyTypes[0]"],
        ),
        (
            "v1",
            "PersistentVolumeClaim",
            {"spec": {}},
            ["spec.accessModes", "spec.resources[storage]"],
        ),
        ("v1", "ResourceQuota", {"spec": {"hard": {"pods": "-1"}}}, ["spec.hard[pods]"]),
        (
            "v1",
            "LimitRange",
            {"spec": {"limits": [{"type": "Odd"}]}},
            ["spec.limits[0].type"],
        ),
        (
            "storage.k8s.io/v1",
            "StorageClass",
            {"volumeBindingMode": "Odd"},
            ["provisioner", "volumeBindingMode"],
        ),
        (
            "scheduling.k8s.io/v1",
            "PriorityClass",
            {"value": 2000000000},
            ["value"],
        ),
        (
            "events.k8s.io/v1",
            "Event",
            {"type": "Odd"},
            ["eventTime", "type"],
        ),
    ],
)
def test_an_object_is_refused_for(api, kind, fields, expected):
    assert [field for field, _ in wrong(api, kind, **fields)] == expected


def test_a_finalizer_without_a_domain_is_refused_in_built_in_kinds_only():
    metadata = {"name": "x", "finalizers": ["noslash"]}
    assert [field for field, _ in wrong("v1", "ConfigMap", metadata=metadata)] == [
        "metadata.finalizers[0]"
    ]
    scheme = Schemas()
    scheme.add_crd(
        {
            "spec": {
                "group": "a.b",
                "names": {"kind": "Toy"},
                "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object"}}}],
            }
        }
    )
    toy = {"apiVersion": "a.b/v1", "kind": "Toy", "metadata": metadata}
    assert validation.validate(toy, schema=scheme.for_kind("a.b", "v1", "Toy")) == []


def test_webhooks_need_full_names_an_address_and_a_review_they_understand():
    hook = {
        "name": "short",
        "sideEffects": "Some",
        "admissionReviewVersions": ["v9"],
        "clientConfig": {"url": "http://somewhere"},
    }
    found = wrong(
        "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", webhooks=[hook]
    )
    assert [field for field, _ in found] == [
        "webhooks[0].name",
        "webhooks[0].sideEffects",
        "webhooks[0].clientConfig.url",
        "webhooks[0].admissionReviewVersions",
    ]
    assert found[0][1].endswith("should be a domain with at least three segments separated by dots")
