"""How many pods where: properties that hold for every rollout, and the recorded real one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.embedded.controllers import rollout
from labkit.embedded.controllers.objects import resolve_amount, safe_hash


def deployment(replicas: int, *, surge: Any = "25%", unavailable: Any = "25%") -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "shop", "uid": "u"},
        "spec": {
            "replicas": replicas,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
            },
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {}},
        },
    }


def replica_set(name: str, size: int, *, available: int) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "creationTimestamp": f"2026-01-01T00:00:0{name[-1]}Z"},
        "spec": {"replicas": size},
        "status": {"replicas": size, "availableReplicas": available},
    }


@pytest.mark.parametrize(
    ("amount", "total", "up", "number"),
    [("25%", 2, True, 1), ("25%", 2, False, 0), ("100%", 3, True, 3), (2, 10, True, 2)],
)
def test_percentages_are_rounded_up_for_surge_and_down_for_unavailable(amount, total, up, number):
    assert resolve_amount(amount, total, up=up) == number


def test_one_of_surge_and_unavailable_is_never_zero():
    assert rollout.limits(deployment(3, surge=0, unavailable=0)) == (0, 1)


def test_the_recorded_rollout_of_two_unready_replicas():
    old = replica_set("old-1", 2, available=0)
    item = deployment(2)
    assert rollout.new_set_size(item, [old], 0) == 1
    new = replica_set("new-2", 1, available=0)
    assert rollout.old_set_sizes(item, new, [old]) == {}


def test_unhealthy_old_pods_go_first():
    old = [replica_set("a-1", 2, available=2), replica_set("b-2", 2, available=0)]
    new = replica_set("c-3", 1, available=1)
    sizes = rollout.old_set_sizes(deployment(4, surge=1, unavailable=1), new, old)
    assert sizes["b-2"] == 0


@given(
    st.integers(1, 30),
    st.integers(0, 5),
    st.integers(0, 5),
    st.lists(st.floats(0, 1), min_size=1, max_size=60),
)
def test_a_rollout_keeps_its_limits_and_ends(replicas, surge, unavailable, readiness):
    item = deployment(replicas, surge=surge, unavailable=unavailable)
    surge, unavailable = rollout.limits(item)
    old = replica_set("old-1", replicas, available=replicas)
    new = replica_set("new-2", 0, available=0)
    luck = iter(readiness)
    for _ in range(1000):
        size = new["spec"]["replicas"]
        new["spec"]["replicas"] = rollout.new_set_size(item, [old, new], size)
        for name, smaller in rollout.old_set_sizes(item, new, [old]).items():
            assert name == "old-1"
            old["spec"]["replicas"] = smaller
            old["status"]["availableReplicas"] = min(smaller, replicas)
        total = rollout.total([old, new])
        available = rollout.status_total([old, new], "availableReplicas")
        assert total <= replicas + surge
        assert available >= replicas - unavailable
        missing = new["spec"]["replicas"] - new["status"]["availableReplicas"]
        new["status"]["availableReplicas"] += max(int(missing * next(luck, 1)), min(missing, 1))
        if new["status"]["availableReplicas"] == replicas and old["spec"]["replicas"] == 0:
            return
    pytest.fail("the rollout never ended")


@given(st.lists(st.integers(1, 20), min_size=2, max_size=5), st.integers(0, 100))
def test_proportional_scaling_adds_up(sizes, replicas):
    item = deployment(replicas, surge=1)
    sets = [replica_set(f"s-{n}", size, available=size) for n, size in enumerate(sizes)]
    scaled = rollout.proportional_sizes(item, sets)
    wanted = replicas + 1 if replicas else 0
    # What rounding leaves over is taken from the first set alone, and none gets below zero: the
    # rest stays for the next look at the Deployment, as in Kubernetes.
    assert sum(scaled.values()) == wanted or (
        sum(scaled.values()) > wanted and 0 in scaled.values()
    )
    assert all(size >= 0 for size in scaled.values())


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [(15, {"s-0": 7, "s-1": 8}), (5, {"s-0": 2, "s-1": 3})],
    ids=["the newer grows first", "the older shrinks first"],
)
def test_halves_are_rounded_up_and_age_decides_between_equals(replicas, expected):
    sets = [replica_set(f"s-{n}", 5, available=5) for n in range(2)]
    assert rollout.proportional_sizes(deployment(replicas, surge=0), sets) == expected


def test_the_hash_depends_on_the_template_only():
    item = deployment(2)
    other = deployment(7)
    assert rollout.template_hash(item) == rollout.template_hash(other)
    other["spec"]["template"]["spec"]["nodeName"] = "x"
    assert rollout.template_hash(item) != rollout.template_hash(other)
    assert set(safe_hash("anything")) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_revisions_of_a_set_are_remembered():
    item = deployment(2)
    known = {"metadata": {"annotations": {rollout.REVISION: "1"}}}
    notes = rollout.set_annotations(item, known, 3)
    assert notes[rollout.REVISION] == "3"
    assert notes[rollout.REVISION_HISTORY] == "1"
