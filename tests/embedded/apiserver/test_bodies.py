"""Bodies that are no objects, or objects of another kind: what is said of them."""

import json

import pytest

WHOLE = "the object provided is unrecognized (must be of type ConfigMap): "
HANDLED = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: '


@pytest.fixture(scope="module")
def maps(space) -> str:
    return f"/api/v1/namespaces/{space}/configmaps"


@pytest.mark.parametrize(
    ("body", "start", "end"),
    [
        (b"", WHOLE, "json parse error: unexpected end of JSON input (<empty>)"),
        (b'{"a":', WHOLE, 'json parse error: unexpected end of JSON input ({"a":)'),
        (b"[1]", WHOLE, "json: cannot unmarshal array into Go value of type struct"),
        (b"abc", WHOLE, "(616263)"),
        (b"{" + b" " * 40, WHOLE, "({" + " " * 29 + " ...)"),
    ],
)
def test_a_body_that_cannot_be_read_is_shown_in_part(ask, maps, body, start, end):
    found = ask("POST", maps, data=body, headers={"Content-Type": "application/json"})
    assert found.status == 400
    assert found.message.startswith(start)
    assert found.message.endswith(end)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"apiVersion": "v1", "kind": "Secret"},
            (
                'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to'
                " (core.ConfigMap): unknown conversion"
            ),
        ),
        (
            {"apiVersion": "v1", "kind": "Confg"},
            (
                'Confg in version "v1" cannot be handled as a ConfigMap: no kind "Confg" is registered'
                ' for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"'
            ),
        ),
        (
            {"apiVersion": "v2", "kind": "ConfigMap"},
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (
            {"data": {"n": 5}},
            (
                f"{HANDLED}json: cannot unmarshal number into Go struct field ConfigMap.data of type"
                " string"
            ),
        ),
        (
            {"metadata": {"name": 5}},
            (
                f"{HANDLED}json: cannot unmarshal number into Go struct field ConfigMap.metadata.name"
                " of type string"
            ),
        ),
        (
            {"binaryData": {"a": "not base64!"}},
            f"{HANDLED}illegal base64 data at input byte 3",
        ),
        (
            {"metadata": {"namespace": "elsewhere"}},
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ],
)
def test_an_object_is_not_taken_for_another(ask, maps, body, message):
    body = {**body, "metadata": {"name": "x", **body.get("metadata", {})}}
    found = ask("POST", maps, json=body)
    assert (found.status, found.message) == (400, message)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml"])
def test_other_formats_are_named_with_those_there_are(ask, maps, kind):
    found = ask("POST", maps, data=json.dumps({}), headers={"Content-Type": kind})
    assert found.status == 415
    assert found.message == (
        "the body of the request was in an unknown format - accepted media types include:"
        " application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )
