"""Server-side apply and field ownership, on recorded scenarios and as properties."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.embedded.apiserver.rules.applying import server_side_apply
from labkit.embedded.apiserver.rules.managed_fields import ApplyConflict, track_update
from labkit.embedded.apiserver.rules.patching import PatchError
from labkit.embedded.apiserver.rules.schemas import Schemas

NOW = "2026-11-23T00:00:00Z"
LATER = "2026-11-23T00:01:00Z"
SCHEMAS = Schemas.load()
data_maps = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("123"), max_size=4)


def config_map(data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}


def apply(live: Any, applied: dict[str, Any], manager: str, **options: Any) -> dict[str, Any]:
    group, _, version = applied["apiVersion"].rpartition("/")
    schema = SCHEMAS.for_kind(group, version, applied["kind"])
    settings = {"force": False, "now": NOW, **options}
    return server_side_apply(live, applied, manager=manager, schema=schema, **settings)


def owners(obj: dict[str, Any]) -> dict[str, Any]:
    return {e["manager"]: e["fieldsV1"] for e in obj["metadata"].get("managedFields", ())}


def test_recorded_applies_of_one_object_end_as_recorded(recorded) -> None:
    seen = 0
    for scenario in recorded:
        if not scenario["name"].startswith("apply-") or scenario["name"] == "apply-lists":
            continue
        live: dict[str, Any] | None = None
        for exchange in scenario["exchanges"]:
            request, answer = exchange["request"], exchange["response"]
            if request["method"] != "PATCH" or "apply-patch" not in str(request["headers"]):
                live = answer.get("body")
                continue
            if "body" not in request or answer["status"] not in (200, 201, 409):
                continue
            manager = request["path"].partition("fieldManager=")[2].partition("&")[0]
            force = "force=true" in request["path"]
            subresource = "status" if "/status" in request["path"] else ""
            options = {"force": force, "subresource": subresource}
            if answer["status"] == 409:
                with pytest.raises(ApplyConflict) as caught:
                    apply(live, request["body"], manager, **options)
                assert caught.value.causes == answer["body"]["details"]["causes"]
                assert caught.value.message == answer["body"]["message"]
                continue
            result = apply(live, request["body"], manager, **options)
            expected = {
                e["manager"]: e["fieldsV1"] for e in answer["body"]["metadata"]["managedFields"]
            }
            assert owners(result) == expected, (scenario["name"], request["path"])
            assert result.get("data") == answer["body"].get("data")
            live = answer["body"]
            seen += 1
    assert seen >= 10


@given(data_maps, data_maps)
def test_a_single_manager_gets_exactly_what_it_applies(first: Any, second: Any) -> None:
    result = apply(apply(None, config_map(first), "m"), config_map(second), "m")
    assert (result.get("data") or {}) == second


@given(data_maps)
def test_applying_again_changes_nothing_not_even_the_time(data: Any) -> None:
    once = apply(None, config_map(data), "m")
    assert apply(once, config_map(data), "m", now=LATER) == once


@given(data_maps, data_maps)
def test_a_conflict_is_exactly_a_key_that_both_set_differently(first: Any, second: Any) -> None:
    live = apply(None, config_map(first), "one")
    clashes = {key for key in first.keys() & second.keys() if first[key] != second[key]}
    if clashes:
        with pytest.raises(ApplyConflict) as caught:
            apply(live, config_map(second), "two")
        assert {c.field for c in caught.value.conflicts} == {f".data.{key}" for key in clashes}
    result = apply(live, config_map(second), "two", force=bool(clashes))
    assert (result.get("data") or {}) == {**first, **second}


@given(data_maps, data_maps)
def test_a_field_goes_only_when_its_last_owner_gives_it_up(first: Any, second: Any) -> None:
    second = {key: first.get(key, value) for key, value in second.items()}
    live = apply(apply(None, config_map(first), "one"), config_map(second), "two")
    without_one = apply(live, config_map({}), "one")
    assert (without_one.get("data") or {}) == second
    without_both = apply(without_one, config_map({}), "two")
    assert not without_both.get("data")


def deployment(containers: list[dict[str, Any]]) -> dict[str, Any]:
    spec = {"template": {"spec": {"containers": containers}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}


def test_two_managers_share_a_pod_template_by_container_name() -> None:
    live = apply(None, deployment([{"name": "app", "image": "app:1"}]), "dev")
    live = apply(
        live, deployment([{"name": "proxy", "image": "p", "ports": [{"containerPort": 1}]}]), "mesh"
    )
    containers = live["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in containers] == ["app", "proxy"]
    with pytest.raises(ApplyConflict, match=r'containers\[name="app"\]\.image'):
        apply(live, deployment([{"name": "app", "image": "app:2"}]), "mesh")
    given_up = deployment([])
    del given_up["spec"]
    live = apply(live, given_up, "mesh")
    assert [c["name"] for c in live["spec"]["template"]["spec"]["containers"]] == ["app"]
    assert list(owners(live)) == ["dev"]


def test_updates_are_tracked_and_lose_what_others_change() -> None:
    schema = SCHEMAS.for_kind("", "v1", "ConfigMap")
    live = track_update(None, config_map({"a": "1"}), manager="creator", schema=schema, now=NOW)
    assert owners(live) == {"creator": {"f:data": {".": {}, "f:a": {}}}}
    new = copy.deepcopy(live)
    new["data"] = {"a": "2", "b": "1"}
    live = track_update(live, new, manager="curl", schema=schema, now=LATER)
    assert owners(live) == {"creator": {"f:data": {}}, "curl": {"f:data": {"f:a": {}, "f:b": {}}}}
    with pytest.raises(ApplyConflict, match=r'conflict with "curl" using v1: \.data\.a'):
        apply(live, config_map({"a": "3"}), "gitops")
    new = copy.deepcopy(live)
    new["metadata"]["managedFields"] = [{}]
    assert (
        "managedFields"
        not in track_update(live, new, manager="x", schema=schema, now=LATER)["metadata"]
    )


def test_status_and_spec_have_separate_owners() -> None:
    schema = SCHEMAS.for_kind("", "v1", "Service")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"type": "X"},
    }
    live = track_update(None, service, manager="maker", schema=schema, now=NOW)
    status = {**live, "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}}
    live = track_update(live, status, manager="lb", schema=schema, subresource="status", now=NOW)
    assert owners(live)["maker"] == {"f:spec": {"f:type": {}}}
    assert owners(live)["lb"].keys() == {"f:status"}


@pytest.mark.parametrize(
    ("applied", "message"),
    [
        ({**config_map({}), "unknown": 1}, r"\.unknown: field not declared in schema"),
        (deployment([{"image": "nameless"}]), 'omits key field "name"'),
        (deployment([{"name": "a"}, {"name": "a"}]), r'duplicate entries for key \[name="a"\]'),
    ],
)
def test_objects_that_do_not_fit_their_schema_are_refused(applied: Any, message: str) -> None:
    with pytest.raises(PatchError, match=message) as caught:
        apply(None, applied, "m")
    assert caught.value.status == 500
