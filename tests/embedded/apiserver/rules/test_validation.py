"""Validation, decoding, unknown fields, and custom resources."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.embedded.apiserver.rules.default_rules import RULES
from labkit.embedded.apiserver.rules.defaulting import apply_defaults
from labkit.embedded.apiserver.rules.kindrules import CHECKS
from labkit.embedded.apiserver.rules.schemas import Schemas
from labkit.embedded.apiserver.rules.validation import (
    decode_check,
    default_from_schema,
    prune,
    unknown_fields,
    validate,
)

CRD: dict[str, Any] = {
    "spec": {
        "group": "lab.example.com",
        "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [
            {
                "name": "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {
                                    "size": {"type": "integer", "minimum": 1, "maximum": 9},
                                    "color": {
                                        "type": "string",
                                        "default": "red",
                                        "enum": ["red", "blue"],
                                    },
                                    "tags": {
                                        "type": "array",
                                        "maxItems": 2,
                                        "items": {"type": "string"},
                                    },
                                    "addr": {"type": "string", "pattern": "^[a-z]+:[0-9]+$"},
                                    "free": {
                                        "type": "object",
                                        "x-kubernetes-preserve-unknown-fields": True,
                                    },
                                    "port": {"x-kubernetes-int-or-string": True},
                                },
                            }
                        },
                    }
                },
            }
        ],
    }
}
WIDGET = Schemas().with_crd(CRD).for_kind("lab.example.com", "v1", "Widget")


def widget(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "lab.example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "labels": {"a": "b"}},
        "spec": spec,
    }


def test_a_fitting_custom_resource_passes() -> None:
    obj = widget(size=3, color="blue", tags=["a"], addr="a:1", free={"x": [1]}, port="http")
    assert validate(obj, schema=WIDGET) == []
    assert unknown_fields(obj, WIDGET) == []
    assert prune(obj, WIDGET) == obj


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"size": 99}, "spec.size in body should be less than or equal to 9"),
        ({"size": 0}, "spec.size in body should be greater than or equal to 1"),
        ({}, "Required value"),
        ({"size": "x"}, 'spec.size in body must be of type integer: "string"'),
        ({"size": 1, "color": "pink"}, 'supported values: "red", "blue"'),
        ({"size": 1, "tags": ["a", "b", "c"]}, "must have at most 2 items"),
        ({"size": 1, "addr": "A"}, "spec.addr in body should match '^[a-z]+:[0-9]+$'"),
        ({"size": None}, 'must be of type integer: "null"'),
    ],
)
def test_each_keyword_of_a_structural_schema_is_checked(spec: dict[str, Any], message: str) -> None:
    causes = validate(widget(**spec), schema=WIDGET)
    assert len(causes) == 1
    assert message in causes[0].message


def test_unknown_fields_of_custom_resources_are_named_and_pruned() -> None:
    obj = widget(size=1, unknown="x", free={"kept": 1}, tags=["a"])
    assert unknown_fields(obj, WIDGET) == ["spec.unknown"]
    assert prune(obj, WIDGET) == widget(size=1, free={"kept": 1}, tags=["a"])
    assert default_from_schema(widget(size=1), WIDGET)["spec"] == {"size": 1, "color": "red"}


def test_unknown_fields_of_built_in_kinds_have_indexes(schemas) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "bogus": 1},
        "spec": {"ports": [{"port": 80, "bogus": 1}], "selector": {"any": "key"}},
    }
    schema = schemas.for_kind("", "v1", "Service")
    assert sorted(unknown_fields(service, schema)) == ["metadata.bogus", "spec.ports[0].bogus"]
    assert prune(service, schema)["spec"] == {"ports": [{"port": 80}], "selector": {"any": "key"}}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"data": {"n": 5}}, "cannot unmarshal number"),
        ({"data": []}, "cannot unmarshal array"),
        ({"binaryData": {"b": "no base64!"}}, "illegal base64 data at input byte 2"),
        ({"immutable": "yes"}, "of type bool"),
        ({"metadata": "x"}, "cannot unmarshal string"),
        ({"data": None}, None),
    ],
)
def test_wrong_types_are_named(schemas, body: dict[str, Any], problem: str | None) -> None:
    found = decode_check({"kind": "ConfigMap", **body}, schemas.for_kind("", "v1", "ConfigMap"))
    assert found is None if problem is None else problem in str(found)


def test_only_the_metadata_of_custom_resources_have_types_that_can_be_wrong() -> None:
    assert decode_check(widget(size="x"), WIDGET) is None
    wrong = {**widget(size=1), "metadata": {"name": []}}
    assert "cannot unmarshal array" in str(decode_check(wrong, WIDGET))


def deployment(**spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": "d"}},
        "spec": {"containers": [{"name": "d", "image": "x:1"}]},
    }
    obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template, **spec},
    }
    return apply_defaults(obj)


def test_selectors_of_deployments_must_match_and_stay(schemas) -> None:
    schema = schemas.for_kind("apps", "v1", "Deployment")
    assert validate(deployment(), schema=schema) == []
    other = deployment(selector={"matchLabels": {"app": "x"}})
    assert [c.field for c in validate(other, schema=schema)] == ["spec.template.metadata.labels"]
    fields = [c.field for c in validate(other, old=deployment(), schema=schema)]
    assert fields == ["spec.template.metadata.labels", "spec.selector"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"replicas": -1}, "spec.replicas"),
        ({"strategy": {"type": "Recreate", "rollingUpdate": {}}}, "spec.strategy.rollingUpdate"),
        ({"strategy": {"type": "Sideways"}}, "spec.strategy.type"),
        (
            {
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0},
                }
            },
            "spec.strategy.rollingUpdate.maxUnavailable",
        ),
    ],
)
def test_values_of_deployments_are_checked(schemas, change: dict[str, Any], field: str) -> None:
    causes = validate(deployment(**change), schema=schemas.for_kind("apps", "v1", "Deployment"))
    assert [cause.field for cause in causes] == [field]


def test_kinds_without_a_check_of_their_own_are_judged_by_their_schema(schemas) -> None:
    rule = {"subjects": [{"user": {"name": "sam"}}]}
    flow = {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": "f"},
        "spec": {"priorityLevelConfiguration": {"name": "high"}, "rules": [rule]},
    }
    schema = schemas.for_kind("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema")
    causes = validate(flow, schema=schema)
    field = "spec.rules[0].subjects[0].kind"
    assert [(c.field, c.reason) for c in causes] == [(field, "FieldValueRequired")]


def test_pods_keep_their_spec_but_not_their_images(schemas) -> None:
    schema = schemas.for_kind("", "v1", "Pod")

    def pod(image: str, **spec: Any) -> dict[str, Any]:
        containers = [{"name": "a", "image": image}]
        metadata = {"name": "p"}
        obj = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": containers},
        }
        obj["spec"] |= spec
        return apply_defaults(obj)

    assert validate(pod("x:2"), old=pod("x:1"), schema=schema) == []
    causes = validate(pod("x:1", hostNetwork=True), old=pod("x:1"), schema=schema)
    assert causes[0].reason == "FieldValueForbidden"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(
    kind=st.sampled_from(sorted(CHECKS.keys() | RULES.keys())),
    body=st.dictionaries(
        st.sampled_from(
            ["spec", "data", "status", "rules", "webhooks", "ports", "endpoints", "subsets"]
        ),
        json_values,
        max_size=3,
    ),
)
def test_whatever_decodes_can_be_validated(kind: tuple[str, str], body: dict[str, Any]) -> None:
    """A body is refused by the decoder or judged by the rules; neither fails."""
    group, name = kind
    version = f"{group}/v1" if group else "v1"
    obj = {"apiVersion": version, "kind": name, "metadata": {"name": "x"}, **body}
    schema = Schemas.load().for_kind(group, "v1", name)
    if decode_check(obj, schema) is None:
        known = prune(obj, schema)
        validate(apply_defaults(known), schema=schema)
