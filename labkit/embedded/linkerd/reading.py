"""YAML as the command reads it: by libyaml where PyYAML has it, ten times as fast.

Every call of the command reads some, and a walk calls it forty times.
"""

from collections.abc import Iterator
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str | bytes) -> Any:
    """The document of a text; yaml.YAMLError when it is none."""
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader


def load_all(text: str | bytes) -> Iterator[Any]:
    """The documents of a text, one after the other; yaml.YAMLError when one is none."""
    return yaml.load_all(text, Loader=_LOADER)
