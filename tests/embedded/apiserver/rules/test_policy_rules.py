"""What budgets, autoscalers, priorities, quotas and limits are refused for."""

import pytest

from tests.support.validated import wrong

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
METRIC = "spec.metrics[0]"
CPU = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}


def only(found):
    """The one cause there is."""
    assert len(found) == 1, found
    return found[0]


def test_a_budget_has_one_of_two_bounds():
    both = {"minAvailable": 1, "maxUnavailable": "50%"}
    place, text = only(wrong("policy/v1", "PodDisruptionBudget", spec=both))
    assert place == "spec"
    assert text.endswith("minAvailable and maxUnavailable cannot be both set")
    odd = {"minAvailable": 1, "unhealthyPodEvictionPolicy": "Odd"}
    place, text = only(wrong("policy/v1", "PodDisruptionBudget", spec=odd))
    assert place == "spec.unhealthyPodEvictionPolicy"


@pytest.mark.parametrize(
    ("fields", "place", "text"),
    [
        ({"minReplicas": 0}, "spec.minReplicas", "must be greater than or equal to 1"),
        ({"minReplicas": 9}, "spec.maxReplicas", "greater than or equal to `minReplicas`"),
        ({"metrics": [{}]}, f"{METRIC}.type", "must specify a metric source type"),
        ({"metrics": [{"type": "Odd"}]}, f"{METRIC}.type", 'Unsupported value: "Odd"'),
        (
            {"metrics": [{"type": "Resource"}]},
            f"{METRIC}.resource",
            "must populate information for the given metric source",
        ),
        (
            {"metrics": [{"type": "Resource", "resource": {**CPU, "name": ""}}]},
            f"{METRIC}.resource.name",
            "must specify a resource name",
        ),
        (
            {
                "metrics": [
                    {"type": "Resource", "resource": {**CPU, "target": {"averageUtilization": 5}}}
                ]
            },
            f"{METRIC}.resource.target.type",
            "must specify a metric target type",
        ),
        (
            {
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {"name": "cpu", "target": {"type": "Utilization"}},
                    }
                ]
            },
            f"{METRIC}.resource.target.averageUtilization",
            "must set either a target raw value or a target utilization",
        ),
    ],
)
def test_an_autoscaler_is_refused_for(fields, place, text):
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 3, **fields}
    found, message = only(wrong("autoscaling/v2", "HorizontalPodAutoscaler", spec=spec))
    assert found == place
    assert text in message


def test_names_of_priorities_with_system_are_the_systems():
    body = {"apiVersion": "scheduling.k8s.io/v1", "metadata": {"name": "system-mine"}}
    place, text = only(wrong("scheduling.k8s.io/v1", "PriorityClass", **body, value=1))
    assert place == "metadata.name"
    assert "system-mine is not a known system priority class" in text


def test_the_number_of_a_priority_stays():
    found = wrong("scheduling.k8s.io/v1", "PriorityClass", old={"value": 1}, value=2)
    assert found == [("value", "Forbidden: may not be changed in an update.")]


@pytest.mark.parametrize(
    ("spec", "place", "text"),
    [
        ({"hard": {"pods": "1.5"}}, "spec.hard[pods]", "must be an integer"),
        ({"hard": {"cpu": "-1"}}, "spec.hard[cpu]", "must be greater than or equal to 0"),
        ({"hard": {"pods": "1"}, "scopes": ["Odd"]}, "spec.scopes", "unsupported scope"),
        ({"hard": {"-": "1"}}, "spec.hard[-]", "name part must consist of"),
    ],
)
def test_a_quota_is_refused_for(spec, place, text):
    found, message = only(wrong("v1", "ResourceQuota", spec=spec))
    assert found == place
    assert text in message


def test_a_name_of_a_quota_is_known_or_has_a_domain():
    found = wrong("v1", "ResourceQuota", spec={"hard": {"things": "1"}})
    assert [text.rpartition(": ")[2] for _, text in found] == [
        "must be a standard resource type or fully qualified",
        "must be a standard resource for quota",
    ]
    good = {
        "count/jobs.batch": "1",
        "requests.nvidia.com/gpu": "1",
        "services": "2",
        "cpu": "1500m",
    }
    assert wrong("v1", "ResourceQuota", spec={"hard": good}) == []


@pytest.mark.parametrize(
    ("item", "place", "text"),
    [
        (
            {"min": {"cpu": "2"}, "max": {"cpu": "1"}},
            "spec.limits[0].min[cpu]",
            "min value 2 is greater than max value 1",
        ),
        (
            {"defaultRequest": {"cpu": "2"}, "default": {"cpu": "1"}},
            "spec.limits[0].defaultRequest[cpu]",
            "default request value 2 is greater than default limit value 1",
        ),
        (
            {"default": {"cpu": "2"}, "max": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}},
            "spec.limits[0].max[cpu]",
            "default value 2 is greater than max value 500m",
        ),
        (
            {"type": "Pod", "default": {"cpu": "1"}},
            "spec.limits[0].default",
            "may not be specified when `type` is 'Pod'",
        ),
    ],
)
def test_limits_are_refused_for(item, place, text):
    spec = {"limits": [{"type": "Container", **item}]}
    found = wrong("v1", "LimitRange", spec=spec)
    assert (found[0][0], text in found[0][1]) == (place, True), found


def test_each_type_of_limits_is_given_once():
    spec = {"limits": [{"type": "Container"}, {"type": "Container"}]}
    assert wrong("v1", "LimitRange", spec=spec) == [
        ("spec.limits[1].type", 'Duplicate value: "Container"')
    ]
