"""Label and field selectors: the three notations of Kubernetes, one list of requirements.

A parsed selector is a tuple of requirements, all of which must hold. Which fields a kind can be
selected by is not decided here (the caller refuses others with 400).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.embedded.apiserver.rules import names

TOKEN = re.compile(r"\s*(!=|==|=|!|\(|\)|,|>|<|[^\s=!(),<>]+)")
OPERATORS = ("=", "==", "!=", "in", "notin", "<", ">")
SIGNS = ("(", ")", ",", "!", "=", "==", "!=", "<", ">")
"""Tokens that cannot be a key; `in` and `notin` can."""
INTEGER = re.compile(r"[+-]?[0-9]+")


class SelectorError(ValueError):
    """A selector that cannot be read; the message is Kubernetes' own."""


@dataclass(frozen=True)
class Requirement:
    """One condition: `key operator values`, operator one of in, notin, exists, absent, <, >."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, values: Mapping[str, str]) -> bool:
        """Tells whether the condition holds for a set of labels."""
        present = self.key in values
        if self.operator in ("in", "exists"):
            return present and (self.operator == "exists" or values[self.key] in self.values)
        if self.operator in ("notin", "absent"):
            return not present or (self.operator == "notin" and values[self.key] not in self.values)
        try:
            left, right = int(values[self.key]), int(self.values[0])
        except (KeyError, ValueError):
            return False
        return left > right if self.operator == ">" else left < right


Selector = tuple[Requirement, ...]


def _tokens(text: str) -> list[str]:
    position, tokens = 0, []
    while position < len(text) and text[position:].strip():
        match = TOKEN.match(text, position)
        if match is None:
            raise SelectorError(f"unable to parse requirement: found '{text[position:]}'")
        tokens.append(match[1])
        position = match.end()
    return tokens


def _check_values(key: str, values: Sequence[str], *, integer: bool = False) -> None:
    """Refuse what no label can have as value; several problems are told together."""
    problems = []
    if integer and not INTEGER.fullmatch(values[0]):
        problems.append(
            f"values[0]: Invalid value: \"{values[0]}\": for 'Gt', 'Lt' operators, the value must"
            " be an integer"
        )
    for index, value in enumerate(values):
        if wrong := "; ".join(names.label_value(value)):
            problems.append(f'values[{index}][{key}]: Invalid value: "{value}": {wrong}')
    if problems:
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise SelectorError(f"unable to parse requirement: {text}")


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def parse(self) -> Selector:
        result = []
        while first := self.peek():
            if first in SIGNS and first != "!":
                wanted = "!, identifier, or 'end of string'"
                raise SelectorError(f"found '{first}', expected: {wanted}")
            result.append(self.requirement())
            if self.peek() and self.take() != ",":
                found = self.tokens[self.at - 1]
                raise SelectorError(f"found '{found}', expected: ',' or 'end of string'")
            after = self.peek()
            if self.tokens[self.at - 1] == "," and (not after or (after in SIGNS and after != "!")):
                raise SelectorError(f"found '{after}', expected: identifier after ','")
        return tuple(result)

    def requirement(self) -> Requirement:
        negated = self.peek() == "!"
        if negated:
            self.take()
        key = self.take()
        if not key or key in SIGNS:
            raise SelectorError(f"unable to parse requirement: found '{key}', expected: identifier")
        if wrong := "; ".join(names.qualified_name(key)):
            raise SelectorError(
                f'unable to parse requirement: <nil>: Invalid value: "{key}": {wrong}'
            )
        if negated:
            return Requirement(key, "absent")
        if self.peek() in ("", ","):
            return Requirement(key, "exists")
        return self.comparison(key)

    def comparison(self, key: str) -> Requirement:
        operator = self.take()
        if operator not in OPERATORS:
            expected = "in, notin, =, ==, !=, gt, lt"
            raise SelectorError(
                f"unable to parse requirement: found '{operator}', expected: {expected}"
            )
        if operator in ("in", "notin"):
            return Requirement(key, operator, self.value_set(key))
        value = "" if self.peek() in ("", ",") else self.take()
        if value in SIGNS:
            raise SelectorError(
                f"unable to parse requirement: found '{value}', expected: identifier"
            )
        _check_values(key, (value,), integer=operator in "<>")
        if operator in "<>":
            return Requirement(key, operator, (value,))
        return Requirement(key, "notin" if operator == "!=" else "in", (value,))

    def value_set(self, key: str) -> tuple[str, ...]:
        if self.take() != "(":
            found = self.tokens[self.at - 1] if self.at <= len(self.tokens) else ""
            raise SelectorError(f"unable to parse requirement: found '{found}' expected: '('")
        if self.peek() != ")" and (not self.peek() or self.peek() in set(SIGNS) - {","}):
            wanted = "',', ')' or identifier"
            raise SelectorError(
                f"unable to parse requirement: found '{self.peek()}', expected: {wanted}"
            )
        values = [""]
        while (token := self.take()) != ")":
            if token == ",":  # noqa: S105 - a token of the grammar
                values.append("")
            elif not token or token in SIGNS or values[-1]:
                wanted = "',' or ')'" if values[-1] else "',', or identifier"
                raise SelectorError(
                    f"unable to parse requirement: found '{token}', expected: {wanted}"
                )
            else:
                values[-1] = token
        unique = tuple(sorted(set(values)))
        _check_values(key, unique)
        return unique


def parse_label_selector(text: str) -> Selector:
    """Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k`.

    Raises:
        SelectorError: the text is no selector.
    """
    return _Parser(text).parse()


def matches_labels(selector: Selector, labels: Mapping[str, str] | None) -> bool:
    """Tells whether all requirements hold; an empty selector matches everything."""
    values = labels or {}
    return all(requirement.holds(values) for requirement in selector)


def selector_from(selector: Mapping[str, Any] | None) -> Selector:
    """Converts a LabelSelector (or a plain `matchLabels` map in a Service) of an object."""
    if not selector:
        return ()
    if not {"matchLabels", "matchExpressions"} & selector.keys():
        return tuple(Requirement(k, "in", (v,)) for k, v in selector.items())
    words = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent"}
    labels = (selector.get("matchLabels") or {}).items()
    result = [Requirement(key, "in", (value,)) for key, value in labels]
    for expression in selector.get("matchExpressions") or ():
        operator = words.get(expression.get("operator", ""), "in")
        result.append(
            Requirement(
                expression.get("key") or "", operator, tuple(expression.get("values") or ())
            )
        )
    return tuple(result)


def format_selector(selector: Mapping[str, Any] | None) -> str:
    """Prints a LabelSelector as kubectl does; `<none>` when empty."""
    texts = []
    for item in sorted(selector_from(selector), key=lambda r: r.key):
        if item.operator == "exists":
            texts.append(item.key)
        elif item.operator == "absent":
            texts.append(f"!{item.key}")
        elif item.operator == "in" and len(item.values) == 1:
            texts.append(f"{item.key}={item.values[0]}")
        else:
            texts.append(f"{item.key} {item.operator} ({','.join(sorted(item.values))})")
    return ",".join(texts) or "<none>"


def parse_field_selector(text: str) -> Selector:
    """Parses `metadata.name=a,status.phase!=Running`; backslash escapes `,`, `=` and itself.

    Raises:
        SelectorError: a term without an operator, or a value that is not escaped.
    """
    result = []
    for term in sorted(_split_unescaped(text)):
        if not term:
            continue
        match = re.search(r"(?<!\\)(!=|==|=)", term)
        if match is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{term}'")
        operator = "notin" if match[1] == "!=" else "in"
        value = _unescaped(term[match.end() :])
        result.append(Requirement(term[: match.start()], operator, (value,)))
    return tuple(result)


def _unescaped(text: str) -> str:
    """The value that stands behind an operator."""
    if "\\" not in text and "=" not in text:
        return text
    for wrong in re.finditer(r"\\[\\,=]|\\.?|=", text):
        if wrong[0] == "=":
            problem = f"unescaped character in value: {ord('=')}"
            raise SelectorError(f"invalid field selector: {problem}")
        if wrong[0][1:] not in ("\\", ",", "="):
            problem = f"invalid escape sequence: {wrong[0]}"
            raise SelectorError(f"invalid field selector: {problem}")
    return re.sub(r"\\([\\,=])", r"\1", text)


def exact_value(text: str, key: str) -> str:
    """Returns the one value that a field selector wants of a key, "" when there is no such.

    Raises:
        SelectorError: a term without an operator.
    """
    for term in parse_field_selector(text):
        if term.key == key and term.operator == "in":
            return str(term.values[0])
    return ""


def _split_unescaped(text: str) -> Sequence[str]:
    return re.split(r"(?<!\\),", text)


def field_value(obj: Mapping[str, Any], path: str) -> str:
    """Returns the value at `a.b.c` as selectors see it: text, "" when absent."""
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def matches_fields(selector: Selector, obj: Mapping[str, Any]) -> bool:
    """Tells whether an object has the fields' values; absent fields count as ""."""
    for item in selector:  # a loop: every watch of pods by node asks this for every pod
        if (field_value(obj, item.key) in item.values) != (item.operator == "in"):
            return False
    return True
