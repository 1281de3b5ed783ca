"""`linkerd version`: of this command, of the control plane, of the proxies."""

import argparse
from collections import Counter

from labkit.embedded.linkerd.cluster import Cluster, Object
from labkit.embedded.linkerd.output import out
from labkit.errors import KubernetesError

VERSION = "edge-26.6.3"
_UNAVAILABLE = "unavailable"


def version_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `version`."""
    parser.add_argument("--client", action="store_true", help="print the client version only")
    parser.add_argument("--short", action="store_true", help="print the version number only")
    parser.add_argument("--proxy", action="store_true", help="print data-plane versions")
    parser.add_argument("-n", "--namespace", default="")


def version(options: argparse.Namespace) -> int:
    """`linkerd version [--client] [--short] [--proxy]`."""
    out(VERSION if options.short else f"Client version: {VERSION}")
    if options.client:
        return 0
    cluster = Cluster.of(options)
    server = server_version(cluster, options.linkerd_namespace)
    out(server if options.short else f"Server version: {server}")
    if options.proxy:
        _write_proxies(cluster, options)
    return 0


def server_version(cluster: Cluster, namespace: str) -> str:
    """The control plane's version, `unavailable` when it does not answer or is not there."""
    from labkit.embedded.linkerd import reading

    try:
        config = cluster.find(f"/api/v1/namespaces/{namespace}/configmaps/linkerd-config")
    except KubernetesError:
        return _UNAVAILABLE
    if config is None:
        return _UNAVAILABLE
    values = reading.load(config.get("data", {}).get("values", "")) or {}
    return str(values.get("linkerdVersion", _UNAVAILABLE))


def proxy_of(pod: Object) -> Object | None:
    """The pod's `linkerd-proxy` container, wherever it stands."""
    spec = pod.get("spec", {})
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    return next((c for c in containers if c.get("name") == "linkerd-proxy"), None)


def _write_proxies(cluster: Cluster, options: argparse.Namespace) -> None:
    scope = f"/namespaces/{options.namespace}" if options.namespace else ""
    try:
        pods = cluster.list(f"/api/v1{scope}/pods")
    except KubernetesError:
        pods = []
    proxies = [proxy for pod in pods if (proxy := proxy_of(pod)) is not None]
    if not proxies:
        out(_UNAVAILABLE if options.short else f"Proxy versions: {_UNAVAILABLE}")
        return
    counts = Counter(str(proxy["image"]).rpartition(":")[2] for proxy in proxies)
    if options.short:
        out("\n".join(sorted(counts)))
        return
    out("Proxy versions:")
    for name, count in sorted(counts.items()):
        out(f"\t{name} ({count} pods)")
