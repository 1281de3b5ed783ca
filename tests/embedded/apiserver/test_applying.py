"""Server-side apply where it is refused: identity, type, manager, conflicts."""

import json

import pytest

APPLY = {"Content-Type": "application/apply-patch+yaml"}


@pytest.fixture
def apply(ask, space):
    """`apply(name, **parts)`: a config map, applied by the manager `me`."""

    def applied(name, *, manager="me", metadata=None, query=None, **parts):
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, **(metadata or {})},
        }
        query = {"fieldManager": manager, **(query or {})}
        path = f"/api/v1/namespaces/{space}/configmaps/{name}"
        return ask("PATCH", path, data=json.dumps({**body, **parts}), params=query, headers=APPLY)

    return applied


def test_a_uid_of_something_that_is_not_there_is_a_conflict(apply):
    found = apply("missing", metadata={"uid": "u-1"})
    assert (found.status, found.body["reason"]) == (409, "Conflict")
    assert found.message == (
        'Operation cannot be fulfilled on configmaps "missing": uid mismatch: the provided object'
        " specified uid u-1, and no existing object was found"
    )


def test_a_uid_of_something_else_is_a_conflict(apply, space):
    made = apply("other", data={"a": "b"})
    assert made.status == 201
    found = apply("other", metadata={"uid": "u-1"}, data={"a": "c"})
    assert (found.status, found.body["reason"]) == (409, "Conflict")
    assert f"UID in object meta: {made.body['metadata']['uid']}" in found.message
    right = apply("other", metadata={"uid": made.body["metadata"]["uid"]}, data={"a": "c"})
    assert (right.status, right.body["data"]) == (200, {"a": "c"})


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"kind": "Secret"}, 400, "invalid object type: /v1, Kind=Secret"),
        ({"apiVersion": "v2"}, 400, "invalid object type: /v2, Kind=ConfigMap"),
        (
            {"metadata": {"managedFields": [{"manager": "me"}]}},
            400,
            "metadata.managedFields must be nil",
        ),
        ({"manager": ""}, 422, "fieldManager: Required value: is required for apply patch"),
        (
            {"metadata": {"name": "elsewhere"}},
            400,
            "the name of the object (elsewhere) does not match the name on the URL (refused)",
        ),
        ({"query": {"dryRun": "Some"}}, 422, 'Unsupported value: ["Some"]'),
    ],
)
def test_an_apply_is_refused_for(apply, change, status, message):
    found = apply("refused", **change)
    assert found.status == status
    assert message in found.message


def test_a_field_of_somebody_else_is_a_conflict_until_it_is_forced(apply):
    apply("shared", data={"a": "1", "b": "1"}, manager="first")
    found = apply("shared", data={"a": "2", "b": "1"}, manager="second")
    assert found.status == 409
    assert found.body["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "first"',
            "field": ".data.a",
        }
    ]
    forced = apply("shared", data={"a": "2"}, manager="second", query={"force": "true"})
    assert forced.body["data"] == {"a": "2", "b": "1"}
