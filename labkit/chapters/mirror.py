"""Chapter 06: a service of east, exported by a label, appears in west."""

from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.multicluster_link import gateway_addresses, gateway_ips
from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.rollouts import wait_for, wait_gone
from labkit.context import EAST, WEST, LabContext
from labkit.display import Step, Table
from labkit.progress import progress

SERVICE = "web-svc"
MIRROR = f"{SERVICE}-{EAST}"
EXPORTED = "mirror.linkerd.io/exported"
MIRROR_TIMEOUT_S = 120.0


def export(lab: LabContext) -> Step:
    """Label the service in east and wait for its mirror in west."""
    with progress(f"Exporting {SERVICE}") as shown:
        lab.kubernetes(EAST).patch(
            "v1", "Service", SERVICE, NAMESPACE, body={"metadata": {"labels": {EXPORTED: "true"}}}
        )
        shown.update("labelled", key=EAST)
        wait_for(
            lambda: _mirrored(lab),
            what=f"{MIRROR} to appear in west with east's gateway as its endpoint",
            timeout_s=MIRROR_TIMEOUT_S,
            fix="linkerd --context west multicluster check",
            report=shown,
        )
    facts = {"endpoints": mirror_endpoints(lab), "gateway": gateway_addresses(lab, EAST)}
    lab.record("mirror", facts)
    rows = [
        {
            "where": "west",
            "object": f"endpoints {MIRROR}",
            "address": ", ".join(facts["endpoints"]),
        },
        {
            "where": "east",
            "object": "service linkerd-gateway",
            "address": ", ".join(facts["gateway"]),
        },
    ]
    return Step(
        f"{SERVICE} of east is {MIRROR} in west.",
        by_hand=(
            f"kubectl --context=east label svc -n {NAMESPACE} {SERVICE} {EXPORTED}=true",
            (
                f"kubectl --context=west -n {NAMESPACE} get endpoints {MIRROR} "
                "-o 'custom-columns=ENDPOINT_IP:.subsets[*].addresses[*].ip'"
            ),
            (
                "kubectl --context=east -n linkerd-multicluster get svc linkerd-gateway "
                "-o 'custom-columns=GATEWAY_IP:.status.loadBalancer.ingress[*].ip'"
            ),
        ),
        table=Table.of(rows),
        facts=facts,
    )


STEPS = (export,)


def undo(lab: LabContext) -> None:
    """Take the label away in east and wait until the mirror is gone from west."""
    with progress(f"Taking {SERVICE} back") as shown:
        if lab.kubernetes(EAST).get("v1", "Service", SERVICE, NAMESPACE) is not None:
            labels = {"metadata": {"labels": {EXPORTED: None}}}
            lab.kubernetes(EAST).patch("v1", "Service", SERVICE, NAMESPACE, body=labels)
        shown.update("label removed", key=EAST)
        wait_gone(
            lab.kubernetes(WEST), "v1", "Service", MIRROR, NAMESPACE, timeout_s=MIRROR_TIMEOUT_S
        )
        shown.update(f"{MIRROR} is gone", key=WEST)


def mirror_endpoints(lab: LabContext) -> list[str]:
    """Ready addresses behind the mirrored service."""
    found = lab.kubernetes(WEST).get("v1", "Endpoints", MIRROR, NAMESPACE)
    subsets = (found or {}).get("subsets") or []
    return [item["ip"] for subset in subsets for item in subset.get("addresses") or []]


def _mirrored(lab: LabContext) -> tuple[bool, str]:
    if lab.kubernetes(WEST).get("v1", "Service", MIRROR, NAMESPACE) is None:
        return False, "no such service in west yet"
    found = mirror_endpoints(lab)
    return bool(found), f"endpoints {', '.join(found) or 'none'}"


_NOT_EXPORTED = Reason(
    f"west has no service {MIRROR}, and {SERVICE} of east has no label {EXPORTED}=true",
    fix=f"kubectl --context east -n {NAMESPACE} label svc {SERVICE} {EXPORTED}=true --overwrite",
)
_NOT_MIRRORED = Reason(
    f"{SERVICE} of east is exported, and west has no service {MIRROR} yet", coming=True
)
_NOT_A_MIRROR = Reason(
    f"{MIRROR} in west is no mirror of a service of east: it lacks the label of one",
    fix=f"kubectl --context west -n {NAMESPACE} delete svc {MIRROR}  # it is mirrored anew",
)
_NO_ENDPOINTS = Reason(f"{MIRROR} in west has no endpoints", coming=True)
_OTHER_ENDPOINTS = Reason(
    f"{MIRROR} in west leads to {{endpoints}}; the gateway of east is at {{gateway}}",
    fix="labkit check 04  # is it what the Link says, or the mirror controller?",
    coming=True,
)


def _service(lab: LabContext) -> Finding:
    found = lab.kubernetes(WEST).get("v1", "Service", MIRROR, NAMESPACE)
    if found is None:
        return (_NOT_MIRRORED if _is_exported(lab) else _NOT_EXPORTED).seen()
    labels = found["metadata"].get("labels") or {}
    if labels.get("mirror.linkerd.io/cluster-name") != EAST:
        return _NOT_A_MIRROR.seen()
    return passed(f"{MIRROR} has cluster IP {found['spec']['clusterIP']}")


def _is_exported(lab: LabContext) -> bool:
    service = lab.kubernetes(EAST).get("v1", "Service", SERVICE, NAMESPACE)
    labels = ((service or {}).get("metadata") or {}).get("labels") or {}
    return bool(labels.get(EXPORTED) == "true")


def _endpoints(lab: LabContext) -> Finding:
    endpoints, gateway = mirror_endpoints(lab), gateway_ips(lab, EAST)
    if not endpoints:
        return _NO_ENDPOINTS.seen()
    seen = {"endpoints": ", ".join(endpoints), "gateway": ", ".join(gateway) or "no address"}
    if sorted(endpoints) != sorted(gateway):
        return _OTHER_ENDPOINTS.seen(**seen)
    return passed(f"{seen['endpoints']}, the address of east's gateway")


CHECKS = (
    Check(
        id="06.service",
        title=f"{MIRROR} exists in west",
        clusters=(WEST,),
        proves="west's programs can call east by an ordinary service name",
        fix="linkerd --context west multicluster check",
        look=_service,
        reasons=(_NOT_EXPORTED, _NOT_MIRRORED, _NOT_A_MIRROR),
    ),
    Check(
        id="06.endpoints",
        title="its endpoints are the address of east's gateway",
        clusters=(WEST, EAST),
        proves="requests leave for the other region, through one door",
        fix="linkerd --context west multicluster check",
        look=_endpoints,
        reasons=(_NO_ENDPOINTS, _OTHER_ENDPOINTS),
    ),
)
