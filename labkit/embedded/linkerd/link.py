"""`linkerd multicluster link-gen`, `link`, `unlink` and `allow`: credentials from target to source.

Run against the target, applied to the source. The credential is the token of a service account of
the target inside a kubeconfig, in two Secrets: one for the service mirror and one for the
destination controller. Deliberately absent: headless services and per-link image overrides.
"""

import argparse
import base64
from typing import Any

from labkit.embedded.linkerd.cluster import Cluster, Object
from labkit.embedded.linkerd.multicluster import NAMESPACE, flag, linkerd_config
from labkit.embedded.linkerd.output import err
from labkit.errors import InputError, LabkitError

_DEPRECATED = 'Command "link" is deprecated, please use "link-gen" instead'
_ACCOUNT = "linkerd-service-mirror-remote-access-default"
_FEDERATED = "mirror.linkerd.io/federated=member"
_EXPORTED = "mirror.linkerd.io/exported=true"
_DISCOVERED = "mirror.linkerd.io/exported=remote-discovery"


def link_gen_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `link-gen`."""
    parser.add_argument("--cluster-name", default="", help="name of the target cluster")
    parser.add_argument("--namespace", default=NAMESPACE)
    parser.add_argument("--api-server-address", default="")
    parser.add_argument("--service-account-name", default=_ACCOUNT)
    parser.add_argument("--gateway-name", default="linkerd-gateway")
    parser.add_argument("--gateway-namespace", default=NAMESPACE)
    parser.add_argument("--gateway-addresses", default="")
    parser.add_argument("--gateway-port", type=int, default=0)
    parser.add_argument("-l", "--selector", default=_EXPORTED)
    parser.add_argument("--remote-discovery-selector", default=_DISCOVERED)
    parser.add_argument("--federated-service-selector", default=_FEDERATED)
    parser.add_argument("--excluded-annotations", default="")
    parser.add_argument("--excluded-labels", default="")
    parser.add_argument("--gateway", nargs="?", const="true", default="", metavar="true|false")
    parser.add_argument("-o", "--output", choices=["yaml", "json"], default="yaml")


def link_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `link`."""
    link_gen_flags(parser)
    parser.add_argument("--ha", action="store_true")
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--log-format", default="plain")
    parser.add_argument("--registry", default="cr.l5d.io/linkerd")
    parser.add_argument("--service-mirror-retry-limit", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help=argparse.SUPPRESS)
    parser.add_argument("-f", "--values", action="append", default=[], help=argparse.SUPPRESS)


def link_gen(options: argparse.Namespace) -> int:
    """`linkerd multicluster link-gen`."""
    text, _ = _link(options)
    _write(options, text)
    return 0


def link(options: argparse.Namespace) -> int:
    """`linkerd multicluster link`: the same plus a service mirror of its own."""
    from labkit.embedded.linkerd.rendering import VERSION, render

    err(_DEPRECATED)
    text, spec = _link(options)
    text += render(
        "service-mirror.yaml",
        name=options.cluster_name,
        namespace=options.namespace,
        replicas=3 if options.ha else 1,
        image=f"{options.registry}/controller",
        version=VERSION,
        log_level=options.log_level,
        log_format=options.log_format,
        retry_limit=options.service_mirror_retry_limit,
        gateway="probeSpec" in spec,
        probe_port=spec.get("probeSpec", {}).get("port", "4191"),
    )
    _write(options, text)
    return 0


def _write(options: argparse.Namespace, text: str) -> None:
    from labkit.embedded.linkerd.install import write

    write(options, text)


def _link(options: argparse.Namespace) -> tuple[str, Object]:
    from labkit.embedded.linkerd.rendering import render

    if not options.cluster_name:
        raise InputError("You need to specify cluster name")
    cluster = Cluster.of(options)
    config = linkerd_config(cluster, options.linkerd_namespace)
    kubeconfig = _kubeconfig(options, cluster, _token(cluster, options))
    spec: Object = {
        "targetClusterName": options.cluster_name,
        "targetClusterDomain": config["clusterDomain"],
        "targetClusterLinkerdNamespace": options.linkerd_namespace,
        "clusterCredentialsSecret": f"cluster-credentials-{options.cluster_name}",
        "remoteDiscoverySelector": _selector(options.remote_discovery_selector),
        "federatedServiceSelector": _selector(options.federated_service_selector),
    }
    for key, text in (
        ("excludedAnnotations", options.excluded_annotations),
        ("excludedLabels", options.excluded_labels),
    ):
        if text:
            spec[key] = text.split(",")
    if flag(options.gateway):
        spec |= _gateway(cluster, options)
        spec["selector"] = _selector(options.selector)
    text = render(
        "link.yaml",
        name=options.cluster_name,
        namespace=options.namespace,
        linkerd_namespace=options.linkerd_namespace,
        cluster_domain=config["clusterDomain"],
        trust_domain=config["identityTrustDomain"],
        kubeconfig=kubeconfig,
        spec=spec,
    )
    return text, spec


def _token(cluster: Cluster, options: argparse.Namespace) -> str:
    account = options.service_account_name
    base = f"/api/v1/namespaces/{options.namespace}"
    if cluster.find(f"{base}/serviceaccounts/{account}") is None:
        raise LabkitError(
            f'serviceaccounts "{account}" not found in namespace "{options.namespace}"',
            fix="Install the extension first: linkerd multicluster install | kubectl apply -f -",
        )
    for secret in cluster.list(f"{base}/secrets"):
        annotations = secret["metadata"].get("annotations") or {}
        if (
            secret.get("type") == "kubernetes.io/service-account-token"
            and annotations.get("kubernetes.io/service-account.name") == account
        ):
            encoded = (secret.get("data") or {}).get("token")
            if encoded:
                return base64.b64decode(encoded).decode()
            raise LabkitError(
                "could not find the token data in the service account secret",
                fix="It is filled in shortly after the install; try again.",
            )
    raise LabkitError(f"could not find service account token secret for {account}")


def _kubeconfig(options: argparse.Namespace, cluster: Cluster, token: str) -> Object:
    entry = dict(cluster.endpoint.cluster)
    if options.api_server_address:
        entry["server"] = options.api_server_address
    context = cluster.endpoint.context
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "clusters": [{"name": context, "cluster": entry}],
        "users": [{"name": options.service_account_name, "user": {"token": token}}],
        "contexts": [
            {
                "name": context,
                "context": {"cluster": context, "user": options.service_account_name},
            }
        ],
        "current-context": context,
    }


def _selector(text: str) -> Object:
    """A label selector of equalities as a LabelSelector; empty text matches nothing."""
    if not text:
        return {}
    pairs = [part.replace("==", "=").partition("=") for part in text.split(",")]
    if not all(key and equals for key, equals, _ in pairs):
        raise InputError(f'error parsing selector "{text}": only KEY=VALUE is understood')
    return {"matchLabels": {key.strip(): value.strip() for key, _, value in pairs}}


def _gateway(cluster: Cluster, options: argparse.Namespace) -> Object:
    where = f"{options.gateway_name}.{options.gateway_namespace}"
    service = cluster.find(
        f"/api/v1/namespaces/{options.gateway_namespace}/services/{options.gateway_name}"
    )
    if service is None:
        raise LabkitError(
            f"Failed to fetch gateway service {where}: it does not exist",
            fix="Install the extension with a gateway, or link with --gateway=false.",
        )
    annotations = service["metadata"].get("annotations") or {}
    identity = annotations.get("mirror.linkerd.io/gateway-identity")
    if not identity:
        raise LabkitError(f"Gateway {where} has no mirror.linkerd.io/gateway-identity annotation")
    ports = {port.get("name"): port for port in service["spec"].get("ports") or []}
    if not {"mc-gateway", "mc-probe"} <= set(ports):
        raise LabkitError(f"Gateway {where} must have the ports mc-gateway and mc-probe")
    number = "nodePort" if service["spec"].get("type") == "NodePort" else "port"
    return {
        "gatewayAddress": options.gateway_addresses or _addresses(service, where),
        "gatewayIdentity": identity,
        "gatewayPort": str(options.gateway_port or ports["mc-gateway"][number]),
        "probeSpec": {
            "path": annotations.get("mirror.linkerd.io/probe-path", "/ready"),
            "period": f"{annotations.get('mirror.linkerd.io/probe-period', '3')}s",
            "port": str(ports["mc-probe"][number]),
        },
    }


def _addresses(service: Object, where: str) -> str:
    ingress: list[Any] = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    found = [entry.get("ip") or entry.get("hostname") for entry in ingress]
    addresses = [address for address in found if address]
    if not addresses:
        raise LabkitError(
            f"Gateway {where} has no ingress addresses",
            fix="Wait for the load balancer, or give --gateway-addresses.",
        )
    return ",".join(addresses)


def allow_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `allow`."""
    parser.add_argument("--namespace", default=NAMESPACE)
    parser.add_argument("--service-account-name", default="")
    parser.add_argument("--ignore-cluster", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", choices=["yaml", "json"], default="yaml")


def allow(options: argparse.Namespace) -> int:
    """`linkerd multicluster allow`: one more remote-access account."""
    from labkit.embedded.linkerd.rendering import render

    if not options.service_account_name:
        raise InputError("the --service-account-name flag is required")
    text = render(
        "remote-access.yaml", namespace=options.namespace, account=options.service_account_name
    )
    head = f"---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {options.namespace}\n"
    _write(options, head + text)
    return 0


def unlink_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `unlink`."""
    parser.add_argument("--cluster-name", default="")
    parser.add_argument("--namespace", default=NAMESPACE)
    parser.add_argument("--only-controller", action="store_true")
    parser.add_argument("-o", "--output", choices=["yaml", "json"], default="yaml")


def unlink(options: argparse.Namespace) -> int:
    """`linkerd multicluster unlink`: what to delete, as manifests."""
    from labkit.embedded.linkerd.uninstall import link_objects

    if not options.cluster_name:
        raise InputError("You need to specify cluster name")
    err('Command "unlink" is deprecated, please remove the controller and delete the Link instead')
    _write(options, link_objects(Cluster.of(options), options))
    return 0
