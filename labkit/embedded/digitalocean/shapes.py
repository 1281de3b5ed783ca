"""Types of the fields that requests hold: one table, because a name means the same everywhere.

Whether a value fits is decided by the rules of each resource; they need not fear a list in place of
a name. Fields that are not listed are not looked at, null counts as absent.
"""

from collections.abc import Mapping
from typing import Any

from labkit.embedded.digitalocean.errors import unprocessable

_TEXTS = (
    "algorithm", "cluster_subnet", "description", "effect", "entry_protocol", "filesystem_label",
    "filesystem_type", "key", "name", "network", "path", "protocol", "service_subnet", "size",
    "slug", "tag", "target_protocol", "type", "value", "version", "vpc_uuid",
)  # fmt: skip
_MAPS = ("firewall", "health_check", "labels", "maintenance_policy", "sticky_sessions")
_LISTS_OF_TEXTS = ("load_balancers", "tags", "volume_snapshots", "volumes")
_LISTS_OF_MAPS = ("forwarding_rules", "node_pools", "taints")


def check(body: Mapping[str, Any], where: str = "") -> None:
    """Look at every known field, also inside of others.

    Raises:
        ApiError: 422, the first field of a wrong type.
    """
    for name, value in body.items():
        if value is None:
            continue
        path = f"{where}{name}"
        if name in _TEXTS:
            _require(isinstance(value, str), path, "a string")
        elif name == "region":  # a view that is sent back holds the whole region
            _require(isinstance(value, str | dict), path, "a string")
        elif name in _MAPS:
            _require(isinstance(value, dict), path, "an object")
        elif name in _LISTS_OF_TEXTS:
            _require(_is_list_of(value, str), path, "a list of strings")
        elif name in _LISTS_OF_MAPS:
            _require(_is_list_of(value, dict), path, "a list of objects")
        elif name == "droplet_ids":
            _require(_is_list_of(value, int), path, "a list of numbers")
        _inside(value, path)


def _inside(value: Any, path: str) -> None:
    if isinstance(value, dict) and not path.endswith("labels"):
        check(value, f"{path}.")
    elif isinstance(value, list):
        for item in value:
            _inside(item, path)


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _require(fits: bool, path: str, wanted: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not fits:
        raise unprocessable(f"validation error: {path} must be {wanted}")
