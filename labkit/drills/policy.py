"""Drill: a policy of east lets in the robot by name, and its requests come by the gateway."""

from typing import Any

from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.traffic import BOT, total
from labkit.checks import Finding, failed
from labkit.context import EAST, WEST, LabContext
from labkit.drills.drill import Before, Drill, Symptom
from labkit.drills.votes import proof

GROUP = "policy.linkerd.io"
SERVER = (f"{GROUP}/v1beta1", "Server", "web-http", NAMESPACE)
"""The oldest version that every Linkerd since 2.12 serves."""
AUTHENTICATION = (f"{GROUP}/v1alpha1", "MeshTLSAuthentication", "voters", NAMESPACE)
POLICY = (f"{GROUP}/v1alpha1", "AuthorizationPolicy", "voters", NAMESPACE)
_SUFFIX = "serviceaccount.identity.linkerd.cluster.local"
ROBOT = f"default.{NAMESPACE}.{_SUFFIX}"
GATEWAY = f"linkerd-gateway.linkerd-multicluster.{_SUFFIX}"


def _made(identity: tuple[str, str, str, str], spec: dict[str, Any]) -> dict[str, Any]:
    version, kind, name, namespace = identity
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def objects() -> list[dict[str, Any]]:
    """What somebody who means well would write: only the robot may talk to web."""
    server = {
        "podSelector": {"matchLabels": {"app": "web-svc"}},
        "port": "http",
        "proxyProtocol": "HTTP/1",
    }
    target = {"group": GROUP, "kind": "Server", "name": SERVER[2]}
    wanted = {"group": GROUP, "kind": "MeshTLSAuthentication", "name": AUTHENTICATION[2]}
    return [
        _made(AUTHENTICATION, {"identities": [ROBOT]}),
        _made(POLICY, {"targetRef": target, "requiredAuthenticationRefs": [wanted]}),
        _made(SERVER, server),
    ]


def look(lab: LabContext) -> dict[str, Any]:
    """How many requests the robot's proxy has seen refused."""
    return {"refused": _refused(lab)}


def _refused(lab: LabContext) -> float:
    text = lab.linkerd(WEST).proxy_metrics(f"deploy/{BOT}", NAMESPACE)
    return total(text, "response_total", {"direction": "outbound", "status_code": "403"})


def inject(lab: LabContext, before: Before) -> None:
    """Apply the policy."""
    del before
    lab.install(EAST, objects())


def refused(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether the robot's requests are answered by 403."""
    count = _refused(lab) - float(before["refused"])
    return count > 0, f"{count:.0f} answers 403 to the robot"


def tapped(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether tap shows a 403 at web, and to whom."""
    del before
    found = lab.linkerd(EAST).tap("deploy/web", NAMESPACE, duration_s=3.0)
    for request in found:
        if request.direction == "inbound" and request.status == 403:
            return True, f"403 to {request.client_id}"
    return False, f"{len(found)} requests, none answered by 403"


def verify(lab: LabContext, before: Before) -> Finding:
    """Nothing is refused any more, and votes arrive."""
    del before
    first = _refused(lab)
    finding = proof(lab, "07.arrives")
    count = _refused(lab) - first
    return failed(f"{count:.0f} votes were refused by 403 meanwhile") if count > 0 else finding


def heal(lab: LabContext, before: Before) -> None:
    """Remove the policy, the Server first: without it nobody is refused."""
    del before
    for identity in (SERVER, POLICY, AUTHENTICATION):
        lab.kubernetes(EAST).delete(*identity)


DRILL = Drill(
    name="policy-deny",
    title="a policy in east let in the robot, but requests come by the gateway",
    task="Every vote is answered by 403. Gateways are alive, certificates are good, every pod is "
    "Ready. Find out who refuses whom, and let the votes in again.",
    breaks=f"a Server for web in {EAST}, whose AuthorizationPolicy lets in {ROBOT} only; web sees "
    "the identity of the gateway.",
    symptoms=(
        Symptom(
            where=f"linkerd --context {WEST} diagnostics proxy-metrics -n {NAMESPACE} "
            f"deploy/{BOT} | grep ^response_total",
            what='status_code="403"',
            look=refused,
        ),
        Symptom(
            where=f"linkerd --context {EAST} viz tap -n {NAMESPACE} deploy/web",
            what=":status=403, and the identity of who was refused",
            look=tapped,
        ),
    ),
    hints=(
        (
            "A 403 was said by somebody. Tap both ends of the way: the gateway passes the request "
            f"on, and then? linkerd --context {EAST} viz tap -n {NAMESPACE} deploy/web."
        ),
        (
            f"kubectl --context {EAST} -n {NAMESPACE} get servers,authorizationpolicies,"
            "meshtlsauthentications -o yaml: whom do they let in, and with whose identity does a "
            "request come that has passed the gateway (client_id in tap)?"
        ),
        (
            "Let the gateway in: kubectl "
            f"--context {EAST} -n {NAMESPACE} patch meshtlsauthentications {AUTHENTICATION[2]} "
            f'--type merge -p \'{{"spec":{{"identities":["{GATEWAY}"]}}}}\''
        ),
    ),
    look=look,
    inject=inject,
    verify=verify,
    heal=heal,
)
