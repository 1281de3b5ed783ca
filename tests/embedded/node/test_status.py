import pytest

from labkit.embedded.node.capacity import capacity_of
from labkit.embedded.node.recovery import first_state
from labkit.embedded.node.status import ContainerState, phase_of, pod_status, qos_class

POD = {
    "metadata": {"name": "web", "namespace": "default", "uid": "u", "generation": 3},
    "spec": {"containers": [{"name": "app", "image": "i:v1"}]},
}


def state(kind="app", name="app", **fields):
    return ContainerState(name=name, image="ghcr.io/x/i:v1", kind=kind, **fields)


def status_of(*states, pod=POD):
    return pod_status(pod, states, pod_ip="10.244.0.1", host_ip="10.124.0.2", start_time="t")


def conditions(status):
    return {c["type"]: c["status"] for c in status["conditions"]}


def test_a_waiting_pod_is_pending():
    status = status_of(state())
    assert status["phase"] == "Pending"
    assert conditions(status)["Ready"] == "False"
    assert status["containerStatuses"][0]["imageID"] == ""
    assert status["observedGeneration"] == 3


def test_a_pod_is_ready_when_its_containers_and_its_gates_are():
    app = state()
    app.run("labkit://1")
    app.started = app.ready = True
    assert conditions(status_of(app))["Ready"] == "True"
    gated = {**POD, "spec": {**POD["spec"], "readinessGates": [{"conditionType": "g"}]}}
    assert conditions(status_of(app, pod=gated))["Ready"] == "False"
    assert conditions(status_of(app, pod=gated))["ContainersReady"] == "True"
    gated["status"] = {"conditions": [{"type": "g", "status": "True"}]}
    status = status_of(app, pod=gated)
    assert conditions(status)["Ready"] == "True"
    assert conditions(status)["g"] == "True"


def test_a_condition_keeps_its_time_while_it_does_not_change():
    app = state()
    app.run("labkit://1")
    app.ready = True
    first = status_of(app)
    for condition in first["conditions"]:
        condition["lastTransitionTime"] = "2020-01-01T00:00:00Z"
    again = status_of(app, pod={**POD, "status": first})
    assert again["conditions"] == first["conditions"]


def test_a_failed_init_container_fails_the_pod():
    init = state("init", "init")
    init.end(1)
    init.finished = True
    assert phase_of([init, state()], POD["spec"]) == "Failed"


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (2, "Failed")])
def test_the_end_of_all_containers_is_the_end_of_the_pod(code, phase):
    app = state()
    app.run("labkit://1")
    app.end(code)
    app.finished = True
    status = status_of(app)
    assert status["phase"] == phase
    assert conditions(status)["Ready"] == "False"


def test_a_container_of_a_killed_daemon_counts_one_restart_more():
    before = {
        "name": "app",
        "containerID": "labkit://1",
        "restartCount": 2,
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
    }
    pod = {**POD, "status": {"phase": "Running", "containerStatuses": [before]}}
    found = first_state(pod, POD["spec"]["containers"][0], "app")
    assert found.restarts == 3
    assert found.last["exitCode"] == 137
    ended = {**pod, "status": {**pod["status"], "phase": "Succeeded"}}
    assert first_state(ended, POD["spec"]["containers"][0], "app").restarts == 2


def test_the_count_of_restarts_never_goes_back():
    before = {"name": "app", "containerID": "", "restartCount": 3, "state": {"waiting": {}}}
    pod = {**POD, "status": {"phase": "Pending", "containerStatuses": [before]}}
    assert first_state(pod, POD["spec"]["containers"][0], "app").restarts == 3


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}, "Burstable"),
    ],
)
def test_quality_of_service_follows_requests_and_limits(resources, expected):
    assert qos_class({"containers": [{"resources": resources}]}) == expected


def test_a_node_has_what_its_size_says():
    capacity = capacity_of("s-4vcpu-8gb")
    assert capacity.capacity()["cpu"] == "4"
    assert capacity.capacity()["memory"] == f"{8 * 2**20}Ki"
    assert capacity.allocatable()["cpu"] == "3900m"
