"""What a new pod is given, and what it may not bring: priorities, runtimes, accounts, a node."""

import pytest

CONTAINER = {"name": "c", "image": "x"}
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
def make(ask, space):
    """`make(**spec)`: a new pod."""

    def made(**spec):
        body = {"metadata": {"generateName": "p-"}, "spec": {"containers": [CONTAINER], **spec}}
        return ask("POST", f"/api/v1/namespaces/{space}/pods", json=body)

    return made


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"priorityClassName": "nope"}, "no PriorityClass with name nope was found"),
        (
            {"priority": 5},
            (
                "the integer value of priority (5) must not be provided in pod spec; priority"
                " admission controller computed 0 from the given PriorityClass name"
            ),
        ),
        (
            {"preemptionPolicy": "Never"},
            (
                "the string value of PreemptionPolicy (Never) must not be provided in pod spec;"
                " priority admission controller computed PreemptLowerPriority from the given"
                " PriorityClass name"
            ),
        ),
        ({"runtimeClassName": "nope"}, 'pod rejected: RuntimeClass "nope" not found'),
        (
            {"serviceAccountName": "nope"},
            (
                "error looking up service account test-pod-admission/nope: serviceaccount"
                ' "nope" not found'
            ),
        ),
    ],
)
def test_a_pod_is_forbidden_for(make, spec, why):
    found = make(**spec)
    assert (found.status, found.message) == (403, f'pods "p-" is forbidden: {why}')


def test_a_pod_has_the_priority_of_its_class_or_of_the_default_class(ask, make):
    named = make(priorityClassName="system-node-critical").body["spec"]
    assert named["priority"] == 2000001000
    assert make(priority=0, preemptionPolicy="PreemptLowerPriority").status == 201
    body = {"value": 7, "globalDefault": True, "preemptionPolicy": "Never"}
    ask("POST", CLASSES, json={"metadata": {"name": "usual"}, **body})
    usual = make().body["spec"]
    ask("DELETE", f"{CLASSES}/usual")
    found = [usual[field] for field in ("priorityClassName", "priority", "preemptionPolicy")]
    assert found == ["usual", 7, "Never"]


def test_tolerations_of_short_outages_come_back(ask, space, make):
    pod = make().body
    path = f"/api/v1/namespaces/{space}/pods/{pod['metadata']['name']}"
    found = ask("PATCH", path, json={"spec": {"tolerations": []}}, headers=MERGE)
    assert found.body["spec"]["tolerations"] == pod["spec"]["tolerations"]


def test_a_pod_that_waits_behind_a_gate_is_not_bound(ask, space, make):
    name = make(schedulingGates=[{"name": "example.com/wait"}]).body["metadata"]["name"]
    path = f"/api/v1/namespaces/{space}/pods/{name}/binding"
    found = ask("POST", path, json={"target": {"name": "n"}})
    assert found.status == 409
    assert found.message.endswith(f"pod {name} has non-empty .spec.schedulingGates")


def test_a_token_is_of_the_account_in_the_path(ask, space):
    path = f"/api/v1/namespaces/{space}/serviceaccounts/default/token"
    found = ask("POST", path, json={"metadata": {"name": "other"}, "spec": {}})
    assert found.causes == [
        (
            "metadata.name",
            'Invalid value: "other": must match the service account name if specified',
        )
    ]
    assert ask("POST", path, json={"metadata": {"name": "default"}, "spec": {}}).status == 201
