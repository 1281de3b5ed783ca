"""Checks of `linkerd viz check`."""

from labkit.embedded.linkerd.checking import Category, Check, Context, problem
from labkit.embedded.linkerd.checks_core import existing
from labkit.embedded.linkerd.checks_identity import certificate_checks, serving_certificate
from labkit.embedded.linkerd.checks_proxies import (
    meshed_pods,
    pods_running,
    proxies_ready,
    proxy_checks,
)
from labkit.embedded.linkerd.cluster import Object
from labkit.embedded.linkerd.portforward import viz_json

_NAMESPACE = "linkerd-viz"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.tap.linkerd.io"
_ROLES = (
    "linkerd-linkerd-viz-metrics-api",
    "linkerd-linkerd-viz-prometheus",
    "linkerd-linkerd-viz-tap",
    "linkerd-linkerd-viz-web-check",
    "linkerd-tap-injector",
)
_COMPONENTS = ("metrics-api", "prometheus", "tap", "tap-injector", "web")
_TAP_ENABLED = "viz.linkerd.io/tap-enabled"


def _namespace(context: Context) -> None:
    if context.cluster.find(f"/api/v1/namespaces/{_NAMESPACE}") is None:
        raise problem(f'namespaces "{_NAMESPACE}" not found')


def _nothing(_: Context) -> None:
    """Holds because the command got this far."""


def _tap_certificate(context: Context) -> tuple[bytes, bytes]:
    service = context.cluster.get(_API_SERVICE)
    return serving_certificate(context, _NAMESPACE, "tap-k8s-tls", service["spec"])


def _tap_api(context: Context) -> None:
    service = context.cluster.get(_API_SERVICE)
    conditions = (service.get("status") or {}).get("conditions") or []
    for condition in conditions:
        if condition["type"] == "Available" and condition["status"] != "True":
            raise problem(f"{condition.get('reason')}: {condition.get('message')}")


def _pods(context: Context) -> list[Object]:
    return context.cluster.list(f"/api/v1/namespaces/{_NAMESPACE}/pods")


def _pods_running(context: Context) -> None:
    pods_running(_pods(context), _COMPONENTS)


def _proxies(context: Context) -> list[Object]:
    return meshed_pods(context, _NAMESPACE)


def _prometheus(context: Context) -> None:
    viz_json(context.cluster, ("prometheus", 9090), "/api/v1/query", {"query": "vector(1)"})


def _self_check(context: Context) -> None:
    viz_json(context.cluster, ("metrics-api", 8085), "/api/stat", {"resource": "namespace"})


def _data_plane_ready(context: Context) -> None:
    proxies_ready(meshed_pods(context, context.data_namespace))


def _tap_enabled(context: Context) -> None:
    without = [
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in meshed_pods(context, context.data_namespace)
        if _TAP_ENABLED not in (pod["metadata"].get("annotations") or {})
    ]
    if without:
        raise problem("Some data plane pods do not have tap configured:", sorted(without))


VIZ = Category(
    "linkerd-viz",
    [
        Check("linkerd-viz Namespace exists", _namespace, fatal=True),
        Check("can initialize the client", _nothing, fatal=True),
        Check(
            "linkerd-viz ClusterRoles exist",
            existing(f"{_RBAC}/clusterroles", _ROLES, "ClusterRoles"),
            fatal=True,
        ),
        Check(
            "linkerd-viz ClusterRoleBindings exist",
            existing(f"{_RBAC}/clusterrolebindings", _ROLES, "ClusterRoleBindings"),
            fatal=True,
        ),
        *certificate_checks("tap API server", _tap_certificate, noun="tap API server"),
        Check("tap API service is running", _tap_api, warning=True, retried=True),
        Check("viz extension pods are running", _pods_running, fatal=True, retried=True),
        *proxy_checks(_proxies, "viz extension"),
        Check("prometheus is installed and configured correctly", _prometheus, retried=True),
        Check("viz extension self-check", _self_check, fatal=True, retried=True),
    ],
)
DATA_PLANE = Category(
    "linkerd-viz-data-plane",
    [
        Check("data plane pods are ready", _data_plane_ready, retried=True),
        Check("data-plane pods have tap enabled", _tap_enabled, warning=True),
    ],
)


def categories(*, proxy: bool) -> list[Category]:
    """The categories of `viz check`."""
    return [VIZ, DATA_PLANE] if proxy else [VIZ]
