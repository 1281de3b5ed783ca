"""Manifests as objects: parsing, and the order in which a cluster can take them.

Deliberately absent: validation; the API server does that.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from labkit.errors import InputError

Object = dict[str, Any]

_ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Secret",
    "ConfigMap",
    "Service",
    "CronJob",
    "Job",
    "Deployment",
    "DaemonSet",
    "StatefulSet",
    "Pod",
    "PodDisruptionBudget",
)
_LAST = ("APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
"""A webhook is registered after the pods that serve it, as otherwise it delays their creation."""


def parse(text: str) -> list[Object]:
    """The objects of a YAML (or JSON) stream, lists unfolded.

    Raises:
        InputError: no YAML, or a document that is no Kubernetes object.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        found = [item for item in yaml.load_all(text, Loader=loader) if item]
    except yaml.YAMLError as error:
        raise InputError("The manifest is not YAML", problems=[str(error)]) from error
    objects: list[Object] = []
    for item in found:
        if isinstance(item, dict) and str(item.get("kind", "")).endswith("List"):
            objects += item.get("items") or []
        else:
            objects.append(item)
    bad = [item for item in objects if not isinstance(item, dict) or "kind" not in item]
    if bad:
        raise InputError("The manifest holds a document that is no Kubernetes object")
    return objects


def ordered(objects: Iterable[Object]) -> list[Object]:
    """The objects in the order in which they can be created; deletion is the reverse."""
    ranks = {kind: index for index, kind in enumerate(_ORDER)}
    ranks.update({kind: 1000 + index for index, kind in enumerate(_LAST)})
    return sorted(objects, key=lambda item: ranks.get(str(item.get("kind")), len(_ORDER)))


def reference(item: Mapping[str, Any]) -> str:
    """An object in words, as `Deployment linkerd/linkerd-identity`."""
    metadata = item.get("metadata") or {}
    namespace = metadata.get("namespace")
    name = f"{namespace}/{metadata.get('name')}" if namespace else metadata.get("name")
    return f"{item.get('kind')} {name}"
