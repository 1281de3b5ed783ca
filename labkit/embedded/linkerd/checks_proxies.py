"""Checks of pods and their proxies: ready, of this version, of the control and the data plane."""

from collections.abc import Callable, Iterable

from labkit.embedded.linkerd.checking import Category, Check, Context, Skipped, problem
from labkit.embedded.linkerd.cluster import Object
from labkit.embedded.linkerd.portforward import is_ready
from labkit.embedded.linkerd.version import VERSION, proxy_of


def control_plane_pods(context: Context) -> list[Object]:
    """The pods of the control plane."""
    return context.cluster.list(
        f"/api/v1/namespaces/{context.namespace}/pods",
        labelSelector=f"linkerd.io/control-plane-ns={context.namespace}",
    )


def pods_running(pods: Iterable[Object], names: Iterable[str]) -> None:
    """Check that each name has a ready pod, and that no pod is unready.

    Raises:
        LabkitError: which are missing or not ready.
    """
    live = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    for name in names:
        if not any(pod["metadata"]["name"].startswith(name) for pod in live):
            raise problem(f'No running pods for "{name}"')
    waiting = [
        pod["metadata"]["name"]
        for pod in live
        if not is_ready(pod) and pod.get("status", {}).get("phase") != "Succeeded"
    ]
    if waiting:
        raise problem("Some pods are not ready:", sorted(waiting))


def meshed_pods(context: Context, namespace: str) -> list[Object]:
    """Pods with a proxy in a namespace, or everywhere."""
    scope = f"/namespaces/{namespace}" if namespace else ""
    return [pod for pod in context.cluster.list(f"/api/v1{scope}/pods") if proxy_of(pod)]


def proxies_ready(pods: Iterable[Object]) -> None:
    """Check that pods with a proxy are ready, apart from those that have ended or are ending.

    Raises:
        LabkitError: which are not.
    """
    waiting = []
    for pod in pods:
        ended = pod["metadata"].get("deletionTimestamp") or pod.get("status", {}).get("phase") in (
            "Succeeded",
            "Failed",
        )
        if not ended and not is_ready(pod):
            waiting.append(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}")
    if waiting:
        raise problem("Some pods do not have their proxy running:", sorted(waiting))


def proxies_current(pods: Iterable[Object]) -> None:
    """Check that proxies are of this command's version.

    Raises:
        LabkitError: which are not.
    """
    other = []
    for pod in pods:
        proxy = proxy_of(pod)
        version = str(proxy["image"]).rpartition(":")[2] if proxy else VERSION
        if version != VERSION:
            other.append(f"{pod['metadata']['name']} ({version})")
    if other:
        raise problem(f"some proxies are not of version {VERSION}:", sorted(other))


def proxy_checks(
    find: Callable[[Context], list[Object]], owner: str, *, warning: bool = True
) -> list[Check]:
    """The three checks that every group of proxies gets."""

    def healthy(context: Context) -> None:
        proxies_ready(find(context))

    def current(context: Context) -> None:
        proxies_current(find(context))

    return [
        Check(f"{owner} proxies are healthy", healthy, warning=warning, retried=True),
        Check(f"{owner} proxies are up-to-date", current, warning=True),
        Check(f"{owner} proxies and cli versions match", current, warning=True),
    ]


def _control_plane_proxies(context: Context) -> list[Object]:
    return [pod for pod in control_plane_pods(context) if proxy_of(pod)]


def _data_namespace(context: Context) -> None:
    if not context.data_namespace:
        raise Skipped
    if context.cluster.find(f"/api/v1/namespaces/{context.data_namespace}") is None:
        raise problem(f'The "{context.data_namespace}" namespace does not exist')


def _data_plane_ready(context: Context) -> None:
    pods = meshed_pods(context, context.data_namespace)
    if not pods:
        raise problem("No pods with a proxy were found")
    proxies_ready(pods)


def _data_plane_current(context: Context) -> None:
    proxies_current(meshed_pods(context, context.data_namespace))


CONTROL_PLANE_PROXY = Category(
    "linkerd-control-plane-proxy",
    proxy_checks(_control_plane_proxies, "control plane", warning=False),
)
DATA_PLANE = Category(
    "linkerd-data-plane",
    [
        Check("data plane namespace exists", _data_namespace, fatal=True),
        Check("data plane proxies are ready", _data_plane_ready, fatal=True, retried=True),
        Check("data plane is up-to-date", _data_plane_current, warning=True),
        Check("data plane and cli versions match", _data_plane_current, warning=True),
    ],
)
