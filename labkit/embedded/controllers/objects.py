"""Small questions about Kubernetes objects, and small pieces of them. Pure functions on dicts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from labkit.embedded.kube import Object

_HASH_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def now() -> str:
    """The present time as the API writes it: whole seconds, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_since(timestamp: str | None) -> float:
    """Seconds from a timestamp of the API until now; 0 without one."""
    if not timestamp:
        return 0.0
    return (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()


def reference_to(owner: Object, *, api_version: str, kind: str) -> Object:
    """The controller reference that an object made for `owner` carries."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(item: Object) -> Object | None:
    """The owner reference of the object's controller."""
    for reference in item["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return dict(reference)
    return None


def is_controlled_by(item: Object, owner: Object) -> bool:
    """Whether `owner` is the controller of `item`."""
    reference = controller_of(item)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


def is_deleting(item: Object) -> bool:
    """Whether the deletion of the object has begun."""
    return bool(item["metadata"].get("deletionTimestamp"))


def labels_of(item: Object) -> dict[str, str]:
    """The labels."""
    return item["metadata"].get("labels") or {}


def annotations_of(item: Object) -> dict[str, str]:
    """The annotations."""
    return item["metadata"].get("annotations") or {}


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector (matchLabels, matchExpressions) selects these labels.

    An empty selector selects nothing here: no controller may own everything by accident.
    """
    if not selector:
        return False
    wanted = selector.get("matchLabels") or {}
    rules = selector.get("matchExpressions") or []
    if not wanted and not rules:
        return False
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        matches_expression(rule, labels) for rule in rules
    )


def matches_expression(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """One requirement of a label selector or of a node affinity."""
    present, value = rule["key"] in labels, labels.get(rule["key"], "")
    values = rule.get("values") or []
    match rule["operator"]:
        case "In":
            return present and value in values
        case "NotIn":
            return not present or value not in values
        case "Exists":
            return present
        case "DoesNotExist":
            return not present
        case "Gt":
            return present and int(value) > int(values[0])
        case "Lt":
            return present and int(value) < int(values[0])
        case _:
            return False


def condition_of(item: Object, kind: str) -> Object:
    """A condition of the status, {} when it is not there."""
    for condition in item.get("status", {}).get("conditions") or []:
        if condition["type"] == kind:
            return dict(condition)
    return {}


def is_pod_ready(pod: Object) -> bool:
    """Whether the pod's Ready condition holds."""
    return condition_of(pod, "Ready").get("status") == "True"


def is_pod_active(pod: Object) -> bool:
    """Whether the pod has neither ended nor begun to end."""
    ended = pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
    return not ended and not is_deleting(pod)


def safe_hash(text: str) -> str:
    """Up to ten characters that no one reads as a word: FNV-1a in Kubernetes' alphabet."""
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return "".join(_HASH_LETTERS[ord(digit) % len(_HASH_LETTERS)] for digit in str(value))


def resolve_amount(amount: int | str | None, total: int, *, up: bool) -> int:
    """A number or percentage of `total` as a number.

    Args:
        amount: 3, "25%", or None for 0.
        total: what the percentage is of.
        up: round up (maxSurge) instead of down (maxUnavailable).
    """
    if isinstance(amount, str) and amount.endswith("%"):
        part = total * int(amount[:-1])
        return -(-part // 100) if up else part // 100
    return int(amount or 0)
