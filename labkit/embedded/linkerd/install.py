"""`linkerd install`: the custom resource definitions, or the control plane.

Both look at the cluster first (API reachable, Gateway API present, not installed yet), as the real
command does, unless `--ignore-cluster` is given; manifests go to stdout and hints to stderr.
Deliberately absent: external certificate authorities and CNI.
"""

import argparse
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from labkit.embedded.linkerd.cluster import Cluster
from labkit.embedded.linkerd.output import err, out
from labkit.embedded.linkerd.trust import (
    generated_identity,
    identity_flags,
    identity_values,
    webhook_tls,
)
from labkit.embedded.linkerd.values import Values, defaults, merge, overrides
from labkit.errors import InputError, LabkitError

_CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_GATEWAY_ROUTES = ("httproutes", "grpcroutes")
_GATEWAY_API = (
    "https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.2.1/standard-install.yaml"
)
_WEBHOOKS = ("proxy-injector", "sp-validator", "policy-validator")
_HEARTBEAT_DELAY = timedelta(minutes=10)


def value_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of everything that renders a chart."""
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE")
    parser.add_argument("--set-string", action="append", default=[], metavar="PATH=VALUE")
    parser.add_argument("--set-file", action="append", default=[], metavar="PATH=FILE")
    parser.add_argument("-f", "--values", action="append", default=[], metavar="FILE")
    parser.add_argument("-o", "--output", choices=["yaml", "json"], default="yaml")
    parser.add_argument("--ignore-cluster", action="store_true")
    parser.add_argument("--registry", default="", help=argparse.SUPPRESS)
    parser.add_argument("--ha", action="store_true", help="three replicas of everything")


def given_values(options: argparse.Namespace) -> Values:
    """What `--values`, `--set`, `--set-string` and `--set-file` say."""
    return overrides(
        options.values, options.set, strings=options.set_string, contents=options.set_file
    )


def write(options: argparse.Namespace, text: str) -> None:
    """Write manifests in the format that was asked for."""
    from labkit.embedded.linkerd.rendering import as_json

    out(as_json(text) if options.output == "json" else text)


def install_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `install`."""
    parser.add_argument("--crds", action="store_true", help="only the custom resources")
    parser.add_argument("--controller-replicas", type=int, default=0)
    parser.add_argument("--default-inbound-policy", default="")
    parser.add_argument("--skip-checks", action="store_true", help=argparse.SUPPRESS)
    identity_flags(parser)
    value_flags(parser)


def install(options: argparse.Namespace) -> int:
    """`linkerd install [--crds]`."""
    given = given_values(options)
    cluster = None if options.ignore_cluster else Cluster.of(options)
    if cluster is not None:
        cluster.get("/version")
        _refuse_installed(cluster, options.linkerd_namespace)
    if options.crds:
        text = render_crds(cluster, given, namespace=options.linkerd_namespace)
        err("Rendering Linkerd CRDs...")
        err("Next, run `linkerd install | kubectl apply -f -` to install the control plane.\n")
    else:
        text = _render_control_plane(cluster, given, options)
    write(options, text)
    return 0


def _refuse_installed(cluster: Cluster, namespace: str) -> None:
    if cluster.find(f"/api/v1/namespaces/{namespace}/configmaps/linkerd-config") is None:
        return
    raise LabkitError(
        "Unable to install the Linkerd control plane. It appears that there is an existing "
        f'installation:\n\n\tnamespaces "{namespace}" has the ConfigMap linkerd-config',
        fix="\nIf you are sure you'd like to have a fresh install, remove these resources with:\n\n"
        "    linkerd uninstall | kubectl delete -f -\n\nOtherwise, upgrade with:\n\n"
        "    linkerd upgrade",
    )


def render_crds(cluster: Cluster | None, given: Values, *, namespace: str) -> str:
    """The custom resource definitions as YAML.

    Args:
        cluster: where to look for the Gateway API; None renders without looking.
        given: values of the user (`installGatewayAPI` is the one that matters).
        namespace: the control plane's.

    Raises:
        LabkitError: the Gateway API is missing, or somebody else's and asked for.
    """
    from labkit.embedded.linkerd.rendering import render

    wanted = given.get("installGatewayAPI")
    if cluster is not None:
        wanted = _decide_gateway_api(cluster, wanted)
    return render("crds.yaml", namespace=namespace, install_gateway_api=bool(wanted))


def _decide_gateway_api(cluster: Cluster, wanted: Any) -> bool:
    found = [cluster.find(f"{_CRD}/{name}.gateway.networking.k8s.io") for name in _GATEWAY_ROUTES]
    present = [crd for crd in found if crd is not None]
    if not present:
        if wanted:
            return True
        raise LabkitError(
            "The Gateway API CRDs must be installed prior to installing Linkerd",
            fix=f"    kubectl apply -f {_GATEWAY_API}\n"
            "or let Linkerd install them with --set installGatewayAPI=true",
        )
    ours = all(
        "linkerd.io/created-by" in (crd["metadata"].get("annotations") or {}) for crd in present
    )
    if ours and wanted is False:
        raise LabkitError(
            "Linkerd manages the Gateway API CRDs of this cluster; installGatewayAPI cannot be "
            "false"
        )
    if not ours and wanted:
        raise LabkitError(
            "Linkerd cannot install the Gateway API CRDs because they are already installed by an "
            "external source",
            fix="run with --set installGatewayAPI=false",
        )
    if not all(_serves_v1(crd) for crd in present) or len(present) != len(found):
        raise LabkitError(
            "The Gateway API CRDs of this cluster do not serve httproutes and grpcroutes in v1",
            fix=f"    kubectl apply -f {_GATEWAY_API}",
        )
    return ours


def _serves_v1(crd: dict[str, Any]) -> bool:
    return any(v["name"] == "v1" and v.get("served") for v in crd["spec"]["versions"])


def _render_control_plane(
    cluster: Cluster | None, given: Values, options: argparse.Namespace
) -> str:
    ports = "443,6443"
    if cluster is not None:
        if cluster.find(f"{_CRD}/servers.policy.linkerd.io") is None:
            raise LabkitError(
                "Linkerd CRDs must be installed first. Run linkerd install with the --crds flag."
            )
        ports = _api_server_ports(cluster)
    flags = _flag_values(options)
    flags = merge(flags, {"proxyInit": {"kubeAPIServerPorts": ports}})
    user = merge(flags, given)
    return render_control_plane(user, namespace=options.linkerd_namespace)


def _api_server_ports(cluster: Cluster) -> str:
    service = cluster.get("/api/v1/namespaces/default/services/kubernetes")
    ports: list[str] = []
    for port in service["spec"].get("ports") or []:
        ports += [str(port["port"]), str(port.get("targetPort", port["port"]))]
    return ",".join(dict.fromkeys(ports)) or "443,6443"


def _flag_values(options: argparse.Namespace) -> Values:
    values = identity_values(options)
    if options.ha:
        values = merge(
            values,
            {
                "controllerReplicas": 3,
                "enablePodDisruptionBudget": True,
                "webhookFailurePolicy": "Fail",
            },
        )
    if options.controller_replicas:
        values["controllerReplicas"] = options.controller_replicas
    if options.default_inbound_policy:
        values["proxy"] = {"defaultInboundPolicy": options.default_inbound_policy}
    if options.registry:
        values["controllerImage"] = f"{options.registry}/controller"
    return values


def render_control_plane(user: Values, *, namespace: str) -> str:
    """The control plane as YAML.

    Args:
        user: values that differ from the defaults; without an identity one is generated.
        namespace: where it goes.

    Raises:
        InputError: a value has the wrong shape.
    """
    from labkit.embedded.linkerd.rendering import render

    values = merge(defaults("control-plane"), user)
    if not values["identityTrustAnchorsPEM"]:
        values = merge(values, generated_identity(str(values["identityTrustDomain"])))
    if not values["heartbeatSchedule"]:
        at = datetime.now(UTC) + _HEARTBEAT_DELAY
        values["heartbeatSchedule"] = f"{at.minute} {at.hour} * * *"
    anchors = str(values["identityTrustAnchorsPEM"])
    try:
        return render(
            "control-plane.yaml",
            namespace=namespace,
            values=values,
            config_values=_without_secrets(values),
            overrides=_without_secrets(user),
            trust_root_sha256=hashlib.sha256(anchors.encode()).hexdigest(),
            tls=webhook_tls(_WEBHOOKS, namespace, prefix="linkerd-"),
        )
    except (TypeError, AttributeError, KeyError) as error:
        raise InputError(f"a value given by --set or --values does not fit: {error}") from error


def _without_secrets(values: Values) -> Values:
    """The values without the issuer's key, which belongs into its Secret only."""
    identity = values.get("identity")
    if not isinstance(identity, dict) or "tls" not in (identity.get("issuer") or {}):
        return values
    issuer = {key: value for key, value in identity["issuer"].items() if key != "tls"}
    issuer["tls"] = {"crtPEM": identity["issuer"]["tls"].get("crtPEM", "")}
    return {**values, "identity": {**identity, "issuer": issuer}}
