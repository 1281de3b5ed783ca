"""The simple JSONPath of printer columns and scale: `.spec.a`, `[0]`, `[*]`, `['k']`, filters.

Full JSONPath (recursion, slices, functions, ranges) is kubectl's own and not needed on a server.
"""

import functools
import re
from collections.abc import Iterable
from typing import Any

STEP = re.compile(
    r"\.(?P<name>(?:\\.|[^.\[\]\\])+)"
    r"|\[(?P<index>-?\d+)\]"
    r"|\[(?P<all>\*)\]"
    r"|\[(?P<quote>['\"])(?P<key>.*?)(?P=quote)\]"
    r"|\[\?\(@(?P<path>[^=!<>]*?)\s*(?:(?P<op>==|!=)\s*(?P<value>.*?))?\)\]"
)


class JsonPathError(ValueError):
    """A path that cannot be read."""


@functools.lru_cache(maxsize=512)
def _steps(path: str) -> tuple[dict[str, Any], ...]:
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    if text and text[0] not in ".[":
        text = "." + text
    position, steps = 0, []
    while position < len(text):
        match = STEP.match(text, position)
        if match is None:
            raise JsonPathError(f"unrecognized character in JSONPath {path!r} at {position}")
        steps.append(match.groupdict())
        position = match.end()
    return tuple(steps)


def _literal(text: str) -> Any:
    if text[:1] in "'\"" and text[-1:] == text[:1]:
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return text


def _passes(item: Any, step: dict[str, Any]) -> bool:
    found = find(item, step["path"]) if step["path"] else [item]
    if step["op"] is None:
        return bool(found)
    equal = bool(found) and found[0] == _literal(step["value"])
    return bool(equal == (step["op"] == "=="))


def _apply(value: Any, step: dict[str, Any]) -> Iterable[Any]:
    name = step["key"]
    if step["name"] is not None:
        name = re.sub(r"\\(.)", r"\1", step["name"])
    if name is not None:
        if name == "*":
            return value.values() if isinstance(value, dict) else value
        return [value[name]] if isinstance(value, dict) and name in value else []
    if not isinstance(value, list):
        return list(value.values()) if step["all"] and isinstance(value, dict) else []
    if step["index"] is not None:
        index = int(step["index"])
        return [value[index]] if -len(value) <= index < len(value) else []
    return value if step["all"] else [item for item in value if _passes(item, step)]


def find(obj: Any, path: str) -> list[Any]:
    """Returns all values at a path, none when it leads nowhere.

    Raises:
        JsonPathError: the path cannot be read.
    """
    values = [obj]
    for step in _steps(path):
        values = [found for value in values for found in _apply(value, step)]
    return values
