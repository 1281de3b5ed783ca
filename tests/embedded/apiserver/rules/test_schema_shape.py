import pytest

from labkit.embedded.apiserver.rules.schema_shape import wrong_parts


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"properties": {"a": {"items": 5}}}, "s.properties[a].items"),
        ({"properties": {"a": "string"}}, "s.properties[a]"),
        ({"properties": []}, None),
        ({"properties": [1]}, "s.properties"),
        ({"additionalProperties": 1}, "s.additionalProperties"),
        ({"additionalProperties": True}, None),
        ({"not": True}, "s.not"),
        ({"items": [{}, 3]}, "s.items[1]"),
        ({"anyOf": [{"allOf": ["x"]}]}, "s.anyOf[0].allOf[0]"),
        ({"oneOf": {"a": 1}}, "s.oneOf"),
        ({"type": "object", "properties": {"items": {"type": "string"}}}, None),
        (7, "s"),
    ],
)
def test_each_part_that_is_no_schema_is_named(schema, path):
    assert [found for found, _ in wrong_parts(schema, "s")] == ([path] if path else [])
