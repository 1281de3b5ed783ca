"""Reads a params file into (key, value, line), and every problem of its YAML at once.

PyYAML speaks YAML 1.1, where `no` is False, `010` is 8, `1:30` is 90 and the last of two equal
keys wins in silence. Here such scalars and keys are problems. Nested values are problems too:
parameters are flat.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from labkit.errors import InputError

Scalar = str | int | float | bool | None
_LIMIT_BYTES = 1_000_000
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?\Z")
_LOOKS_NUMERIC = re.compile(r"[-+]?(\.?[0-9][0-9_.,:]*([eE][-+]?[0-9]+)?|0[xob][0-9a-fA-F_]+)\Z")
_STR_TAG = "tag:yaml.org,2002:str"
_GUESSED_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("str", "bool", "int", "float", "null", "timestamp", "merge", "value")
)


@dataclass(frozen=True)
class Entry:
    """One line of a params file."""

    key: str
    value: Scalar
    line: int


@dataclass(frozen=True)
class Document:
    """A params file as read: its entries in order, and what was wrong with it."""

    entries: tuple[Entry, ...]
    problems: tuple[str, ...]
    broken_keys: frozenset[str] = frozenset()


class _StrictLoader(yaml.SafeLoader):
    """Composes nodes; values are made by `scalar`, so no YAML 1.1 guess gets through."""


def read_document(file: Path) -> Document:
    """Read a params file.

    Raises:
        InputError: the file cannot be read at all (missing, a folder, not text, too large).
    """
    return parse_document(read_text(file), name=str(file))


def read_text(file: Path, *, kind: str = "Params") -> str:
    """The text of a small YAML file.

    Raises:
        InputError: it cannot be read at all (missing, a folder, not text, too large).
    """
    try:
        data = file.read_bytes()
        text = data.decode("utf-8")
    except FileNotFoundError as exc:
        raise InputError(
            f"{kind} file {file} does not exist", fix="give the path of a file in params/"
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise InputError(f"{kind} file {file} cannot be read: {reason}") from exc
    if len(data) > _LIMIT_BYTES:
        raise InputError(f"{kind} file {file} is larger than 1 MB: not a {kind.lower()} file")
    return text


def parse_document(text: str, *, name: str) -> Document:
    """Parse the text of a params file; `name` stands before each problem."""
    root, problem = compose(text, name=name)
    return Document((), (problem,)) if problem else document_of(root, name=name)


def compose(text: str, *, name: str) -> tuple[yaml.Node | None, str]:
    """The root node of a YAML text (None when it is empty), or a problem."""
    try:
        return yaml.compose(text, Loader=_StrictLoader), ""
    except yaml.YAMLError as exc:
        return None, _yaml_problem(exc, name)


def document_of(root: yaml.Node | None, *, name: str) -> Document:
    """Read a mapping of plain values; `name` stands before each problem."""
    if root is None:
        return Document((), ())
    if not isinstance(root, yaml.MappingNode):
        problem = f"{name}:{line_of(root)}: expected lines of the form `key: value`"
        return Document((), (problem,))
    entries: list[Entry] = []
    problems: list[str] = []
    broken: set[str] = set()
    seen: dict[str, int] = {}
    for key_node, value_node in root.value:
        where = f"{name}:{line_of(key_node)}"
        if not isinstance(key_node, yaml.ScalarNode):
            problems.append(f"{where}: a key must be a plain word")
            continue
        key = str(key_node.value)
        if key in seen:
            problems.append(f"{where}: {key}: given twice (first on line {seen[key]})")
            broken.add(key)
            continue
        seen[key] = line_of(key_node)
        value, problem = scalar(value_node)
        if problem:
            problems.append(f"{where}: {key}: {problem}")
            broken.add(key)
        else:
            entries.append(Entry(key, value, seen[key]))
    return Document(tuple(entries), tuple(problems), frozenset(broken))


def line_of(node: yaml.Node) -> int:
    """The line of a node, counted from 1."""
    return int(node.start_mark.line) + 1


def _yaml_problem(exc: yaml.YAMLError, name: str) -> str:
    if isinstance(exc, yaml.MarkedYAMLError) and exc.problem_mark is not None:
        mark = exc.problem_mark
        return f"{name}:{mark.line + 1}: malformed YAML (column {mark.column + 1}): {exc.problem}"
    reason = getattr(exc, "reason", "unreadable")
    return f"{name}: malformed YAML: {reason}"


def scalar(node: yaml.Node) -> tuple[Scalar, str]:
    """Return the value of a node, or a problem."""
    if not isinstance(node, yaml.ScalarNode):
        kind = "list" if isinstance(node, yaml.SequenceNode) else "mapping"
        return None, f"a {kind} is not possible here; parameters are flat `key: value` lines"
    text = str(node.value)
    if node.tag not in _GUESSED_TAGS:
        return None, f"the tag {node.tag} is not allowed"
    if node.style is not None:  # quoted or block: text, whatever it looks like
        return (text, "") if node.tag == _STR_TAG else (None, "tags are not allowed")
    if text in {"", "~", "null"}:
        return None, ""
    if text in {"true", "false"}:
        return text == "true", ""
    if _INT.match(text):
        return (int(text), "") if len(text) < 30 else (None, "the number is too large")
    if _FLOAT.match(text):
        return float(text), ""
    if node.tag != _STR_TAG or _LOOKS_NUMERIC.match(text):
        return None, f"`{text}` is ambiguous in YAML; {_advice(text)}"
    return text, ""


def _advice(text: str) -> str:
    if text.lower() in {"yes", "on", "y", "true"}:
        return f'write true, or "{text}" for the word'
    if text.lower() in {"no", "off", "n", "false"}:
        return f'write false, or "{text}" for the word'
    if text.lower() == "null":
        return f'write null, or "{text}" for the word'
    return f'write a plain decimal number, or "{text}" for text'
