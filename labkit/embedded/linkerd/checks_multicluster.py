"""Checks of `linkerd multicluster check`. With no Link at all most are skipped, and it succeeds."""

import base64
from typing import Any

from labkit.embedded.linkerd import kubeconfig
from labkit.embedded.linkerd.checking import Category, Check, Context, Skipped, problem
from labkit.embedded.linkerd.checks_identity import trust_anchors
from labkit.embedded.linkerd.checks_proxies import meshed_pods, proxy_checks
from labkit.embedded.linkerd.cluster import Cluster, Object
from labkit.embedded.linkerd.gateways import LINKS, MIRRORED, gateway_row, leader
from labkit.embedded.linkerd.rendering import CREATED_BY
from labkit.errors import LabkitError

_NAMESPACE = "linkerd-multicluster"
_CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/links.multicluster.linkerd.io"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_CONTROLLERS = "component in (controller,linkerd-service-mirror)"
_NAME = "mirror.linkerd.io/cluster-name"
_DISCOVERED = "multicluster.linkerd.io/remote-discovery"


def _links(context: Context) -> list[Object]:
    """All Links.

    Raises:
        Skipped: there is none.
    """
    links = context.cluster.list(LINKS)
    if not links:
        raise Skipped
    return links


def _target(link: Object) -> str:
    return str(link["spec"]["targetClusterName"])


def _listed(links: list[Object]) -> str:
    return "".join(f"\n\t* {_target(link)}" for link in links)


def _crd(context: Context) -> None:
    if context.cluster.find(_CRD) is None:
        raise problem("multicluster.linkerd.io/Link CRD is missing")


def _valid(context: Context) -> str:
    links = _links(context)
    wanted = ("targetClusterName", "targetClusterDomain", "clusterCredentialsSecret")
    for link in links:
        spec = link["spec"]
        missing = [key for key in wanted if not spec.get(key)]
        if spec.get("gatewayAddress"):
            missing += [key for key in ("gatewayPort", "gatewayIdentity") if not spec.get(key)]
        if missing:
            raise problem(f"Link {link['metadata']['name']} lacks {', '.join(missing)}")
    return _listed(links)


def _maker(link: Object) -> str:
    return str((link["metadata"].get("annotations") or {}).get("linkerd.io/created-by", ""))


def _versions(context: Context) -> str:
    links = _links(context)
    other = [f"{_target(link)}: {_maker(link)}" for link in links if _maker(link) != CREATED_BY]
    if other:
        raise problem(f"Links and this command ({CREATED_BY}) have different versions:", other)
    return _listed(links)


def _remote(context: Context, link: Object) -> Context:
    """The target cluster, with the Link's own credentials.

    Raises:
        LabkitError: the Secret is missing or damaged.
    """
    name = link["spec"]["clusterCredentialsSecret"]
    namespace = link["metadata"]["namespace"]
    secret = context.cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
    text = base64.b64decode((secret.get("data") or {}).get("kubeconfig", "")).decode()
    linkerd = str(link["spec"].get("targetClusterLinkerdNamespace", "linkerd"))
    return Context(Cluster(kubeconfig.parse(text), timeout=10.0), linkerd)


def _each(context: Context, look: Any) -> str:
    """Look at each Link and tell all that fail."""
    links = _links(context)
    errors = []
    for link in links:
        try:
            look(link)
        except LabkitError as error:
            errors.append(f"{_target(link)}: {error.what} {error.seen}".rstrip())
    if errors:
        raise problem("Problems with links:", errors)
    return _listed(links)


def _credentials(context: Context) -> str:
    def look(link: Object) -> None:
        remote = _remote(context, link)
        for resource in ("services", "endpoints"):
            remote.cluster.get(f"/api/v1/{resource}", limit="1")
        name = link["spec"]["clusterCredentialsSecret"]
        context.cluster.get(f"/api/v1/namespaces/{context.namespace}/secrets/{name}")

    return _each(context, look)


def _anchors(context: Context) -> str:
    own = trust_anchors(context)

    def look(link: Object) -> None:
        if trust_anchors(_remote(context, link)) != own:
            raise problem("the trust anchors of the two clusters differ")

    return _each(context, look)


def _permissions(context: Context) -> str:
    def look(link: Object) -> None:
        name = _target(link)
        managed = _controller(context, link)["metadata"]["name"] == f"controller-{name}"
        role = (
            f"controller-read-remote-creds-{name}"
            if managed
            else f"linkerd-service-mirror-read-remote-creds-{name}"
        )
        cluster_role = (
            "linkerd-multicluster-controller-access-local-resources"
            if managed
            else f"linkerd-service-mirror-access-local-resources-{name}"
        )
        binding = f"{cluster_role}-{name}" if managed else cluster_role
        context.cluster.get(f"{_RBAC}/clusterroles/{cluster_role}")
        context.cluster.get(f"{_RBAC}/clusterrolebindings/{binding}")
        for kind in ("roles", "rolebindings"):
            context.cluster.get(f"{_RBAC}/namespaces/{_NAMESPACE}/{kind}/{role}")

    return _each(context, look)


def _controller(context: Context, link: Object) -> Object:
    """The one Deployment that mirrors a Link's services.

    Raises:
        LabkitError: none, or several.
    """
    found = context.cluster.list(
        "/apis/apps/v1/deployments",
        labelSelector=f"component in (controller,service-mirror),{_NAME}={_target(link)}",
    )
    if len(found) != 1:
        raise problem(f"there are {len(found)} service mirror controllers instead of one")
    return found[0]


def _running(context: Context) -> str:
    def look(link: Object) -> None:
        deployment = _controller(context, link)
        available = (deployment.get("status") or {}).get("availableReplicas", 0)
        if available < 1:
            raise problem(f"{deployment['metadata']['name']} has no available replica")

    return _each(context, look)


def _managed(context: Context) -> str:
    def look(link: Object) -> None:
        name = _controller(context, link)["metadata"]["name"]
        if name != f"controller-{_target(link)}":
            raise problem(f"{name} was made by the deprecated `multicluster link`")

    return _each(context, look)


def _gateways(context: Context) -> str:
    def look(link: Object) -> None:
        if not link["spec"].get("gatewayAddress"):
            return
        name = _target(link)
        probes = context.cluster.list(
            "/api/v1/services",
            labelSelector=f"mirror.linkerd.io/mirrored-gateway=true,{_NAME}={name}",
        )
        if len(probes) != 1:
            raise problem(f"wrong number of probe services: {len(probes)}, expected 1")
        metadata = probes[0]["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/endpoints/{metadata['name']}"
        if not (context.cluster.get(path).get("subsets") or []):
            raise problem(f"the endpoints of {metadata['name']} are empty")
        leader(context.cluster, link)
        row = gateway_row(context.cluster, link)
        if row is None or not row["alive"]:
            raise problem("liveness checks failed")

    return _each(context, look)


def _mirrors(context: Context) -> list[Object]:
    return context.cluster.list("/api/v1/services", labelSelector=MIRRORED)


def _endpoints(context: Context) -> None:
    empty = []
    for service in _mirrors(context):
        metadata = service["metadata"]
        if _DISCOVERED in metadata.get("labels", {}):
            continue
        path = f"/api/v1/namespaces/{metadata['namespace']}/endpoints/{metadata['name']}"
        found = context.cluster.find(path)
        if not (found or {}).get("subsets"):
            empty.append(f"{metadata['namespace']}/{metadata['name']}")
    if empty:
        raise problem("Some mirror services do not have endpoints:", sorted(empty))


def _linked(context: Context) -> None:
    targets = {_target(link) for link in context.cluster.list(LINKS)}
    orphans = [
        f"{service['metadata']['namespace']}/{service['metadata']['name']}"
        for service in _mirrors(context)
        if service["metadata"]["labels"].get(_NAME) not in targets
    ]
    if orphans:
        raise problem("Some mirror services are not part of a Link:", sorted(orphans))


def _proxies(context: Context) -> list[Object]:
    return meshed_pods(context, _NAMESPACE)


MULTICLUSTER = Category(
    "linkerd-multicluster",
    [
        Check("Link CRD exists", _crd, fatal=True),
        Check("Link resources are valid", _valid, fatal=True),
        Check("Link and CLI versions match", _versions, warning=True),
        Check("remote cluster access credentials are valid", _credentials),
        Check("clusters share trust anchors", _anchors),
        Check("service mirror controller has required permissions", _permissions),
        Check("service mirror controllers are running", _running, retried=True),
        Check("extension is managing controllers", _managed, warning=True),
        Check("probe services able to communicate with all gateway mirrors", _gateways),
        Check("all mirror services have endpoints", _endpoints),
        Check("all mirror services are part of a Link", _linked, warning=True),
        *proxy_checks(_proxies, "multicluster extension"),
    ],
)


def categories(*, proxy: bool) -> list[Category]:
    """The categories of `multicluster check`, the same with and without `--proxy`."""
    del proxy
    return [MULTICLUSTER]
