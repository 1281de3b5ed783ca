"""What Kubernetes warns the writer of: pods, what makes pods, services.

Pods are looked at when they are created, templates of pods also when they change. The texts go
back as Warning headers; nothing is refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from labkit.embedded.apiserver.rules import names, podwarnings
from labkit.embedded.apiserver.rules.cells import get

Object = Mapping[str, Any]

TEMPLATES: Mapping[str, str] = {
    "apps/daemonsets": "spec.template",
    "apps/deployments": "spec.template",
    "apps/replicasets": "spec.template",
    "apps/statefulsets": "spec.template",
    "batch/cronjobs": "spec.jobTemplate.spec.template",
    "batch/jobs": "spec.template",
    "podtemplates": "template",
    "replicationcontrollers": "spec.template",
}
"""Where the template of a pod stands, by the resource's name in storage."""

NAMING_PODS = {
    "apps/deployments",
    "apps/replicasets",
    "batch/cronjobs",
    "batch/jobs",
    "replicationcontrollers",
}
TOPOLOGY_HINTS = "service.kubernetes.io/topology-aware-hints"


def warnings(storage: str, obj: Object, old: Object | None) -> list[str]:
    """Texts for whoever creates an object (`old` is None) or changes it."""
    if storage == "pods":
        return [] if old is not None else list(_pod(obj))
    if storage == "services":
        return list(_service(obj))
    if storage in TEMPLATES:
        return list(_template(storage, obj, old))
    return []


def _pod(pod: Object) -> Iterator[str]:
    yield from _name(pod, "the Pod's hostname")
    yield from podwarnings.of_pod(pod["metadata"], pod.get("spec") or {})


def _name(obj: Object, what: str) -> Iterator[str]:
    name = str(obj["metadata"].get("name") or "")
    if wrong := names.dns_label(name):
        yield (
            f"metadata.name: this is used in {what}, which can result in surprising behavior;"
            f" a DNS label is recommended: [{' '.join(wrong)}]"
        )


def _template(storage: str, obj: Object, old: Object | None) -> Iterator[str]:
    if old is None and storage in NAMING_PODS:
        yield from _name(obj, "Pod names and hostnames")
    path = TEMPLATES[storage]
    template = get(obj, path, {})
    if old is None or obj["metadata"].get("generation") != old["metadata"].get("generation"):
        metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
        yield from podwarnings.of_pod(metadata, spec, f"{path}.")


def _service(service: Object) -> Iterator[str]:
    spec: Object = service.get("spec") or {}
    annotations = service["metadata"].get("annotations") or {}
    if TOPOLOGY_HINTS in annotations:
        better = "service.kubernetes.io/topology-mode"
        yield f"annotation {TOPOLOGY_HINTS} is deprecated, please use {better} instead"
    kind, external = spec.get("type"), spec.get("externalIPs")
    headless = kind == "ClusterIP" and spec.get("clusterIP") == "None"
    if headless and spec.get("loadBalancerIP"):
        yield "spec.loadBalancerIP is ignored for headless services"
    if headless and external:
        yield "spec.externalIPs is ignored for headless services"
    if headless and spec.get("sessionAffinity") not in (None, "None"):
        yield "spec.SessionAffinity is ignored for headless services"
    if external and not headless and kind != "ExternalName":
        yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    if external and kind == "ExternalName":
        yield 'spec.externalIPs is ignored when spec.type is "ExternalName"'
    if kind != "ExternalName" and spec.get("externalName"):
        yield 'spec.externalName is ignored when spec.type is not "ExternalName"'
    if spec.get("trafficDistribution") == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'
