"""A Link resource and its credentials as values: which cluster, which gateway, which services.

Parsing is lenient where the CRD has defaults (probe timeout and threshold) and strict where a
wrong value would mirror the wrong thing. Nothing here talks to a cluster.
"""

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from labkit.embedded.mesh.viz.promql_syntax import BadQuery, parse_duration
from labkit.errors import InputError

Object = Mapping[str, Any]
Mode = Literal["gateway", "remote-discovery"]


@dataclass(frozen=True)
class ProbeSpec:
    """How the gateway is probed.

    Attributes:
        path: of the request.
        port: of the gateway.
        period_s: time between two probes, before jitter.
        timeout_s: of one probe.
        failure_threshold: consecutive failures that make the gateway dead.
    """

    path: str = "/ready"
    port: int = 4191
    period_s: float = 3.0
    timeout_s: float = 30.0
    failure_threshold: int = 3


@dataclass(frozen=True)
class LinkSpec:
    """The spec of a Link (multicluster.linkerd.io/v1alpha3).

    Attributes:
        name: the Link's own name; names Lease and probe Service.
        cluster: `targetClusterName`, the suffix of mirror Services.
        domain: cluster domain of the target.
        credentials_secret: Secret with the target's kubeconfig.
        gateway_addresses: IP addresses or host names, empty for a link without a gateway.
        excluded_annotations: names, or prefixes ending in `/*`, that are not copied.
        excluded_labels: the same for labels.
    """

    name: str
    cluster: str
    domain: str
    credentials_secret: str
    gateway_addresses: tuple[str, ...]
    gateway_port: int
    gateway_identity: str
    probe: ProbeSpec
    selector: Object
    remote_discovery_selector: Object
    excluded_annotations: tuple[str, ...]
    excluded_labels: tuple[str, ...]

    def mode_of(self, service: Object) -> Mode | None:
        """How a Service of the target is mirrored; None if it is not exported."""
        labels = service["metadata"].get("labels") or {}
        if selects(self.remote_discovery_selector, labels):
            return "remote-discovery"
        if selects(self.selector, labels):
            return "gateway"
        return None


def parse_link(link: Object) -> LinkSpec:
    """The values of a Link object.

    Raises:
        InputError: a number or duration is malformed, or the cluster's name is missing.
    """
    spec = link.get("spec", {})
    name = link["metadata"]["name"]
    secret = spec.get("clusterCredentialsSecret") or f"cluster-credentials-{name}"
    try:
        return LinkSpec(
            name=name,
            cluster=spec["targetClusterName"],
            domain=spec.get("targetClusterDomain") or "cluster.local",
            credentials_secret=secret,
            gateway_addresses=tuple(
                word.strip() for word in spec.get("gatewayAddress", "").split(",") if word.strip()
            ),
            gateway_port=int(spec.get("gatewayPort") or 4143),
            gateway_identity=spec.get("gatewayIdentity", ""),
            probe=_probe(spec.get("probeSpec") or {}),
            selector=spec.get("selector") or {},
            remote_discovery_selector=spec.get("remoteDiscoverySelector") or {},
            excluded_annotations=tuple(spec.get("excludedAnnotations") or ()),
            excluded_labels=tuple(spec.get("excludedLabels") or ()),
        )
    except (KeyError, ValueError) as error:
        raise InputError(
            f"Link {name} cannot be used",
            problems=[f"spec: {error!r}"],
            fix="create it with `linkerd multicluster link-gen`",
        ) from error


def _probe(spec: Object) -> ProbeSpec:
    return ProbeSpec(
        path=spec.get("path") or "/ready",
        port=int(spec.get("port") or 4191),
        period_s=_seconds(spec.get("period") or "3s"),
        timeout_s=_seconds(spec.get("timeout") or "30s"),
        failure_threshold=int(spec.get("failureThreshold") or 3),
    )


def _seconds(text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except BadQuery as error:
        raise ValueError(str(error)) from error


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """True if a label selector matches. An empty selector matches nothing, as in Linkerd."""
    exact = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or []
    if not exact and not expressions:
        return False
    if any(labels.get(name) != value for name, value in exact.items()):
        return False
    return all(_holds(expression, labels) for expression in expressions)


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, operator = expression["key"], expression["operator"]
    values = expression.get("values") or ()
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    inside = key in labels and labels[key] in values
    return inside if operator == "In" else not inside


@dataclass(frozen=True)
class Credentials:
    """How to reach the target cluster; `repr` shows only the server."""

    server: str
    token: str
    ca: bytes

    def __repr__(self) -> str:
        return f"Credentials({self.server!r})"


def parse_credentials(secret: Object) -> Credentials:
    """The current context of a credentials Secret's kubeconfig.

    Raises:
        InputError: the kubeconfig is not there, or lacks server, CA data or token.
    """
    name = secret["metadata"]["name"]
    try:
        text = base64.b64decode(secret["data"]["kubeconfig"])
        config = yaml.safe_load(text)
        contexts = {entry["name"]: entry["context"] for entry in config["contexts"]}
        context = contexts[config["current-context"]]
        clusters = {entry["name"]: entry["cluster"] for entry in config["clusters"]}
        users = {entry["name"]: entry["user"] for entry in config["users"]}
        cluster, user = clusters[context["cluster"]], users[context["user"]]
        return Credentials(
            server=cluster["server"],
            token=user["token"],
            ca=base64.b64decode(cluster["certificate-authority-data"]),
        )
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        # Only the kind of error: its text could quote the token.
        raise InputError(
            f"Secret {name} holds no usable kubeconfig",
            problems=[type(error).__name__],
            fix="create it again with `linkerd multicluster link-gen`",
        ) from None


def is_address(text: str) -> bool:
    """True for an IP address, false for a host name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
