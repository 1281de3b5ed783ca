r"""Values of the manifests: defaults from a file, then `--values`, `--set` and the like.

The order is Helm's: each `--values` file in turn, then the `--set` family in the order given by
kind (`--set`, `--set-string`, `--set-file`). Paths are `a.b[0].c=value`; a comma separates several
and `\,` is a comma. Deliberately absent: Helm's `null` deletion and `{a,b}` lists.
"""

import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from labkit.embedded.linkerd import reading
from labkit.errors import InputError

Values = dict[str, Any]

_PACKAGE = "labkit.embedded.linkerd"
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_LIST_LIMIT = 1000
"""Longest list that `--set` may grow, so that a typo cannot fill the memory."""


def manifest(name: str) -> str:
    """The text of a file below `manifests/`."""
    return (resources.files(_PACKAGE) / "manifests" / name).read_text(encoding="utf-8")


def defaults(name: str) -> Values:
    """The default values of an install: `control-plane`, `multicluster` or `viz`."""
    values: Values = reading.load(manifest(f"{name}.values.yaml"))
    return values


def merge(base: Values, over: Values) -> Values:
    """`over` laid on `base`: mappings key by key, anything else replaced."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = (
            merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else (value)
        )
    return merged


def overrides(
    files: Sequence[str],
    settings: Sequence[str],
    *,
    strings: Sequence[str] = (),
    contents: Sequence[str] = (),
) -> Values:
    """What the user gave, as one tree.

    Args:
        files: `--values`, YAML files.
        settings: `--set`, values typed as in YAML.
        strings: `--set-string`, values kept as text.
        contents: `--set-file`, values read from files.

    Raises:
        InputError: a file is unreadable or no mapping, or a path is malformed.
    """
    tree: Values = {}
    for name in files:
        tree = merge(tree, _read_values(name))
    for path, text in _assignments(settings):
        _assign(tree, path, reading.load(text) if text else "")
    for path, text in _assignments(strings):
        _assign(tree, path, text)
    for path, text in _assignments(contents):
        _assign(tree, path, _read(text))
    return tree


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"open {name}: {error}") from error


def _read_values(name: str) -> Values:
    try:
        values = reading.load(_read(name)) or {}
    except yaml.YAMLError as error:
        raise InputError(f"failed to parse {name}: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"failed to parse {name}: not a mapping")
    return values


def _assignments(settings: Sequence[str]) -> Iterator[tuple[str, str]]:
    for setting in settings:
        for part in re.split(r"(?<!\\),", setting):
            path, equals, text = part.partition("=")
            if not equals or not path:
                raise InputError(f'failed parsing --set data: key "{part}" has no value')
            yield path, text.replace("\\,", ",")


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    position = 0
    for match in _STEP.finditer(path):
        between = path[position : match.start()]
        if between not in ("", ".") or (match[2] and not steps):
            break
        steps.append(match[1] or int(match[2]))
        position = match.end()
    if position != len(path) or not steps:
        raise InputError(f'failed parsing --set data: malformed key "{path}"')
    return steps


def _assign(tree: Values, path: str, value: Any) -> None:
    steps = _steps(path)
    node: Any = tree
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        _grow(node, step, path)
        if following is None:
            node[step] = value
            return
        wanted: type = list if isinstance(following, int) else dict
        if not isinstance(node[step], wanted):
            node[step] = wanted()
        node = node[step]


def _grow(node: Any, step: str | int, path: str) -> None:
    """Make room for `step` in a mapping or list."""
    if isinstance(step, str):
        node.setdefault(step, None)
        return
    if step > _LIST_LIMIT:
        raise InputError(f'failed parsing --set data: index of "{path}" is too large')
    node.extend([None] * (step + 1 - len(node)))
