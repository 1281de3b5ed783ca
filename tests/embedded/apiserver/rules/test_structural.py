"""Values against the schema of a definition: combinations and formats in the real words."""

import pytest

from labkit.embedded.apiserver.rules import structural
from labkit.embedded.apiserver.rules.causes import Problems

NUMBER, TEXT = {"type": "integer"}, {"type": "string"}


def wrong(value, schema) -> list[tuple[str, str]]:
    problems = Problems()
    structural.check(value, {"properties": {"a": schema}}, "", problems)
    structural.check(value, schema, "spec.a", problems)
    return [(cause.field, cause.message) for cause in problems]


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"anyOf": [{"minimum": 9}, {"minimum": 8}]}, "at least one schema (anyOf)"),
        ({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, "Found 2 valid alternatives"),
        ({"oneOf": [{"minimum": 9}, {"minimum": 8}]}, "Found none valid"),
        ({"allOf": [{"minimum": 1}, {"minimum": 9}]}, "validate all the schemas (allOf)"),
        ({"not": {"minimum": 1}}, "must not validate the schema (not)"),
    ],
)
def test_combinations_name_no_field(schema, text):
    (found,) = [message for field, message in wrong(3, {**NUMBER, **schema}) if field == "<nil>"]
    assert text in found


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("date-time", "2026-01-02T03:04:05Z", "yesterday"),
        ("ipv4", "10.0.0.1", "10.0.0"),
        ("unheard-of", "x", None),
    ],
)
def test_formats_that_are_known_are_checked(kind, good, bad):
    schema = {**TEXT, "format": kind}
    assert wrong(good, schema) == []
    assert bad is None or [field for field, _ in wrong(bad, schema)] == ["spec.a"]
