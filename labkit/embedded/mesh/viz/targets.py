"""Which pods are scraped, and under which labels: Linkerd's relabelling of `prometheus-config`.

Jobs `linkerd-proxy` (every meshed pod of this control plane) and
`linkerd-multicluster-controller` (service mirrors). The other jobs of the real configuration
(Prometheus itself, cAdvisor, control-plane admin ports) have no counterpart here.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml

from labkit.embedded.mesh.viz.promql_syntax import BadQuery, parse_duration
from labkit.embedded.mesh.viz.scrape import Target
from labkit.embedded.mesh.viz.tsdb import make_labels

Object = Mapping[str, Any]

DEFAULT_INTERVAL_S = 10.0
SOCKETS = "network.labkit.dev/sockets"
APP_SOCKETS = "network.labkit.dev/app-sockets"

_PROXY_ADMIN = "4191"
_MIRROR_ADMIN = "9999"
_MIRROR_COMPONENTS = ("linkerd-service-mirror", "controller")
_INVALID = re.compile(r"[^a-zA-Z0-9_]")


@lru_cache(maxsize=4)
def scrape_interval_s(configuration: str) -> float:
    """`global.scrape_interval` of a prometheus.yml in seconds; 10 if it is missing or odd."""
    try:
        interval = str(yaml.safe_load(configuration)["global"]["scrape_interval"])
        return parse_duration(interval).total_seconds() or DEFAULT_INTERVAL_S
    except (yaml.YAMLError, BadQuery, KeyError, TypeError):
        return DEFAULT_INTERVAL_S


def sockets_of(pod: Object, annotation: str = SOCKETS) -> dict[str, str]:
    """Port to real socket, as the node wrote it on the pod; empty until it has."""
    text = pod["metadata"].get("annotations", {}).get(annotation)
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def is_meshed(pod: Object) -> bool:
    """True if the pod has a linkerd-proxy container, as a sidecar or in the old way."""
    spec = pod["spec"]
    containers = [*spec.get("initContainers", ()), *spec.get("containers", ())]
    return any(container["name"] == "linkerd-proxy" for container in containers)


def targets_of(pods: list[dict[str, Any]], control_plane: str = "linkerd") -> set[Target]:
    """All scrape targets among the pods of a cluster."""
    found: set[Target] = set()
    for pod in pods:
        status = pod.get("status", {})
        if status.get("phase") not in ("Pending", "Running") or not status.get("podIP"):
            continue
        found |= {t for t in (_proxy(pod, control_plane), _mirror(pod)) if t is not None}
    return found


def _proxy(pod: Object, control_plane: str) -> Target | None:
    labels = pod["metadata"].get("labels", {})
    socket = sockets_of(pod).get(_PROXY_ADMIN)
    if not socket or not is_meshed(pod):
        return None
    if labels.get("linkerd.io/control-plane-ns") != control_plane:
        return None
    return _target(
        pod,
        socket,
        _PROXY_ADMIN,
        job="linkerd-proxy",
        extra={
            **pod_labels(labels),
            "namespace": pod["metadata"]["namespace"],
            "pod": pod["metadata"]["name"],
        },
    )


def _mirror(pod: Object) -> Target | None:
    labels = pod["metadata"].get("labels", {})
    socket = sockets_of(pod, APP_SOCKETS).get(_MIRROR_ADMIN)
    if not socket or labels.get("component") not in _MIRROR_COMPONENTS:
        return None
    names = [c["name"] for c in pod["spec"]["containers"] if c["name"] != "linkerd-proxy"]
    return _target(
        pod,
        socket,
        _MIRROR_ADMIN,
        job="linkerd-multicluster-controller",
        extra={"component": names[0] if names else ""},
    )


def _target(pod: Object, socket: str, port: str, *, job: str, extra: Mapping[str, str]) -> Target:
    instance = f"{pod['status']['podIP']}:{port}"
    metadata = pod["metadata"]
    discovered = {
        "__address__": instance,
        "__meta_kubernetes_namespace": metadata["namespace"],
        "__meta_kubernetes_pod_name": metadata["name"],
        "__meta_kubernetes_pod_phase": pod["status"]["phase"],
        "job": job,
    }
    return Target(
        url=f"http://{socket}/metrics",
        labels=make_labels({**extra, "instance": instance, "job": job}),
        discovered=make_labels(discovered),
    )


def pod_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """A pod's labels as Linkerd's relabelling names them.

    `linkerd.io/proxy-deployment` becomes `deployment` (`job`: `k8s_job`), other `linkerd.io/x`
    become `x`, and the rest is copied with `_` for what a label name cannot hold.

    Example:
        >>> pod_labels({"linkerd.io/proxy-deployment": "web", "app": "web-svc"})
        {'deployment': 'web', 'app': 'web-svc'}
    """
    result = {}
    for name, value in labels.items():
        short = name.removeprefix("linkerd.io/")
        if name.startswith("linkerd.io/proxy-"):
            short = short.removeprefix("proxy-")
            short = "k8s_job" if short == "job" else short
        result[_INVALID.sub("_", short)] = value
    return result
