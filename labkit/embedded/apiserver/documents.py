"""Texts from strangers as values: JSON and YAML, with every text refused that could do harm.

Refused are nesting beyond 200 levels, numbers that JSON cannot write, halves of surrogate pairs,
and YAML whose aliases unfold to far more than was sent. Whatever comes out of here can be copied,
compared and written as JSON without a second thought. What a value means is not judged here.
"""

import asyncio
import re
from typing import Any

import pydantic_core
import yaml

_YAML_NESTING = 5000
"""Braces in a YAML body beyond which it is refused: the parser's time grows with their square."""

_ALIASED = 100_000
"""Values to which a document with aliases may unfold."""

_LONG = 50_000
"""Bytes of YAML that may be parsed in the event loop."""

_HUGE = re.compile(rb"[0-9][eE]\+?[0-9]{3}")


def from_json(body: bytes) -> Any:
    """The value of a JSON text; ValueError when it is none, or one that is not taken."""
    value = pydantic_core.from_json(body, allow_inf_nan=False)
    if _HUGE.search(body):
        pydantic_core.from_json(_written(value), allow_inf_nan=False)
    return value


def from_yaml(body: bytes) -> Any:
    """The value of a YAML (or JSON) text as JSON has it; ValueError as for `from_json`."""
    if body[:1] in (b"{", b"["):  # most clients send JSON as YAML, and that reads faster
        try:
            return from_json(body)
        except ValueError:
            pass
    if max(body.count(mark) for mark in (b"{", b"[", b"- -", b"? ?")) > _YAML_NESTING:
        raise ValueError("too many nested collections")
    try:
        value = yaml.load(body, Loader=_Loader)  # noqa: S506 - derived from SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if b"&" in body and _size(value, {}, ()) > _ALIASED:
        raise ValueError("document contains excessive aliasing")
    return pydantic_core.from_json(_written(value), allow_inf_nan=False)


async def from_long_yaml(body: bytes) -> Any:
    """`from_yaml`, beside the event loop if it takes long: a megabyte takes seconds."""
    if len(body) > _LONG and body[:1] not in (b"{", b"["):
        return await asyncio.to_thread(from_yaml, body)
    return from_yaml(body)


def _written(value: Any) -> bytes:
    try:
        return pydantic_core.to_json(value, inf_nan_mode="constants")
    except (RecursionError, TypeError) as error:
        raise ValueError(str(error)) from error


def _size(value: Any, known: dict[int, int], above: tuple[int, ...]) -> int:
    """How many values a value unfolds to; every shared part is counted once and added often."""
    if not isinstance(value, dict | list):
        return 1
    key = id(value)
    if key in above:
        raise ValueError("anchor contains itself")
    if key not in known:
        parts = value.values() if isinstance(value, dict) else value
        known[key] = 1 + sum(_size(part, known, (*above, key)) for part in parts)
    return known[key]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML without dates: Kubernetes reads YAML as JSON, where a date is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in _Loader.yaml_implicit_resolvers.items()
}
