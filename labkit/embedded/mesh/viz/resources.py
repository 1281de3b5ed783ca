"""Resources as Linkerd's commands name them: `deploy/vote-bot`, `po`, `ns/emojivoto`.

Turns a name into pods and into the labels under which metrics and tap events know it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.embedded.mesh.viz.targets import pod_labels
from labkit.errors import InputError

Object = Mapping[str, Any]

_KINDS: Mapping[str, tuple[str, ...]] = {
    "deployment": ("deployments", "deploy"),
    "statefulset": ("statefulsets", "sts"),
    "daemonset": ("daemonsets", "ds"),
    "replicaset": ("replicasets", "rs"),
    "replicationcontroller": ("replicationcontrollers", "rc"),
    "job": ("jobs",),
    "cronjob": ("cronjobs", "cj"),
    "pod": ("pods", "po"),
    "namespace": ("namespaces", "ns"),
    "service": ("services", "svc"),
    "authority": ("authorities", "au"),
}
_NAMES = {alias: kind for kind, aliases in _KINDS.items() for alias in (kind, *aliases)}


@dataclass(frozen=True)
class Resource:
    """A kind (singular, lower case) and a name; an empty name means all of the kind."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.name else self.kind

    @property
    def label(self) -> str:
        """The label by which Linkerd's metrics name the kind."""
        return "k8s_job" if self.kind == "job" else self.kind


def parse_resource(text: str) -> Resource:
    """Read `KIND` or `KIND/NAME`.

    Raises:
        InputError: no such kind.
    """
    word, _, name = text.partition("/")
    kind = _NAMES.get(word.lower())
    if kind is None:
        raise InputError(
            f"cannot find Kubernetes canonical name from friendly name [{word}]",
            problems=[f"known: {', '.join(sorted(_KINDS))}"],
        )
    return Resource(kind, name)


def owner_labels(pod: Object) -> dict[str, str]:
    """What Linkerd knows of a pod: workload, pod, namespace, service account."""
    raw = pod["metadata"].get("labels") or {}
    labels = pod_labels(raw)
    workload = pod_labels({k: v for k, v in raw.items() if k.startswith("linkerd.io/proxy-")})
    own = {
        **workload,
        "pod": pod["metadata"]["name"],
        "namespace": pod["metadata"]["namespace"],
        "serviceaccount": pod["spec"].get("serviceAccountName", "default"),
    }
    for name in ("control_plane_ns", "pod_template_hash"):
        if name in labels:
            own[name] = labels[name]
    return own


def pods_of(resource: Resource, namespace: str, pods: Iterable[dict[str, Any]]) -> list[Object]:
    """The running pods of a resource."""
    return [
        pod
        for pod in pods
        if pod.get("status", {}).get("phase") == "Running"
        and _belongs(resource, namespace, owner_labels(pod))
    ]


def _belongs(resource: Resource, namespace: str, own: Mapping[str, str]) -> bool:
    if resource.kind == "namespace":
        return own["namespace"] == (resource.name or own["namespace"])
    if namespace and own["namespace"] != namespace:
        return False
    found = own.get(resource.label)
    return found is not None and resource.name in ("", found)
