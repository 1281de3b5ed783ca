"""`linkerd multicluster install`: gateway, policies, one controller for each link.

Deliberately absent: waiting for the core checks (the embedded control plane is ready or the
manifest waits for it) and headless services.
"""

import argparse
from typing import Any

from labkit.embedded.linkerd.cluster import Cluster
from labkit.embedded.linkerd.install import given_values, value_flags, write
from labkit.embedded.linkerd.values import Values, defaults, merge
from labkit.errors import InputError, LabkitError

NAMESPACE = "linkerd-multicluster"


def install_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `multicluster install`."""
    parser.add_argument("--gateway", nargs="?", const="true", default="", metavar="true|false")
    parser.add_argument("--gateway-port", type=int, default=0)
    parser.add_argument("--gateway-probe-port", type=int, default=0)
    parser.add_argument("--gateway-probe-seconds", type=int, default=0)
    parser.add_argument("--gateway-service-type", default="")
    parser.add_argument("--gateway-healthcheck-nodeport", type=int, default=0)
    parser.add_argument(
        "--service-mirror-credentials", nargs="?", const="true", default="", metavar="true|false"
    )
    parser.add_argument("--namespace", default=NAMESPACE)
    parser.add_argument("--wait", default="300s")
    value_flags(parser)


def install(options: argparse.Namespace) -> int:
    """`linkerd multicluster install`."""
    user = merge(_flag_values(options), given_values(options))
    if not options.ignore_cluster:
        config = linkerd_config(Cluster.of(options), options.linkerd_namespace)
        user = merge({"identityTrustDomain": config["identityTrustDomain"]}, user)
    text = render_multicluster(user, namespace=options.namespace)
    write(options, text)
    return 0


def linkerd_config(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """The values the control plane was installed with.

    Raises:
        LabkitError: there is no control plane.
    """
    from labkit.embedded.linkerd import reading

    config = cluster.find(f"/api/v1/namespaces/{namespace}/configmaps/linkerd-config")
    if config is None:
        raise LabkitError(
            f'Cannot find Linkerd: configmaps "linkerd-config" not found in "{namespace}"',
            fix="Validate the install with: linkerd check",
        )
    values: dict[str, Any] = reading.load(config["data"]["values"])
    return {"clusterDomain": "cluster.local", "identityTrustDomain": "cluster.local", **values}


def flag(text: str, *, default: bool = True) -> bool:
    """The value of a boolean flag as Go reads it.

    Raises:
        InputError: neither true nor false.
    """
    if not text:
        return default
    if text.lower() not in ("true", "false", "1", "0", "t", "f"):
        raise InputError(f'invalid argument "{text}": must be true or false')
    return text.lower() in ("true", "1", "t")


def _flag_values(options: argparse.Namespace) -> Values:
    gateway: Values = {}
    probe: Values = {}
    if options.gateway:
        gateway["enabled"] = flag(options.gateway)
    if options.gateway_port:
        gateway["port"] = options.gateway_port
    if options.gateway_service_type:
        gateway["serviceType"] = options.gateway_service_type
    if options.gateway_healthcheck_nodeport:
        gateway["healthCheckNodePort"] = options.gateway_healthcheck_nodeport
    if options.gateway_probe_port:
        probe["port"] = options.gateway_probe_port
    if options.gateway_probe_seconds:
        probe["seconds"] = options.gateway_probe_seconds
    if options.ha:
        gateway["replicas"] = 3
    if probe:
        gateway["probe"] = probe
    values: Values = {"linkerdNamespace": options.linkerd_namespace}
    if gateway:
        values["gateway"] = gateway
    if options.service_mirror_credentials:
        values["remoteMirrorServiceAccount"] = flag(options.service_mirror_credentials)
    if options.ha:
        values["controllerDefaults"] = {"enablePodDisruptionBudget": True}
        values["localServiceMirror"] = {"enablePodDisruptionBudget": True}
    return values


def _controllers(values: Values) -> list[Values]:
    """The `controllers[]` entries, each laid on `controllerDefaults`.

    Raises:
        InputError: an entry does not name its link.
    """
    complete: list[Values] = []
    for index, entry in enumerate(values["controllers"] or []):
        try:
            name = entry["link"]["ref"]["name"]
        except (KeyError, TypeError) as error:
            raise InputError(f"controllers[{index}].link.ref.name is required") from error
        if not isinstance(name, str) or not name:
            raise InputError(f"controllers[{index}].link.ref.name must be a name")
        complete.append(merge(values["controllerDefaults"], entry))
    return complete


def render_multicluster(user: Values, *, namespace: str = NAMESPACE) -> str:
    """The extension as YAML, from values that differ from the defaults."""
    from labkit.embedded.linkerd.rendering import render

    values = merge(defaults("multicluster"), user)
    remote = render(
        "remote-access.yaml",
        namespace=namespace,
        account=values["remoteMirrorServiceAccountName"],
    )
    return render(
        "multicluster.yaml",
        namespace=namespace,
        values=values,
        controllers=_controllers(values),
        link_crd=render("link-crd.yaml"),
        remote_access=remote,
    )
