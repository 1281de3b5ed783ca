"""Merges flags, environment and params file into one `Params`, with the origin of each value.

Values of a file are typed by YAML and taken strictly; values of flags and environment are text
and read by the type of their field. All problems of all sources are collected before any error.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError

from labkit.errors import InputError
from labkit.params.model import Params, did_you_mean, disagreements
from labkit.params.reading import Document, read_document

ENVIRONMENT_PREFIX = "LABKIT_"
_SECRET_KEY = re.compile(
    r"token|secret|passw|api_?key|access_?key|credential|private", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"\b(do[opr]_v1_[0-9a-f]{8,})|-----BEGIN [A-Z ]*PRIVATE KEY", re.IGNORECASE
)
_REFUSAL = "a secret is never a parameter; remove it and set DIGITALOCEAN_TOKEN in the environment"


@dataclass(frozen=True)
class LoadedParams:
    """Validated parameters and where each value is from.

    Attributes:
        params: the model.
        origins: field -> `flag -p`, `environment LABKIT_X`, `file:line` or `default`.
    """

    params: Params
    origins: Mapping[str, str]

    def rows(self) -> list[tuple[str, object, str]]:
        """Return (key, value, origin) of every field, in the model's order."""
        values = self.params.model_dump()
        return [(key, values[key], self.origins[key]) for key in values]


@dataclass(frozen=True)
class _Given:
    """A value from one source; `where` stands before a message, `origin` in a listing."""

    key: str
    value: object
    where: str
    origin: str


def load_params(
    file: Path | str | None = None,
    *,
    document: Document | None = None,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> LoadedParams:
    """Load parameters: flag over environment over file over default.

    Args:
        file: a YAML file, or None for the defaults.
        document: what was read from it already, when parameters are only a part of the file.
        overrides: `-p key=value` pairs, as text.
        environ: the environment; only `LABKIT_*` variables that name a field are read.

    Raises:
        InputError: everything that is wrong, one line a problem, in `problems`.
    """
    if document is None:
        document = Document((), ()) if file is None else read_document(Path(file))
    problems = list(document.problems)
    given: dict[str, _Given] = {}
    sound: set[str] = set()
    for source in (
        _from_file(document, str(file)),
        _from_environment(environ or {}),
        _from_flags(overrides or {}),
    ):
        for item in source:
            problem = _key_problem(item)
            if problem is not None:
                problems.append(problem)
                continue
            value, text_problem = _typed(item)
            if text_problem is not None:
                problems.append(f"{item.where}: {item.key}: {text_problem}")
                sound.discard(item.key)
            else:
                sound.add(item.key)
            given[item.key] = _Given(item.key, value, item.where, item.origin)
    problems += _validate(given, sound=sound, broken=document.broken_keys)
    if problems:
        problems.sort(key=_by_line)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise InputError(f"Parameters do not fit ({count})", problems=problems)
    params = Params.model_validate({key: item.value for key, item in given.items()})
    origins = {key: given[key].origin if key in given else "default" for key in fields()}
    return LoadedParams(params, origins)


def fields() -> list[str]:
    """Return the names of all parameters."""
    return list(Params.model_fields)


def _from_file(document: Document, name: str) -> Iterable[_Given]:
    for entry in document.entries:
        where = f"{name}:{entry.line}"
        yield _Given(entry.key, entry.value, where, where)


def _from_environment(environ: Mapping[str, str]) -> Iterable[_Given]:
    for variable, text in sorted(environ.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        key = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if key in Params.model_fields:
            yield _Given(key, _Text(text), variable, f"environment {variable}")


def _from_flags(overrides: Mapping[str, str]) -> Iterable[_Given]:
    for key, text in overrides.items():
        yield _Given(key, _Text(text), "-p", "flag -p")


class _Text(str):
    """A value that arrived as text and gets the type of its field."""

    __slots__ = ()


def _key_problem(item: _Given) -> str | None:
    if _SECRET_VALUE.search(str(item.value)):
        key = "this key" if _SECRET_VALUE.search(item.key) else item.key
        return f"{item.where}: {key}: looks like a secret; {_REFUSAL}"
    if item.key in Params.model_fields:
        return None
    if _SECRET_KEY.search(item.key):
        return f"{item.where}: {item.key}: {_REFUSAL}"
    hint = did_you_mean(item.key, fields()) or "; `labkit config` lists them all"
    return f"{item.where}: {item.key}: unknown key{hint}"


def _typed(item: _Given) -> tuple[object, str | None]:
    """Read text by the type of its field; YAML's values pass unchanged (integers as floats)."""
    kinds = _kinds(Params.model_fields[item.key].annotation)
    value = item.value
    if not isinstance(value, _Text):
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if is_whole and float in kinds and int not in kinds:
            return float(str(value)), None
        return value, None
    text = str(value)
    if NoneType in kinds and text.strip().lower() in {"", "null", "none"}:
        return None, None
    if bool in kinds:
        known = {"true": True, "yes": True, "false": False, "no": False}
        if text.strip().lower() not in known:
            return value, f"`{text}` is neither true nor false"
        return known[text.strip().lower()], None
    for kind, word in ((int, "a whole number"), (float, "a number")):
        if kind in kinds:
            try:
                return kind(text), None
            except ValueError:
                return value, f"`{text}` is not {word}"
    return text, None


def _kinds(annotation: Any) -> set[Any]:
    """Return the plain types that an annotation permits."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return set().union(*(_kinds(part) for part in get_args(annotation)))
    return {annotation}


def _validate(given: Mapping[str, _Given], *, sound: set[str], broken: frozenset[str]) -> list[str]:
    """Return the problems of the values, and of rules between those values that are right."""
    problems: list[str] = []
    wrong = (set(given) - sound) | (broken - set(given))
    for key in given:
        message = None if key in wrong else problem_of(key, given[key].value)
        if message is not None:
            wrong.add(key)
            problems.append(f"{given[key].where}: {key}: {message}")
    values = {key: field.default for key, field in Params.model_fields.items()}
    values |= {key: item.value for key, item in given.items()}
    usable = {key: value for key, value in values.items() if key not in wrong}
    for key, message in disagreements(usable):
        culprit = given.get(key) or given.get(key.replace("east_", "west_"))
        where = "" if culprit is None else f"{culprit.where}: "
        problems.append(f"{where}{key}: {message}")
    return problems


def problem_of(key: str, value: object) -> str | None:
    """What is wrong with one value of a parameter, in words; None when nothing is."""
    try:
        Params.__pydantic_validator__.validate_assignment(Params.model_construct(), key, value)
    except ValidationError as exc:
        return _words(exc, key=key, value=value)
    return None


def _words(exc: ValidationError, *, key: str, value: object) -> str | None:
    """Say in our words what pydantic found at this field; None when it found nothing here."""
    for error in exc.errors(include_url=False, include_context=True):
        if not error["loc"] or error["loc"][0] != key:
            continue
        kind, context = error["type"], error.get("ctx", {})
        shown = _shown(value)
        if kind == "literal_error":
            return f"{shown} is not one of {context['expected']}"
        if kind in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
            words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
            bound = next(name for name in words if name in context)
            return f"must be {words[bound]} {context[bound]:g}, not {shown}"
        if kind == "string_pattern_mismatch":
            return f"{shown} does not fit the form {context['pattern']}"
        if kind == "value_error":
            return str(context["error"])
        if kind in {"int_type", "int_from_float"}:
            return f"must be a whole number, not {_typed_text(value)}{shown}"
        if kind in {"float_type", "finite_number"}:
            return f"must be a number, not {_typed_text(value)}{shown}"
        return f"{error['msg'].removeprefix('Input ')}, not {shown}"
    return None


def _shown(value: object) -> str:
    """Show a value as YAML writes it, cut to 64 characters."""
    if value is None or isinstance(value, bool):
        return f"`{'null' if value is None else str(value).lower()}`"
    return f"`{str(value)[:64]}`"


def _typed_text(value: object) -> str:
    return "the quoted text " if isinstance(value, str) else ""


def _by_line(problem: str) -> tuple[bool, int]:
    """Sort problems of the file by line; the others follow in the order they were found."""
    found = re.match(r".*?:(\d+): ", problem)
    return (False, int(found[1])) if found else (True, 0)
