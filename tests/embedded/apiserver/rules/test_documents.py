"""Schemas, OpenAPI documents and the protobuf reader."""

import base64
import contextlib
import gzip
import json
import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.embedded.apiserver.rules import generate, openapi, wire
from labkit.embedded.apiserver.rules.schemas import Definitions, Schemas, definitions


@dataclass(frozen=True)
class Served:
    plural: str
    kind: str
    namespaced: bool = True
    verbs: tuple[str, ...] = ("create", "delete", "get", "list", "patch", "update")


def test_the_packaged_schemas_are_those_that_the_generator_makes() -> None:
    packaged = json.loads(gzip.decompress(generate.OUTPUT.read_bytes()))
    assert packaged == generate.build()
    assert generate.OUTPUT.stat().st_size < 1_000_000


def test_merge_keys_and_list_types_survive(schemas) -> None:
    spec = schemas.for_kind("", "v1", "Service")["properties"]["spec"]
    ports = spec["properties"]["ports"]
    assert ports["x-kubernetes-patch-merge-key"] == "port"
    assert ports["x-kubernetes-list-map-keys"] == ["port", "protocol"]
    assert ports["items"]["properties"]["port"]["type"] == "integer"


def test_enumerations_are_known(schemas) -> None:
    spec = schemas.for_kind("", "v1", "Service")["properties"]["spec"]
    types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
    assert spec["properties"]["type"]["enum"] == types


def test_schemas_load_lazily_and_fast() -> None:
    started = time.perf_counter()
    Definitions(definitions().raw).linked("io.k8s.api.apps.v1.Deployment")
    assert time.perf_counter() - started < 5


def test_unknown_kinds_have_no_schema_and_custom_ones_can_go(schemas) -> None:
    assert schemas.for_kind("nosuch.example.com", "v1", "Thing") is None
    crd = {"spec": {"group": "g.io", "names": {"kind": "T"}, "versions": [{"name": "v1"}]}}
    extended = schemas.with_crd(crd)
    assert extended.is_custom("g.io", "v1", "T")
    assert schemas.for_kind("g.io", "v1", "T") is None
    extended.remove_crd(crd)
    assert extended.for_kind("g.io", "v1", "T") is None


def test_openapi_documents_name_kinds_actions_and_field_validation(schemas) -> None:
    document = openapi.openapi_v3_document(
        "apps", "v1", [Served("deployments", "Deployment")], schemas
    )
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"]["kind"] == "Deployment"
    assert patch["x-kubernetes-action"] == "patch"
    assert {p["name"] for p in patch["parameters"]} >= {"fieldValidation", "dryRun", "force"}
    components = document["components"]["schemas"]
    text = str(components)
    assert "io.k8s.api.core.v1.Container" in components
    assert all(name in components for name in _references(text))


def _references(text: str) -> set[str]:
    return {part.split("'")[0] for part in text.split("#/components/schemas/")[1:]}


def test_custom_resources_have_no_strategic_patch_and_change_the_index(schemas) -> None:
    crd = {"spec": {"group": "g.io", "names": {"kind": "T"}, "versions": [{"name": "v1"}]}}
    extended = schemas.with_crd(crd)
    document = openapi.openapi_v3_document("g.io", "v1", [Served("ts", "T")], extended)
    patch = document["paths"]["/apis/g.io/v1/namespaces/{namespace}/ts/{name}"]["patch"]
    assert openapi.STRATEGIC not in patch["requestBody"]["content"]
    groups = {"": ["v1"], "g.io": ["v1"]}
    before, after = (
        openapi.openapi_v3_index(groups, schemas),
        openapi.openapi_v3_index(groups, extended),
    )
    assert before["paths"]["api/v1"] == after["paths"]["api/v1"]
    assert before["paths"]["apis/g.io/v1"] != after["paths"]["apis/g.io/v1"]


NAMESPACE = bytes.fromhex(
    "6b3873000a0f0a02763112094e616d65737061636512210a190a09656d6f6a69766f746f120"
    "01a0022002a003200380042001200"
    "1a020a001a002200"
)


def test_a_body_that_kubectl_sent_is_read() -> None:
    """The namespace of `kubectl create namespace emojivoto`, as version 1.37 encodes it."""
    expected = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "emojivoto"}}
    assert wire.decode(NAMESPACE) == expected


def _text(field: int, data: bytes) -> bytes:
    assert len(data) < 128
    return bytes([field << 3 | 2, len(data)]) + data


def _envelope(version: str, kind: str, raw: bytes) -> bytes:
    meta = _text(1, version.encode()) + _text(2, kind.encode())
    return wire.MAGIC + _text(1, meta) + _text(2, raw)


def test_maps_bytes_and_inline_messages_are_read() -> None:
    entry = _text(1, b"k") + _text(2, b"\x00\x01")
    secret = _text(2, entry) + _text(3, b"Opaque")
    assert wire.decode(_envelope("v1", "Secret", secret)) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "data": {"k": base64.b64encode(b"\x00\x01").decode()},
        "type": "Opaque",
    }
    attributes = _text(1, b"ns") + _text(2, b"list")
    review = _text(2, _text(1, attributes))
    found = wire.decode(_envelope("authorization.k8s.io/v1", "SelfSubjectAccessReview", review))
    assert found["spec"] == {"resourceAttributes": {"namespace": "ns", "verb": "list"}}


@given(st.binary(max_size=200))
def test_damaged_bodies_are_an_error_and_nothing_else(data: bytes) -> None:
    for body in (
        data,
        wire.MAGIC + data,
        NAMESPACE[:20] + data,
        _envelope("v1", "Pod", data[:100]),
    ):
        with contextlib.suppress(wire.WireError):
            assert isinstance(wire.decode(body), dict)


def test_kinds_without_a_protobuf_form_are_refused() -> None:
    with pytest.raises(wire.WireError, match="no kind"):
        wire.decode(_envelope("lab.example.com/v1", "Widget", b""))


def test_an_index_needs_no_schemas() -> None:
    assert "api/v1" in openapi.openapi_v3_index({"": ["v1"]})["paths"]
    assert openapi.openapi_v2_document({"": ["v1"]})["swagger"] == "2.0"
    assert openapi.openapi_v2_protobuf().startswith(b"\x0a\x032.0")
    assert Schemas.load().fingerprint("", "v1") == ""
