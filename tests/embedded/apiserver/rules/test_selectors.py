"""Label and field selectors in all their notations."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.embedded.apiserver.rules.selectors import (
    SelectorError,
    format_selector,
    matches_fields,
    matches_labels,
    parse_field_selector,
    parse_label_selector,
    selector_from,
)

WEB = {"app": "web", "tier": "front", "n": "5"}
names = st.from_regex(r"[a-z]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier=front", True),
        ("app!=web", False),
        ("missing!=x", True),
        ("app in (web,db)", True),
        ("app notin (db, cache)", True),
        ("missing notin (x)", True),
        ("app", True),
        ("!app", False),
        ("!missing", True),
        ("n>4", True),
        ("n<4", False),
        ("app in (db),tier", False),
        ("app=", False),
        ("in notin (x),!notin", True),
    ],
)
def test_selectors_match_as_in_kubernetes(text: str, *, expected: bool) -> None:
    assert matches_labels(parse_label_selector(text), WEB) is expected


@pytest.mark.parametrize(
    "text",
    ["app=a=b", "=x", "app in web", "app in (web", "a,,b", "bad key!=x", "a=sp@ce", ",", "n>x"],
)
def test_broken_selectors_are_refused(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_label_selector(text)


@given(st.dictionaries(names, names, max_size=4))
def test_labels_match_the_selector_made_of_them(labels: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in labels.items())
    assert matches_labels(parse_label_selector(text), labels)
    assert matches_labels(selector_from({"matchLabels": labels}), labels)


@given(st.text(max_size=30))
def test_any_text_is_a_selector_or_a_selector_error(text: str) -> None:
    with contextlib.suppress(SelectorError):
        matches_labels(parse_label_selector(text), WEB)


def test_match_expressions_are_printed_and_matched() -> None:
    selector = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["front", "back"]},
            {"key": "old", "operator": "DoesNotExist"},
        ],
    }
    assert matches_labels(selector_from(selector), WEB)
    assert format_selector(selector) == "app=web,!old,tier in (back,front)"
    assert format_selector({}) == "<none>"


def test_field_selectors_compare_texts_and_take_absent_as_empty() -> None:
    pod = {"metadata": {"name": "a,b"}, "spec": {"hostNetwork": True}, "status": {}}
    assert matches_fields(parse_field_selector(r"metadata.name=a\,b,spec.hostNetwork=true"), pod)
    assert matches_fields(parse_field_selector("status.phase!=Running"), pod)
    assert matches_fields(parse_field_selector("spec.nodeName="), pod)
    with pytest.raises(SelectorError, match="invalid selector"):
        parse_field_selector("just-a-word")
