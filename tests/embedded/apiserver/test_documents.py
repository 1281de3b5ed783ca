"""Texts from strangers: what is taken, and what is refused before it can do harm."""

import json

import pytest

from labkit.embedded.apiserver.documents import from_json, from_yaml

NESTED = 250


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"a":NaN}',
        b'{"a":1e400}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"[" * NESTED + b"]" * NESTED,
        b"[" * 1_000_000,
        b'{"a":' * NESTED + b"1" + b"}" * NESTED,
    ],
)
def test_json_that_is_not_taken(text):
    with pytest.raises(ValueError):
        from_json(text)


@pytest.mark.parametrize(
    "text",
    [
        b"a: &a [*a]",
        b"a: .inf",
        b"\x00",
        b"a: 1\n--- 2\n",
        b"? [a, b]\n: c",
        b"!!python/object/apply:os.system [id]",
        b"- " * NESTED + b"x",
        b"- " * 20_000 + b"x",
        b"\n".join(
            b"%c: &%c [%s]" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i) if i else b"x"] * 9))
            for i in range(8)
        ),
    ],
)
def test_yaml_that_is_not_taken(text):
    with pytest.raises(ValueError):
        from_yaml(text)


def test_yaml_comes_as_json_has_it():
    text = b"a: &x {1: 2026-01-01, b: [yes, 0o7, 1.5, ~]}\nc: *x\n"
    found = from_yaml(text)
    assert found == json.loads(json.dumps(found))
    assert found["a"] == {"1": "2026-01-01", "b": [True, "0o7", 1.5, None]}
    assert found["c"] == found["a"]
    assert found["c"] is not found["a"]


def test_large_numbers_stay_what_they_are():
    assert from_json(b'[1e3, 9223372036854775807, 1e300, "1e999"]') == [
        1e3,
        2**63 - 1,
        1e300,
        "1e999",
    ]
