"""Chapter 04: gateways in both clusters, and a Link from west to east."""

import socket
from functools import partial
from typing import Any

from labkit.chapters.linkerd import (
    COMMAND_LIMIT_S,
    CRD,
    CRD_API,
    ERRORS,
    deployments_check,
    judged,
    wait_rollouts,
)
from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.rollouts import remove_namespace, wait_for
from labkit.context import CLUSTERS, EAST, WEST, LabContext, in_both
from labkit.display import Step, Table
from labkit.errors import StateError
from labkit.progress import Progress, progress

NAMESPACE = "linkerd-multicluster"
GATEWAY = "linkerd-gateway"
ADDRESS_TIMEOUT_S = 300.0
PROBE_TIMEOUT_S = 90.0
LINK_CRD = "links.multicluster.linkerd.io"
ACCOUNT = "linkerd-service-mirror-remote-access-default"
TOKEN_TIMEOUT_S = 60.0
_LEGACY = f"linkerd-service-mirror-{EAST}"


def _controller(lab: LabContext) -> str:
    """Name of the deployment that mirrors services into west."""
    return _LEGACY if lab.linkerd_profile == "tutorial" else f"controller-{EAST}"


def gateway_addresses(lab: LabContext, cluster: str) -> list[str]:
    """Public addresses of a cluster's gateway; empty while it has none."""
    service = lab.kubernetes(cluster).get("v1", "Service", GATEWAY, NAMESPACE)
    if service is None:
        return []
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return [item.get("ip") or item.get("hostname") or "" for item in ingress]


def gateway_ips(lab: LabContext, cluster: str) -> list[str]:
    """The gateway's addresses as they stand in endpoints: hostnames (AWS) resolved."""
    found: set[str] = set()
    for address in gateway_addresses(lab, cluster):
        try:
            found |= {str(item[4][0]) for item in socket.getaddrinfo(address, None)}
        except OSError:
            found.add(address)  # not known here; the comparison will show it
    return sorted(found)


def install(lab: LabContext) -> Step:
    """Install the multicluster extension; west gets a controller for east."""
    with progress("Installing multicluster") as shown:
        in_both(partial(_install, lab, shown))
        lab.read_meter()  # load balancers have a price
    rows = [
        {"cluster": name, "gateway address": ", ".join(gateway_addresses(lab, name)), "port": 4143}
        for name in CLUSTERS
    ]
    return Step(
        "Both clusters have a gateway with a public address.",
        by_hand=(
            "linkerd --context east multicluster install | kubectl --context east apply -f -",
            (
                f"linkerd --context west multicluster install {_by_hand_flag(lab)}"
                "| kubectl --context west apply -f -"
            ),
        ),
        table=Table.of(rows),
    )


def _by_hand_flag(lab: LabContext) -> str:
    current = lab.linkerd_profile == "current"
    return f"--set 'controllers[0].link.ref.name={EAST}' " if current else ""


def _install(lab: LabContext, shown: Progress, cluster: str) -> None:
    lab.require_own(cluster, NAMESPACE)
    shown.update("applying the extension", key=cluster)
    current = lab.linkerd_profile == "current"
    controllers = (EAST,) if cluster == WEST and current else ()
    if controllers:
        _refuse_a_legacy_controller(lab)
    lab.install(cluster, lab.linkerd(cluster).multicluster_install(controllers=controllers))
    wait_rollouts(lab, cluster, NAMESPACE, (GATEWAY,), shown)
    wait_for(
        partial(_address, lab, cluster),
        what=f"a public address of the gateway of {cluster}",
        timeout_s=ADDRESS_TIMEOUT_S,
        fix=f"kubectl --context {cluster} -n {NAMESPACE} describe svc {GATEWAY}",
        report=shown,
        key=cluster,
        told="a public address of the gateway",
    )


def _refuse_a_legacy_controller(lab: LabContext) -> None:
    """Two controllers of one Link fight over its lease, and its probe is doubled."""
    if lab.kubernetes(WEST).get("apps/v1", "Deployment", _LEGACY, NAMESPACE) is None:
        return
    raise StateError(
        "West is linked by `multicluster link` already, and a second controller must not be added",
        seen=f"Deployment {NAMESPACE}/{_LEGACY}",
        fix=f"linkerd --context {WEST} multicluster unlink --cluster-name {EAST} | kubectl "
        f"--context {WEST} delete -f -; or -p linkerd_profile=tutorial",
    )


def _address(lab: LabContext, cluster: str) -> tuple[bool, str]:
    found = gateway_addresses(lab, cluster)
    return bool(found), (", ".join(found) or "no address yet")


def link(lab: LabContext) -> Step:
    """Link west to east and wait until the probe answers."""
    with progress("Linking west → east") as shown:
        if find_link(lab, WEST) is None:
            shown.update("asking east for credentials and gateway")
            address = lab.cloud.api_address(EAST)
            wait_for(
                partial(_token, lab),
                what="the token of the account that west will use in east",
                timeout_s=TOKEN_TIMEOUT_S,
                fix=f"kubectl --context {EAST} -n {NAMESPACE} get secrets",
                report=shown,
            )
            text = lab.linkerd(EAST).link(
                EAST, profile=lab.linkerd_profile, api_server_address=address
            )
            lab.install(WEST, text)
        wait_rollouts(lab, WEST, NAMESPACE, (_controller(lab),), shown)
        wait_for(
            lambda: probe(lab),
            what="the gateway probe of west",
            timeout_s=PROBE_TIMEOUT_S,
            fix=f"linkerd --context {WEST} multicluster check",
            report=shown,
        )
    verb = "link" if lab.linkerd_profile == "tutorial" else "link-gen"
    return Step(
        "West is linked to east, and the probe answers.",
        by_hand=(
            (
                f"linkerd --context {EAST} multicluster {verb} --cluster-name {EAST}"
                f" | kubectl --context {WEST} apply -f -"
            ),
            f"linkerd --context {WEST} multicluster gateways",
        ),
        table=Table.of(gateway_rows(lab)),
        notes=(
            "Direction: west → east. East knows nothing of west and cannot call it.",
            "The first probe also pays for the handshakes; later ones take one round trip.",
        ),
    )


STEPS = (install, link)


def undo(lab: LabContext) -> None:
    """Unlink west from east, and uninstall the extension from both clusters."""
    with progress("Uninstalling multicluster") as shown:
        for cluster in CLUSTERS:
            lab.require_own(cluster, NAMESPACE)
        if lab.kubernetes(WEST).get(CRD_API, CRD, LINK_CRD) is not None:
            for item in lab.kubernetes(WEST).list(link_api(lab, WEST), "Link", NAMESPACE):
                shown.update("unlinking", key=WEST)
                lab.kubernetes(WEST).delete_all(lab.linkerd(WEST).unlink(item["metadata"]["name"]))

        def work(cluster: str) -> None:
            kubernetes = lab.kubernetes(cluster)
            if kubernetes.get("v1", "Namespace", NAMESPACE) is not None:
                kubernetes.delete_all(lab.linkerd(cluster).multicluster_uninstall())
                remove_namespace(kubernetes, NAMESPACE, report=shown)

        in_both(work)


def _token(lab: LabContext) -> tuple[bool, str]:
    """Whether the controller in east has filled in the account's token; it comes a little late."""
    for secret in lab.kubernetes(EAST).list("v1", "Secret", NAMESPACE):
        annotations = secret["metadata"].get("annotations") or {}
        if annotations.get("kubernetes.io/service-account.name") == ACCOUNT:
            filled = bool((secret.get("data") or {}).get("token"))
            return filled, "filled in" if filled else "its Secret is empty still"
    return False, f"no Secret of the account {ACCOUNT} yet"


def link_api(lab: LabContext, cluster: str) -> str:
    """The newest version of Link that a cluster serves: v1alpha1 is all that 2.13 has."""
    found = lab.kubernetes(cluster).get(CRD_API, CRD, LINK_CRD)
    served = [v["name"] for v in (found or {}).get("spec", {}).get("versions", []) if v["served"]]
    return f"multicluster.linkerd.io/{max(served, default='v1alpha3')}"


def find_link(lab: LabContext, cluster: str) -> dict[str, Any] | None:
    """The Link to east in a cluster, whichever version of it is served; None without one."""
    return lab.kubernetes(cluster).get(link_api(lab, cluster), "Link", EAST, NAMESPACE)


def probe(lab: LabContext) -> tuple[bool, str]:
    """Whether west's probe calls east's gateway alive, and what was seen."""
    rows = lab.linkerd(WEST).gateways()
    alive = any(row.alive and row.cluster_name == EAST for row in rows)
    return alive, "alive" if alive else f"{len(rows)} gateways, none alive"


def gateway_rows(lab: LabContext) -> list[dict[str, object]]:
    """What `multicluster gateways` says in west."""
    return [
        {
            "gateway of": row.cluster_name,
            "alive": row.alive,
            "services": row.services,
            "probe latency (ms)": row.latency_ms,
        }
        for row in lab.linkerd(WEST).gateways()
    ]


def the_link(lab: LabContext) -> dict[str, Any]:
    """The Link object in west.

    Raises:
        StateError: there is none.
    """
    found = find_link(lab, WEST)
    if found is None:
        raise StateError("West has no Link to east", fix="labkit solve 04")
    return dict(found)


_NO_ADDRESS = Reason(
    "the gateway of east has no address yet",
    fix=f"kubectl --context east -n {NAMESPACE} describe svc {GATEWAY}",
    coming=True,
)
_OTHER_ADDRESS = Reason("the gateway of east is at {found}; the Link in west says {linked}")
_DEAD = Reason("west probes east's gateway at {address} in vain", coming=True)
_UNKNOWN = Reason("west knows no gateway of east", coming=True)
_BACKWARDS = Reason("east has Links of its own: {names}; the lab's only one goes west → east")
_NO_EXTENSION = Reason("the multicluster extension is missing in east", fix="labkit solve 04")


def _gateway_address(lab: LabContext) -> Finding:
    found = ", ".join(gateway_addresses(lab, EAST))
    linked = ", ".join(the_link(lab)["spec"]["gatewayAddress"].split(","))
    if not found:
        return _NO_ADDRESS.seen()
    if linked != found:
        return _OTHER_ADDRESS.seen(found=found, linked=linked)
    return passed(f"gateway of east at {found}, and so says the Link")


def _probe_alive(lab: LabContext) -> Finding:
    for row in lab.linkerd(WEST).gateways():
        if row.cluster_name == EAST:
            if not row.alive:
                return _DEAD.seen(address=the_link(lab)["spec"]["gatewayAddress"])
            return passed(f"alive, latency {row.latency_ms} ms")
    return _UNKNOWN.seen()


def _direction(lab: LabContext) -> Finding:
    the_link(lab)
    if lab.kubernetes(EAST).get(CRD_API, CRD, LINK_CRD) is None:
        return _NO_EXTENSION.seen()
    back = lab.kubernetes(EAST).list(link_api(lab, EAST), "Link", NAMESPACE)
    if back:
        return _BACKWARDS.seen(names=", ".join(item["metadata"]["name"] for item in back))
    return passed("one Link west → east, none from east")


def _multicluster_check(lab: LabContext) -> Finding:
    the_link(lab)  # without any Link the command would be content
    return judged(lab.linkerd(WEST).check(extension="multicluster", wait_s=0))


CHECKS = (
    *(
        deployments_check(
            f"04.gateway-{name}",
            name,
            NAMESPACE,
            (GATEWAY,),
            title=f"the gateway of {name} is ready",
            proves="it is the door between the clusters, and each has one",
        )
        for name in CLUSTERS
    ),
    Check(
        id="04.address",
        title="the gateway of east has an address, and the Link names it",
        clusters=CLUSTERS,
        proves="west knows where to send",
        fix="linkerd --context east multicluster link-gen --cluster-name east"
        " | kubectl --context west apply -f -",
        look=_gateway_address,
        reasons=(_NO_ADDRESS, _OTHER_ADDRESS),
    ),
    Check(
        id="04.probe",
        title="west's probe of east's gateway is alive",
        clusters=CLUSTERS,
        proves="packets and identities get through, with the certificates of both sides",
        fix="linkerd --context west multicluster check",
        look=_probe_alive,
        reasons=(_DEAD, _UNKNOWN),
    ),
    Check(
        id="04.direction",
        title="the link goes from west to east only",
        clusters=CLUSTERS,
        proves="services of east can be mirrored into west, and not the other way round",
        fix=f"kubectl --context east -n {NAMESPACE} delete links --all",
        look=_direction,
        reasons=(_BACKWARDS, _NO_EXTENSION),
    ),
    Check(
        id="04.multicluster-check",
        title="`linkerd multicluster check` finds no error in west",
        clusters=(WEST,),
        proves="credentials, shared trust anchors and controllers are sound",
        fix="linkerd --context west multicluster check",
        look=_multicluster_check,
        reasons=(ERRORS,),
        limit_s=COMMAND_LIMIT_S,
    ),
)
