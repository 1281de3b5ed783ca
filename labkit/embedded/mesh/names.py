"""Names of the mesh: identities, annotations, ports, and the sockets its parts meet at."""

import hashlib
import os
from pathlib import Path

CONTROL_NAMESPACE = "linkerd"
TRUST_DOMAIN = "cluster.local"
CLUSTER_DOMAIN = "cluster.local"
PROXY_CONTAINER = "linkerd-proxy"

GATEWAY_PORT = 4143
TAP_PORT = 4190
ADMIN_PORT = 4191
PROXY_PORTS = frozenset({GATEWAY_PORT, TAP_PORT, ADMIN_PORT})
OPAQUE_PORTS = frozenset({25, 587, 3306, 4444, 5432, 6379, 9300, 11211})
"""Ports whose bytes are passed on unread by default: their servers speak first."""

SOCKETS = "network.labkit.dev/sockets"
APP_SOCKETS = "network.labkit.dev/app-sockets"
EGRESS = "network.labkit.dev/egress"

ENABLE_GATEWAY = "config.linkerd.io/enable-gateway"
OPAQUE_PORTS_ANNOTATION = "config.linkerd.io/opaque-ports"
INBOUND_POLICY = "config.linkerd.io/default-inbound-policy"
MIRRORED = "mirror.linkerd.io/mirrored-service"
MIRROR_CLUSTER = "mirror.linkerd.io/cluster-name"
REMOTE_NAME = "mirror.linkerd.io/remote-svc-fq-name"
REMOTE_IDENTITY = "mirror.linkerd.io/remote-gateway-identity"

SOURCE_HEADER = "l5d-src"
"""Carries the client's virtual address between proxies; the receiving one removes it."""

ERROR_HEADER = "l5d-proxy-error"

XDS = "destination"
"""Static cluster of the xDS server that serves listeners, clusters and routes."""
SDS = "identity"
"""Static cluster of the xDS server that serves certificates."""


def identity_of(service_account: str, namespace: str) -> str:
    """The mesh identity of a workload.

    Example:
        >>> identity_of("web", "emojivoto")
        'web.emojivoto.serviceaccount.identity.linkerd.cluster.local'
    """
    return (
        f"{service_account}.{namespace}.serviceaccount.identity.{CONTROL_NAMESPACE}.{TRUST_DOMAIN}"
    )


def service_name(service: str, namespace: str) -> str:
    """The full DNS name of a service."""
    return f"{service}.{namespace}.svc.{CLUSTER_DOMAIN}"


def pod_socket(run_dir: Path, pod_uid: str, kind: str) -> Path:
    """A unix socket (or pipe) of one pod's proxy.

    Both the proxy and whoever writes its configuration derive it from the pod's uid.

    Args:
        run_dir: the cluster's folder of sockets.
        pod_uid: `metadata.uid`.
        kind: `log` (access log), `http` (metrics, tap), `sds`, `admin`.
    """
    return run_dir / f"{hashlib.sha256(pod_uid.encode()).hexdigest()[:10]}.{kind}"


def grouped() -> bool:
    """Whether one Envoy per cluster serves all pods (`LABKIT_PROXY_GROUPING=cluster`)."""
    return os.environ.get("LABKIT_PROXY_GROUPING", "pod") == "cluster"
