"""What the rules of the embedded Kubernetes say is wrong with an object."""

from typing import Any

from labkit.embedded.apiserver.rules import defaulting, validation
from labkit.embedded.apiserver.rules.schemas import Schemas


def wrong(api: str, kind: str, old: Any = None, **fields: Any) -> list[tuple[str, str]]:
    """Field and message of each cause of an object's refusal."""
    obj = {"apiVersion": api, "kind": kind, "metadata": {"name": "x", "uid": "1"}, **fields}
    obj = defaulting.apply_defaults(obj)
    group, _, version = api.rpartition("/")
    schema = Schemas.load().for_kind(group, version, kind)
    if old is not None:
        old = defaulting.apply_defaults({**obj, **old})
    return [(c.field, c.message) for c in validation.validate(obj, old=old, schema=schema)]
