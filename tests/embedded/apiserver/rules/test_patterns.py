"""Patterns of schemas: what they match, and that no pattern and text take for ever."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.embedded.apiserver.rules import patterns

LONG = "a" * 100_000
BOMBS = (
    "(a+)+$", "(a|a)*$", "(.*)*=", "^(([a-z])+.)+[A-Z]([a-z])+$", "(a?){50}a{50}b", "a?" * 40 + "b",
    "a*a*a*a*a*a*b", "a*b", "(a|a|a|a){40}$b", "(a|aa)+$", "(?:a{0,60}){60}b",
)  # fmt: skip


@pytest.mark.parametrize("pattern", BOMBS)
@pytest.mark.parametrize("text", ["a" * 40 + "!", "a" * 255 + "!", LONG + "!"], ids=len)
def test_a_hostile_pattern_is_answered(pattern, text):
    assert patterns.matches(pattern, text) in (True, False)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("^a+$", "aaa", True),
        ("^a+$", "aab", False),
        (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "a.b-c", True),
        (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "a..b", False),
        (r"^\d{4}-\d\d$", "2026-11", True),
        ("b", "abc", True),
        ("(", "anything", True),
    ],
)
def test_a_pattern_matches_as_in_kubernetes(pattern, text, expected):
    assert patterns.matches(pattern, text) is expected


@given(st.text("ab", max_size=20), st.sampled_from(["^(a|b)*$", "(ab)+", "^a*b*$", "(a+b)*a$"]))
def test_both_engines_agree(text, pattern):
    assert patterns.matches(pattern, text) is (re.search(pattern, text) is not None)
