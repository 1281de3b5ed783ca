"""What injection adds to a pod: pure functions from a pod to its JSON patch.

The sidecar is a native one (an init container that is restarted always), as in Linkerd 2.20. The
`linkerd-init` container of a real install is left out: it redirects traffic by nftables, which
here is done by `http_proxy`. Marking pods for tap is left to viz' own injector, as in Linkerd.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.embedded.mesh import names

Object = dict[str, Any]

INJECT = "linkerd.io/inject"
_CONTROL_LABEL = "linkerd.io/control-plane-ns"
_OWNERS = {
    "ReplicaSet": "deployment",
    "StatefulSet": "statefulset",
    "DaemonSet": "daemonset",
    "Job": "job",
}


@dataclass(frozen=True)
class SidecarOptions:
    """What all sidecars of a cluster share.

    Attributes:
        version: of Linkerd, e.g. `edge-26.6.3`.
        trust_anchors: PEM bundle the proxy trusts for the whole life of its pod.
        image: of the proxy, without tag.
    """

    version: str
    trust_anchors: str
    image: str = "cr.l5d.io/linkerd/proxy"


def skip_reason(pod: Object, namespace: Object) -> str | None:
    """Why a pod is not injected; None when it is."""
    spec = pod.get("spec", {})
    own = _annotations(pod).get(INJECT)
    wish = own or _annotations(namespace).get(INJECT, "")
    if wish not in ("enabled", "ingress"):
        return "neither the namespace nor the pod asks for it" if not wish else f"inject: {wish}"
    if spec.get("hostNetwork"):
        return "hostNetwork is enabled"
    containers = [*spec.get("containers", ()), *(spec.get("initContainers") or ())]
    if any(container.get("name") == names.PROXY_CONTAINER for container in containers):
        return "the pod already has a sidecar"
    if spec.get("automountServiceAccountToken") is False:
        return "automountServiceAccountToken is false"
    return None


def _annotations(item: Object) -> Mapping[str, str]:
    return item.get("metadata", {}).get("annotations") or {}


def owner_of(pod: Object) -> tuple[str, str] | None:
    """(`deployment`, name) of the workload behind a pod."""
    metadata = pod.get("metadata", {})
    template_hash = (metadata.get("labels") or {}).get("pod-template-hash", "")
    for owner in metadata.get("ownerReferences") or ():
        kind = _OWNERS.get(owner["kind"])
        if kind == "deployment":
            return kind, owner["name"].removesuffix(f"-{template_hash}")
        if kind is not None:
            return kind, owner["name"]
    return None


def sidecar(pod: Object, options: SidecarOptions) -> Object:
    """The `linkerd-proxy` container."""
    annotations = _annotations(pod)
    image = annotations.get("config.linkerd.io/proxy-image", options.image)
    version = annotations.get("config.linkerd.io/proxy-version", options.version)
    gateway = annotations.get(names.ENABLE_GATEWAY) == "true"
    probe = {"path": "/ready", "port": names.ADMIN_PORT}
    live = {"path": "/live", "port": names.ADMIN_PORT}
    env: list[Object] = [
        {"name": "_pod_name", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "_pod_ns", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "_pod_sa", "valueFrom": {"fieldRef": {"fieldPath": "spec.serviceAccountName"}}},
        {"name": "LINKERD2_PROXY_LOG", "value": "warn,linkerd=info"},
        {"name": "LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR", "value": "127.0.0.1:4140"},
        {"name": "LINKERD2_PROXY_CONTROL_LISTEN_ADDR", "value": "[::]:4190"},
        {"name": "LINKERD2_PROXY_ADMIN_LISTEN_ADDR", "value": "[::]:4191"},
        {"name": "LINKERD2_PROXY_INBOUND_LISTEN_ADDR", "value": "[::]:4143"},
        {"name": "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "value": options.trust_anchors},
        {
            "name": "LINKERD2_PROXY_IDENTITY_LOCAL_NAME",
            "value": "$(_pod_sa).$(_pod_ns).serviceaccount.identity."
            f"{names.CONTROL_NAMESPACE}.{names.TRUST_DOMAIN}",
        },
    ]
    if gateway:
        env.append({"name": "LINKERD2_PROXY_INBOUND_GATEWAY_SUFFIXES", "value": _GATEWAY_SUFFIX})
    return {
        "name": names.PROXY_CONTAINER,
        "image": f"{image}:{version}",
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "env": env,
        "ports": [
            {"name": "linkerd-proxy", "containerPort": names.GATEWAY_PORT},
            {"name": "linkerd-admin", "containerPort": names.ADMIN_PORT},
        ],
        "livenessProbe": {"httpGet": live, "initialDelaySeconds": 10, "timeoutSeconds": 1},
        "readinessProbe": {"httpGet": probe, "initialDelaySeconds": 2, "timeoutSeconds": 1},
        "startupProbe": {"httpGet": probe, "periodSeconds": 1, "failureThreshold": 120},
        "securityContext": _SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "linkerd-identity-end-entity", "mountPath": "/var/run/linkerd/identity"},
            {"name": "linkerd-identity-token", "mountPath": "/var/run/secrets/tokens"},
        ],
    }


_GATEWAY_SUFFIX = f"svc.{names.CLUSTER_DOMAIN}."
_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 2102,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_VOLUMES: tuple[Object, ...] = (
    {"name": "linkerd-identity-end-entity", "emptyDir": {"medium": "Memory"}},
    {
        "name": "linkerd-identity-token",
        "projected": {
            "sources": [
                {
                    "serviceAccountToken": {
                        "audience": "identity.l5d.io",
                        "expirationSeconds": 86400,
                        "path": "linkerd-identity-token",
                    }
                }
            ]
        },
    },
)


def labels_of(pod: Object, namespace: str) -> dict[str, str]:
    """Labels by which Linkerd and its Prometheus know the pod's workload."""
    labels = {_CONTROL_LABEL: names.CONTROL_NAMESPACE, "linkerd.io/workload-ns": namespace}
    owner = owner_of(pod)
    if owner is not None:
        labels[f"linkerd.io/proxy-{owner[0]}"] = owner[1]
    return labels


def annotations_of(options: SidecarOptions) -> dict[str, str]:
    """Annotations that tell how the pod was injected."""
    fingerprint = hashlib.sha256(options.trust_anchors.encode()).hexdigest()
    return {
        "linkerd.io/created-by": f"linkerd/proxy-injector {options.version}",
        "linkerd.io/proxy-version": options.version,
        "linkerd.io/trust-root-sha256": fingerprint,
        INJECT: "enabled",
    }


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def pod_patch(pod: Object, namespace: Object, options: SidecarOptions) -> list[Object]:
    """The JSON patch (RFC 6902) that makes a pod meshed.

    Args:
        pod: as it is created; its namespace may be only in the request.
        namespace: the Namespace object, whose `config.linkerd.io/*` annotations are inherited.
        options: of the cluster.
    """
    metadata, spec = pod.get("metadata", {}), pod.get("spec", {})
    own = metadata.get("annotations") or {}
    inherited = {
        key: value
        for key, value in _annotations(namespace).items()
        if key.startswith("config.linkerd.io/") and key not in own
    }
    added = {**inherited, **annotations_of(options)}
    if own.get(INJECT) == "ingress":
        added[INJECT] = "ingress"
    labels = labels_of(pod, namespace["metadata"]["name"])
    patch: list[Object] = []
    for field, values in (("annotations", added), ("labels", labels)):
        if not metadata.get(field):
            patch.append({"op": "add", "path": f"/metadata/{field}", "value": {}})
        patch += [
            {"op": "add", "path": f"/metadata/{field}/{_pointer(key)}", "value": value}
            for key, value in values.items()
        ]
    for field, items in (("volumes", _VOLUMES), ("initContainers", (sidecar(pod, options),))):
        if not spec.get(field):
            patch.append({"op": "add", "path": f"/spec/{field}", "value": []})
        # The sidecar comes first: it must serve before the pod's own init containers start.
        place = "0" if field == "initContainers" else "-"
        patch += [
            {"op": "add", "path": f"/spec/{field}/{place}", "value": json.loads(json.dumps(item))}
            for item in items
        ]
    return patch


def service_patch(service: Object, namespace: Object) -> list[Object]:
    """A service inherits its namespace's opaque ports."""
    key = names.OPAQUE_PORTS_ANNOTATION
    wanted = _annotations(namespace).get(key)
    own = _annotations(service)
    if wanted is None or key in own:
        return []
    patch: list[Object] = []
    if not own:
        patch.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    return [
        *patch,
        {"op": "add", "path": f"/metadata/annotations/{_pointer(key)}", "value": wanted},
    ]
