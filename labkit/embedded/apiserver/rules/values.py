"""Copies of JSON values: much faster than `copy.deepcopy`, which these rules would run all day."""

from typing import Any


def clone(value: Any) -> Any:
    """Returns a deep copy of a JSON value."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


def has_null(value: Any) -> bool:
    """Tells whether there is a null anywhere."""
    if isinstance(value, dict):
        return any(map(has_null, value.values()))
    if isinstance(value, list):
        return any(map(has_null, value))
    return value is None
