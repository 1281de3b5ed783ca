"""What is wrong with CustomResourceDefinitions: places and words of the real server."""

from typing import Any

import pytest

from labkit.embedded.apiserver.rules import defaulting, patterns, validation
from labkit.embedded.apiserver.rules.schemas import Schemas

OBJECT: dict[str, Any] = {"type": "object"}
SCHEMA = "spec.validation.openAPIV3Schema"


def version(schema: Any, name: str = "v1", **fields: Any) -> dict[str, Any]:
    """A version that is served, and stored when it is v1."""
    stored = {"served": True, "storage": name == "v1"}
    return {"name": name, **stored, "schema": {"openAPIV3Schema": schema}, **fields}


def wrong(*versions: Any, names: dict[str, Any] | None = None, **spec: Any) -> list[tuple]:
    """Field and message of each cause of a definition's refusal."""
    group = spec.get("group", "example.com")
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"toys.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "toys", "kind": "Toy", **(names or {})},
            "versions": list(versions) or [version(OBJECT)],
            **spec,
        },
    }
    crd = defaulting.apply_defaults(crd)
    schema = Schemas.load().for_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    return [(c.field, c.message) for c in validation.validate(crd, schema=schema)]


def in_spec(schema: Any) -> list[tuple]:
    """The same for one version whose `spec` has a schema, with fields seen from there."""
    found = wrong(version({**OBJECT, "properties": {"spec": schema}}))
    return [(field.removeprefix(f"{SCHEMA}.properties[spec]"), text) for field, text in found]


def test_a_good_definition_is_accepted():
    assert wrong() == []
    assert in_spec({"type": "string", "pattern": "^(?:a|b)$", "default": "a"}) == []


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, [(".type", "Required value: must not be empty for specified object fields")]),
        ({"type": "array"}, [(".items", "Required value: must be specified")]),
        (
            {"type": "word"},
            [
                (
                    ".type",
                    (
                        'Unsupported value: "word": supported values: "array", "boolean", "integer", '
                        '"number", "object", "string"'
                    ),
                )
            ],
        ),
        (
            {"type": "string", "default": 5},
            [
                (
                    ".default",
                    'Invalid value: "integer":  in body must be of type string: "integer"',
                )
            ],
        ),
        (
            {"type": "object", "properties": {}, "default": {"x": 1}},
            [(".default", 'Invalid value: {"x":1}: must not have unknown fields')],
        ),
        (
            {"type": "string", "pattern": "("},
            [
                (
                    ".pattern",
                    (
                        'Invalid value: "(": must be a valid regular expression, but isn\'t: error '
                        "parsing regexp: missing closing ): `(`"
                    ),
                )
            ],
        ),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            [
                (
                    ".uniqueItems",
                    (
                        "Forbidden: uniqueItems cannot be set to true since the runtime complexity "
                        "becomes quadratic"
                    ),
                )
            ],
        ),
        (
            {"type": "object", "anyOf": [{"properties": {"a": {"type": "string"}}}]},
            [(".anyOf[0].properties[a].type", "Forbidden: must be empty to be structural")],
        ),
        (
            {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"},
            [
                (
                    ".x-kubernetes-list-map-keys",
                    "Required value: must not be empty if x-kubernetes-list-type is map",
                )
            ],
        ),
    ],
)
def test_a_schema_is_refused_for(schema, expected):
    assert in_spec(schema) == expected


def test_parts_that_versions_do_not_share_are_named_where_they_stand():
    other = version({"type": "string"}, "v2")
    assert wrong(version(OBJECT), other) == [
        (
            "spec.versions[1].schema.openAPIV3Schema.type",
            'Invalid value: "string": must be object at the root',
        )
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"names": {"shortNames": ["Bad_"]}}, "spec.names.shortNames[0]"),
        ({"names": {"listKind": "Toy"}}, "spec.names.listKind"),
        ({"scope": ""}, "spec.scope"),
        ({"group": "x.k8s.io"}, "metadata.annotations[api-approved.kubernetes.io]"),
        ({"preserveUnknownFields": True}, "spec.preserveUnknownFields"),
        ({"conversion": {"strategy": "Odd"}}, "spec.conversion.strategy"),
    ],
)
def test_a_definition_is_refused_for(fields, expected):
    assert [field for field, _ in wrong(**fields)] == [expected]


def test_columns_scales_and_selectable_fields_are_checked():
    column = {"name": "A", "type": "text", "jsonPath": "spec.x"}
    scale = {"specReplicasPath": ".status.x", "statusReplicasPath": ".status.replicas"}
    odd = version(
        OBJECT,
        additionalPrinterColumns=[column],
        subresources={"scale": scale},
        selectableFields=[{"jsonPath": ".spec.x"}],
    )
    assert [field for field, _ in wrong(odd)] == [
        "spec.subresources.scale.specReplicasPath",
        "spec.additionalPrinterColumns[0].type",
        "spec.additionalPrinterColumns[0].JSONPath",
        "spec.selectableFields[0].jsonPath",
    ]


@pytest.mark.parametrize("pattern", ["[a-z]+", "^(a|b){2,3}$", r"\d+\.\w*"])
def test_a_pattern_of_both_engines_is_no_problem(pattern):
    assert patterns.problem(pattern) == ""


def test_a_pattern_of_pythons_alone_is_a_problem():
    assert "(?=" in patterns.problem("a(?=b)")
