"""`linkerd uninstall`, `multicluster uninstall`, `viz uninstall`, `multicluster unlink`.

Each prints what is to be deleted, as manifests for `kubectl delete -f -`, found by label in the
cluster. They refuse while something still depends on it. Deliberately absent: deleting.
"""

import argparse

from labkit.embedded.linkerd.cluster import Cluster, Object
from labkit.embedded.linkerd.multicluster import NAMESPACE
from labkit.embedded.linkerd.output import err, out
from labkit.embedded.linkerd.version import proxy_of
from labkit.errors import LabkitError

_CLUSTER_SCOPED = (
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration",
     "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration",
     "validatingwebhookconfigurations"),
    ("apiregistration.k8s.io/v1", "APIService", "apiservices"),
)  # fmt: skip
_NAMESPACED = (
    ("rbac.authorization.k8s.io/v1", "Role", "roles"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
)
_LINK_API = "multicluster.linkerd.io/v1alpha3"


def core_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `uninstall`."""
    parser.add_argument("-f", "--force", action="store_true")
    parser.add_argument("-o", "--output", choices=["yaml", "json"], default="yaml")


def multicluster_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `multicluster uninstall`."""
    parser.add_argument("-o", "--output", choices=["yaml", "json"], default="yaml")


viz_flags = multicluster_flags


def core(options: argparse.Namespace) -> int:
    """`linkerd uninstall`."""
    cluster = Cluster.of(options)
    if not options.force:
        _refuse_dependants(cluster, options.linkerd_namespace)
    found = _labelled(cluster, f"linkerd.io/control-plane-ns={options.linkerd_namespace}")
    if not found:
        err("No resources found to uninstall.")
        return 0
    return _write(options, found)


def _refuse_dependants(cluster: Cluster, namespace: str) -> None:
    extensions = [
        item["metadata"]["labels"]["linkerd.io/extension"]
        for item in cluster.list("/api/v1/namespaces", labelSelector="linkerd.io/extension")
    ]
    if extensions:
        raise LabkitError(
            "Please uninstall the following extensions before uninstalling the control-plane:\n\t* "
            + "\n\t* ".join(sorted(extensions))
        )
    pods = [pod for pod in cluster.list("/api/v1/pods") if proxy_of(pod)]
    names = [
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in pods
        if pod["metadata"]["namespace"] != namespace
    ]
    if names:
        raise LabkitError(
            "Please uninject the following resources before uninstalling the control-plane:\n\t* "
            + "\n\t* ".join(sorted(names)),
            fix="or give --force",
        )


def multicluster(options: argparse.Namespace) -> int:
    """`linkerd multicluster uninstall`."""
    cluster = Cluster.of(options)
    links = cluster.list(f"/apis/{_LINK_API}/links")
    if links:
        raise LabkitError(
            "Please delete the following Link resources first:\n\t* "
            + "\n\t* ".join(link["metadata"]["name"] for link in links)
        )
    return _uninstall_extension(options, cluster, "multicluster")


def viz(options: argparse.Namespace) -> int:
    """`linkerd viz uninstall`."""
    return _uninstall_extension(options, Cluster.of(options), "viz")


def _uninstall_extension(options: argparse.Namespace, cluster: Cluster, name: str) -> int:
    found = _labelled(cluster, f"linkerd.io/extension={name}")
    if not found:
        raise LabkitError("No resources found to uninstall")
    return _write(options, found)


def _labelled(cluster: Cluster, selector: str) -> list[Object]:
    found = [
        _stub(version, kind, item)
        for version, kind, plural in _CLUSTER_SCOPED
        for item in cluster.list(f"/apis/{version}/{plural}", labelSelector=selector)
    ]
    found += [
        _stub("v1", "Namespace", item)
        for item in cluster.list("/api/v1/namespaces", labelSelector=selector)
    ]
    gone = {item["metadata"]["name"] for item in found if item["kind"] == "Namespace"}
    # Roles go with their namespace; only those elsewhere (kube-system, linkerd) are named.
    found += [
        _stub(version, kind, item)
        for version, kind, plural in _NAMESPACED
        for item in cluster.list(f"/apis/{version}/{plural}", labelSelector=selector)
        if item["metadata"]["namespace"] not in gone
    ]
    return found


def _stub(version: str, kind: str, item: Object) -> Object:
    metadata = {"name": item["metadata"]["name"]}
    if item["metadata"].get("namespace"):
        metadata["namespace"] = item["metadata"]["namespace"]
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _text(objects: list[Object]) -> str:
    from labkit.embedded.linkerd.rendering import to_yaml

    return "".join(f"---\n{to_yaml(item)}\n" for item in objects)


def _write(options: argparse.Namespace, objects: list[Object]) -> int:
    from labkit.embedded.linkerd.rendering import as_json

    text = _text(objects)
    out(as_json(text) if options.output == "json" else text)
    return 0


def link_objects(cluster: Cluster, options: argparse.Namespace) -> str:
    """What `multicluster unlink` deletes: the legacy controller, the Link, its mirrors.

    Raises:
        LabkitError: there is no such Link.
    """
    name, namespace = options.cluster_name, options.namespace or NAMESPACE
    path = f"/apis/{_LINK_API}/namespaces/{namespace}/links/{name}"
    if cluster.find(path) is None:
        raise LabkitError(f'links.multicluster.linkerd.io "{name}" not found')
    rbac = "rbac.authorization.k8s.io/v1"
    local = f"linkerd-service-mirror-access-local-resources-{name}"
    remote = f"linkerd-service-mirror-read-remote-creds-{name}"
    wanted = [
        (rbac, "ClusterRole", "", local),
        (rbac, "ClusterRoleBinding", "", local),
        (rbac, "Role", namespace, remote),
        (rbac, "RoleBinding", namespace, remote),
        ("v1", "ServiceAccount", namespace, f"linkerd-service-mirror-{name}"),
        ("v1", "Service", namespace, f"probe-gateway-{name}"),
        ("apps/v1", "Deployment", namespace, f"linkerd-service-mirror-{name}"),
    ]
    if not options.only_controller:
        credentials = f"cluster-credentials-{name}"
        wanted += [
            ("v1", "Secret", namespace, credentials),
            ("v1", "Secret", options.linkerd_namespace, credentials),
            (_LINK_API, "Link", namespace, name),
            ("coordination.k8s.io/v1", "Lease", namespace, f"service-mirror-write-{name}"),
        ]
        selector = f"mirror.linkerd.io/mirrored-service=true,mirror.linkerd.io/cluster-name={name}"
        wanted += [
            ("v1", "Service", item["metadata"]["namespace"], item["metadata"]["name"])
            for item in cluster.list("/api/v1/services", labelSelector=selector)
        ]
    return _text(
        [
            _stub(version, kind, {"metadata": {"name": item, "namespace": space}})
            for version, kind, space, item in wanted
        ]
    )
