"""JSON patch, merge patch and strategic merge patch."""

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.embedded.apiserver.rules.patching import (
    PatchError,
    apply_json_patch,
    apply_merge_patch,
    apply_strategic_patch,
)
from labkit.embedded.apiserver.rules.schemas import Schemas

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)
json_objects = st.dictionaries(st.text(max_size=3), json_values, max_size=4)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


@given(json_objects, json_objects)
def test_a_merge_patch_applied_twice_changes_nothing_more(obj: Any, patch: Any) -> None:
    once = apply_merge_patch(obj, patch)
    assert apply_merge_patch(once, patch) == once


@given(json_objects)
def test_a_merge_patch_to_nothing_is_the_patch_without_nulls(patch: Any) -> None:
    assert apply_merge_patch({}, patch) == without_nulls(patch)


@given(json_objects, json_objects)
def test_patches_leave_their_arguments_alone(obj: Any, patch: Any) -> None:
    before = copy.deepcopy((obj, patch))
    apply_merge_patch(obj, patch)
    with contextlib.suppress(PatchError):
        apply_strategic_patch(obj, patch, {})
    assert (obj, patch) == before


def test_json_patch_tests_a_missing_path_against_null() -> None:
    assert apply_json_patch({"a": 1}, [{"op": "test", "path": "/b", "value": None}]) == {"a": 1}


@pytest.mark.parametrize(
    "ops",
    [
        [{"op": "remove", "path": "/nosuch"}],
        [{"op": "add", "path": "/deep/er", "value": 1}],
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "frobnicate", "path": "/a"}],
        [{"op": "add"}],
        [{"op": "replace", "path": "", "value": []}],
        [{"op": "add", "path": "no-slash", "value": 1}],
    ],
)
def test_json_patches_that_do_not_apply_are_422(ops: Any) -> None:
    with pytest.raises(PatchError) as caught:
        apply_json_patch({"a": 1}, ops)
    assert (caught.value.status, caught.value.reason) == (422, "Invalid")


@pytest.mark.parametrize("document", [{"not": "a list"}, "text", [1]])
def test_what_is_no_json_patch_is_400(document: Any) -> None:
    with pytest.raises(PatchError) as caught:
        apply_json_patch({}, document)
    assert caught.value.status == 400


@pytest.fixture
def deployment() -> dict[str, Any]:
    containers = [
        {
            "name": "main",
            "image": "app:1",
            "ports": [{"containerPort": 8080}, {"containerPort": 53, "protocol": "UDP"}],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        },
        {"name": "side", "image": "proxy:1"},
    ]
    return {
        "metadata": {"labels": {"a": "1"}},
        "spec": {"template": {"spec": {"containers": containers}}},
    }


def patched(deployment: dict[str, Any], spec: dict[str, Any], schemas: Schemas) -> list[Any]:
    schema = schemas.for_kind("apps", "v1", "Deployment")
    patch = {"spec": {"template": {"spec": spec}}}
    result = apply_strategic_patch(deployment, patch, schema)
    return result["spec"]["template"]["spec"]["containers"]


def test_strategic_patch_merges_containers_by_name(deployment, schemas) -> None:
    containers = patched(
        deployment, {"containers": [{"name": "side", "image": "proxy:2"}]}, schemas
    )
    assert [(c["name"], c["image"]) for c in containers] == [("main", "app:1"), ("side", "proxy:2")]


def test_strategic_patch_puts_new_elements_first_and_keeps_the_others_order(
    deployment, schemas
) -> None:
    containers = patched(deployment, {"containers": [{"name": "new", "image": "n"}]}, schemas)
    assert [c["name"] for c in containers] == ["new", "main", "side"]
    env = [{"name": "B", "value": "22"}, {"name": "C", "value": "3"}]
    containers = patched(deployment, {"containers": [{"name": "main", "env": env}]}, schemas)
    assert [(e["name"], e["value"]) for e in containers[0]["env"]] == [
        ("A", "1"),
        ("B", "22"),
        ("C", "3"),
    ]


def test_strategic_patch_obeys_its_directives(deployment, schemas) -> None:
    gone = patched(deployment, {"containers": [{"name": "side", "$patch": "delete"}]}, schemas)
    assert [c["name"] for c in gone] == ["main"]
    ordered = patched(
        deployment,
        {
            "$setElementOrder/containers": [{"name": "side"}, {"name": "main"}],
            "containers": [{"name": "side", "image": "proxy:3"}],
        },
        schemas,
    )
    assert [c["name"] for c in ordered] == ["side", "main"]
    replaced = apply_strategic_patch(
        deployment, {"metadata": {"labels": {"$patch": "replace", "only": "this"}}}, {}
    )
    assert replaced["metadata"]["labels"] == {"only": "this"}
    strategy = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    retained = apply_strategic_patch(
        strategy, {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}, {}
    )
    assert retained["spec"]["strategy"] == {"type": "Recreate"}


def test_strategic_patch_merges_and_deletes_primitives(schemas) -> None:
    schema = schemas.for_kind("", "v1", "ConfigMap")
    live = {"metadata": {"finalizers": ["a/x", "b/y"]}}
    merged = apply_strategic_patch(live, {"metadata": {"finalizers": ["c/z"]}}, schema)
    assert sorted(merged["metadata"]["finalizers"]) == ["a/x", "b/y", "c/z"]
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/x"]}}
    assert apply_strategic_patch(live, patch, schema)["metadata"]["finalizers"] == ["b/y"]


def test_an_element_without_its_merge_key_is_refused(deployment, schemas) -> None:
    with pytest.raises(PatchError, match="does not contain declared merge key: name") as caught:
        patched(deployment, {"containers": [{"image": "nameless"}]}, schemas)
    assert caught.value.status == 500
