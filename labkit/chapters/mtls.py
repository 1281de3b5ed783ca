"""Chapter 08: every request to the gateway is mutual TLS; two intruders are refused."""

from base64 import b64encode
from datetime import timedelta
from typing import Any

from labkit import certs
from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.multicluster_link import gateway_addresses, gateway_ips, probe, the_link
from labkit.chapters.traffic import BOT
from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.rollouts import remove_namespace, wait_for, wait_for_account, wait_gone
from labkit.clients.tap import TapRequest
from labkit.context import EAST, WEST, LabContext
from labkit.display import Step, Table
from labkit.errors import StateError
from labkit.progress import progress

GATEWAY_PORT = 4143
TAP_REQUESTS = 8
TAP_TIMEOUT_S = 40.0
SHOWN = 8
INTRUDERS = "labkit-intruders"
CURL_IMAGE = "curlimages/curl:8.11.1"
INTRUDER_TIMEOUT_S = 120.0
CURL_TIMEOUT_S = 10
REFUSED = {
    35: "TLS handshake failed",
    52: "closed without an answer",
    55: "closed while sending",
    56: "closed while receiving",
}
"""curl's exit codes that mean: connected, and refused by the other side."""


def tap(lab: LabContext) -> Step:
    """Tap the robot until a few requests to the gateway were seen."""
    with progress(f"Tapping {BOT}") as shown:
        shown.update(f"waiting for {TAP_REQUESTS} requests")
        requests = lab.linkerd(WEST).tap(
            f"deploy/{BOT}", NAMESPACE, n=TAP_REQUESTS, duration_s=TAP_TIMEOUT_S
        )
    facts = tls_facts(lab, requests)
    lab.record("mtls", {**(lab.recorded("mtls") or {}), "tap": facts})
    lab.folder.remember(tap=facts)
    return Step(
        f"Tapped {facts['n']} requests of {BOT}; {facts['to_gateway']} went to east's gateway.",
        by_hand=(
            (
                f"linkerd --context=west -n {NAMESPACE} viz tap deploy/{BOT} "
                f"| grep {', '.join(gateway_addresses(lab, EAST))}"
            ),
        ),
        table=Table.of([_row(request) for request in requests[:SHOWN]]),
        notes=(
            (
                f"tls=true on {facts['tls_true']} of {facts['to_gateway']}; server identities: "
                f"{', '.join(facts['server_ids']) or 'none'}."
            ),
        ),
        facts=facts,
    )


def _row(request: TapRequest) -> dict[str, object]:
    latency = request.latency_us
    return {
        "to": request.destination,
        "tls": request.tls,
        "request": f"{request.method} {request.path}"[:46],
        "status": request.status,
        "latency (ms)": "" if latency is None else f"{latency / 1000:.1f}",
    }


def tls_facts(lab: LabContext, requests: tuple[TapRequest, ...]) -> dict[str, Any]:
    """Counts and identities of tapped requests that went to the gateway."""
    addresses = {f"{ip}:{GATEWAY_PORT}" for ip in gateway_ips(lab, EAST)}
    to_gateway = [request for request in requests if request.destination in addresses]
    return {
        "n": len(requests),
        "to_gateway": len(to_gateway),
        "tls_true": sum(request.is_tls for request in to_gateway),
        "server_ids": sorted({r.server_id for r in to_gateway if r.server_id}),
    }


def try_intruders(lab: LabContext) -> Step:
    """Send two clients without a right to the gateway, and show what they get."""
    kubernetes = lab.kubernetes(WEST)
    with progress("Sending two intruders to the gateway") as shown:
        _prepare_namespace(lab)
        for pod in _pods(lab):
            name = pod["metadata"]["name"]
            kubernetes.delete("v1", "Pod", name, INTRUDERS)
            wait_gone(kubernetes, "v1", "Pod", name, INTRUDERS, timeout_s=INTRUDER_TIMEOUT_S)
        lab.install(WEST, [_foreign_secret(lab), *_pods(lab)])
        results = [_result(lab, pod["metadata"]["name"], shown) for pod in _pods(lab)]
        alive, _ = probe(lab)
        results = [{**result, "gateway alive": alive} for result in results]
        for pod in _pods(lab):
            kubernetes.delete("v1", "Pod", pod["metadata"]["name"], INTRUDERS)
    lab.record("mtls", {**(lab.recorded("mtls") or {}), "intruders": results})
    lab.folder.remember(intruders=results)
    address = _gateway(lab)
    return Step(
        "Both intruders could connect, and neither got an answer.",
        by_hand=(
            (
                f"kubectl --context west -n {INTRUDERS} run unmeshed --restart=Never --rm -it "
                f"--image {CURL_IMAGE} -- curl -sS -m {CURL_TIMEOUT_S} http://{address}/"
            ),
        ),
        table=Table.of(
            [{key: row[key] for key in ("client", "exit code", "what it saw")} for row in results]
        ),
        facts={"intruders": results},
    )


def _gateway(lab: LabContext) -> str:
    found = gateway_addresses(lab, EAST)
    if not found:
        raise StateError("East's gateway has no address", fix="run notebook 04_multicluster_link")
    return f"{found[0]}:{GATEWAY_PORT}"


def _prepare_namespace(lab: LabContext) -> None:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": INTRUDERS, "annotations": {"linkerd.io/inject": "disabled"}},
    }
    lab.require_own(WEST, INTRUDERS)
    lab.install(WEST, [namespace])
    wait_for_account(lab.kubernetes(WEST), INTRUDERS)


def _pods(lab: LabContext) -> list[dict[str, Any]]:
    address = _gateway(lab)
    # -p: where an HTTP proxy is the way out of a pod, ask it for a plain TCP connection
    common = ["curl", "-sS", "-p", "-m", str(CURL_TIMEOUT_S), "-o", "/dev/null"]
    authority = "web-svc.emojivoto.svc.cluster.local"
    host = ["-H", f"Host: {authority}"]
    plain = [*common, *host, f"http://{address}/api/list"]
    foreign = [*common, *host, "-k", "--cert", "/certs/tls.crt", "--key", "/certs/tls.key"]
    foreign.append(f"https://{address}/api/list")
    return [_pod("unmeshed", plain, ()), _pod("foreign-root", foreign, ("foreign-certificate",))]


def _pod(name: str, command: list[str], secrets: tuple[str, ...]) -> dict[str, Any]:
    mounts = [{"name": secret, "mountPath": "/certs", "readOnly": True} for secret in secrets]
    container = {
        "name": "curl",
        "image": CURL_IMAGE,
        "command": command,
        "volumeMounts": mounts,
    }
    spec = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": secret, "secret": {"secretName": secret}} for secret in secrets],
    }
    metadata = {"name": name, "namespace": INTRUDERS, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _foreign_secret(lab: LabContext) -> dict[str, Any]:
    """A certificate with the robot's own name in it, from a root that nobody trusts."""
    del lab
    root = certs.create_root()
    name = f"default.{NAMESPACE}.serviceaccount.identity.linkerd.cluster.local"
    leaf = certs.create_leaf(
        certs.create_issuer(root), dns_names=[name], valid_for=timedelta(hours=1)
    )
    data = {
        "tls.crt": b64encode(leaf.certificate).decode(),
        "tls.key": b64encode(leaf.key).decode(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "foreign-certificate", "namespace": INTRUDERS},
        "data": data,
    }


def _result(lab: LabContext, name: str, shown: Any) -> dict[str, Any]:
    kubernetes = lab.kubernetes(WEST)

    def look() -> tuple[bool, str]:
        phase = _phase(lab, name)
        return phase in ("Succeeded", "Failed"), f"{name} is {phase}"

    wait_for(
        look,
        what=f"the intruder {name} to end",
        timeout_s=INTRUDER_TIMEOUT_S,
        fix=f"kubectl --context west -n {INTRUDERS} describe pod {name}",
        report=shown,
    )
    pod = kubernetes.require("v1", "Pod", name, INTRUDERS)
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    text = kubernetes.logs(name, INTRUDERS).strip()
    code = int(ended["exitCode"])
    shown.update(f"exit code {code}", key=name)
    return {
        "client": name,
        "exit code": code,
        "refused": code in REFUSED,
        "what it saw": text.splitlines()[-1] if text else REFUSED.get(code, "nothing"),
    }


STEPS = (tap, try_intruders)


def done(lab: LabContext) -> bool:
    """Whether requests were tapped, and the intruders sent."""
    kept = lab.folder.recall()
    return "tap" in kept and "intruders" in kept


def undo(lab: LabContext) -> None:
    """Remove the intruders, and forget what was seen."""
    lab.require_own(WEST, INTRUDERS)
    with progress("Removing the intruders") as shown:
        remove_namespace(lab.kubernetes(WEST), INTRUDERS, report=shown)
    lab.folder.forget("tap", "intruders")


def _phase(lab: LabContext, name: str) -> str:
    pod = lab.kubernetes(WEST).get("v1", "Pod", name, INTRUDERS)
    return str((pod or {}).get("status", {}).get("phase", "missing"))


_NOT_TAPPED = Reason("nothing was tapped yet")
_NONE_TO_GATEWAY = Reason(
    f"{{n}} requests of {BOT} were tapped, and none went to east's gateway", fix="labkit solve 07"
)
_PLAIN = Reason(
    "{tls_true} of {to_gateway} tapped requests to the gateway have tls=true",
    fix="linkerd --context west check --proxy",
)
_NO_IDENTITY = Reason("no tapped request names the server's identity")
_OTHER_IDENTITY = Reason(
    "the server proved to be {seen}; the Link in west says {wanted}",
    fix="linkerd --context east multicluster link-gen --cluster-name east"
    " | kubectl --context west apply -f -",
)
_NOT_SENT = Reason("no intruder was sent yet")
_NOT_REFUSED = Reason("{clients}; each must reach the gateway and be refused by it")
_NOBODY_ANSWERED = Reason(
    "{clients}; but west's probe called east's gateway dead then, so this proves nothing",
    fix="labkit check 04",
)


def _tls(lab: LabContext) -> Finding:
    facts = lab.folder.recall().get("tap")
    if not facts:
        return _NOT_TAPPED.seen()
    if not facts["to_gateway"]:
        return _NONE_TO_GATEWAY.seen(**facts)
    if facts["tls_true"] != facts["to_gateway"]:
        return _PLAIN.seen(**facts)
    return passed(f"{facts['tls_true']} of {facts['to_gateway']} tapped requests have tls=true")


def _identity(lab: LabContext) -> Finding:
    facts = lab.folder.recall().get("tap") or {}
    wanted = the_link(lab)["spec"]["gatewayIdentity"]
    seen = facts.get("server_ids") or []
    if not seen:
        return _NO_IDENTITY.seen()
    if seen != [wanted]:
        return _OTHER_IDENTITY.seen(seen=", ".join(seen), wanted=wanted)
    return passed(f"{wanted}, as the Link says")


def _refused(lab: LabContext) -> Finding:
    results = lab.folder.recall().get("intruders") or []
    if not results:
        return _NOT_SENT.seen()
    text = "; ".join(f"{item['client']}: {item['what it saw']}" for item in results)
    if not all(item["refused"] for item in results):
        return _NOT_REFUSED.seen(clients=text)
    if not all(item.get("gateway alive") for item in results):
        return _NOBODY_ANSWERED.seen(clients=text)
    return passed(text)


CHECKS = (
    Check(
        id="08.tls",
        title="every tapped request to the gateway has tls=true",
        clusters=(WEST, EAST),
        proves="nobody on the way can read or change a vote",
        fix="labkit solve 08  # taps again, as the cell with lab.tap()",
        look=_tls,
        reasons=(_NOT_TAPPED, _NONE_TO_GATEWAY, _PLAIN),
    ),
    Check(
        id="08.identity",
        title="the server proved the gateway's identity",
        clusters=(WEST, EAST),
        proves="the robot talks to east's gateway and to nobody else",
        fix="labkit solve 08  # taps again, as the cell with lab.tap()",
        look=_identity,
        reasons=(_NO_IDENTITY, _OTHER_IDENTITY),
    ),
    Check(
        id="08.intruders",
        title="a client without a certificate and one of another root are refused",
        clusters=(EAST,),
        proves="the gateway's public address is no open door",
        fix="labkit solve 08  # sends them again, as the cell with lab.try_intruders()",
        look=_refused,
        reasons=(_NOT_SENT, _NOT_REFUSED, _NOBODY_ANSWERED),
    ),
)
