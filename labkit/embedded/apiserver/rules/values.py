"""Copies of JSON values: much faster than `copy.deepcopy`, which these rules would run all day.

JSON has dicts and lists of exactly these types, so nothing asks for subclasses.
"""

from typing import Any


def clone(value: Any) -> Any:
    """Returns a deep copy of a JSON value."""
    if type(value) is dict:
        return {k: clone(v) if type(v) is dict or type(v) is list else v for k, v in value.items()}
    if type(value) is list:
        return [clone(v) if type(v) is dict or type(v) is list else v for v in value]
    return value


def has_null(value: Any) -> bool:
    """Tells whether there is a null anywhere."""
    if type(value) is dict:
        value = value.values()
    elif type(value) is not list:
        return value is None
    for item in value:  # a loop, because `any` over a generator takes twice the time
        if item is None or ((type(item) is dict or type(item) is list) and has_null(item)):
            return True
    return False
