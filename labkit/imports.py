"""Importing a package without the optional parts that it would also import, slowly and in vain."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(name: str) -> Iterator[None]:
    """Let an optional package seem not to be installed while others are imported.

    A package that is imported already stays.

    Args:
        name: the optional package.
    """
    absent = name not in sys.modules
    if absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if absent:
            sys.modules.pop(name, None)
