"""Drill: the issuer of west has expired, and no new proxy gets a certificate."""

from datetime import timedelta
from typing import Any

from labkit import certs
from labkit.chapters import trust_anchor
from labkit.chapters.emojivoto import NAMESPACE, PROXY, has_proxy
from labkit.chapters.linkerd import NAMESPACE as LINKERD
from labkit.chapters.traffic import BOT
from labkit.checks import Finding, failed
from labkit.clients.kubernetes import is_ready
from labkit.context import WEST, LabContext
from labkit.drills.drill import Before, Drill, Symptom
from labkit.drills.identity import (
    IDENTITY,
    own_issuer,
    put_issuer,
    restart,
    wait_restarted,
)
from labkit.drills.votes import proof

EXPIRED_SINCE = timedelta(minutes=2)
CHECK_WAIT_S = 1.0
"""`linkerd check` repeats what may still come up for so long."""


def look(lab: LabContext) -> dict[str, Any]:
    """The fingerprint of the lab's own issuer, to be seen in the record."""
    return {"issuer": own_issuer(lab).fingerprint}


def inject(lab: LabContext, before: Before) -> None:
    """Give west an issuer that the root signed and that has expired; start a new proxy."""
    del before
    root = trust_anchor.read(lab, "root")
    put_issuer(lab, WEST, certs.create_issuer(root, valid_for=-EXPIRED_SINCE))
    restart(lab, WEST, LINKERD, (IDENTITY,))
    restart(lab, WEST, NAMESPACE, (BOT,))


def stuck(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether a new pod of the robot has a proxy and does not become Ready."""
    del before
    for pod in lab.kubernetes(WEST).list("v1", "Pod", NAMESPACE):
        name = pod["metadata"]["name"]
        if has_proxy(pod) and not is_ready(pod) and not pod["metadata"].get("deletionTimestamp"):
            log = lab.kubernetes(WEST).logs(name, NAMESPACE, container=PROXY, tail=20)
            lines = [line for line in log.splitlines() if "identity" in line.lower()]
            if lines:
                return True, f"{name}: {lines[-1]}"
    return False, "every pod with a proxy is Ready"


def check(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether `linkerd check` finds the issuer out of its time."""
    del before
    for error in lab.linkerd(WEST).check(wait_s=CHECK_WAIT_S).errors:
        if "issuer" in error.description:
            return True, f"{error.description}: {error.error}"
    return False, "no error about the issuer"


def verify(lab: LabContext, before: Before) -> Finding:
    """The issuer is good, every proxy of the robot has its certificate, and votes arrive."""
    seen, what = check(lab, before)
    if seen:
        return failed(what)
    pods = lab.kubernetes(WEST).list("v1", "Pod", NAMESPACE)
    waiting = [pod["metadata"]["name"] for pod in pods if not is_ready(pod)]
    return failed(f"not Ready: {', '.join(waiting)}") if waiting else proof(lab, "05.proxies-west")


def heal(lab: LabContext, before: Before) -> None:
    """Give west the lab's own issuer again, and restart what waits for a certificate."""
    del before
    put_issuer(lab, WEST, own_issuer(lab))
    restart(lab, WEST, LINKERD, (IDENTITY,))
    wait_restarted(lab, WEST, LINKERD, (IDENTITY,))
    restart(lab, WEST, NAMESPACE, (BOT,))
    wait_restarted(lab, WEST, NAMESPACE, (BOT,))


DRILL = Drill(
    name="expired-issuer",
    title="west's issuer had expired",
    task="The robot was rolled out anew, and its new pod does not become Ready. The old one still "
    "votes. Find out what the new one waits for, before the old one goes.",
    breaks=f"Secret {LINKERD}/linkerd-identity-issuer of {WEST}: an issuer that the lab's root "
    f"signed and that expired {EXPIRED_SINCE.seconds // 60} minutes before.",
    symptoms=(
        Symptom(
            where=f"kubectl --context {WEST} -n {NAMESPACE} get pods; kubectl --context {WEST} -n "
            f"{NAMESPACE} logs POD -c {PROXY}",
            what="a new pod is 1/2 and gets no identity",
            look=stuck,
        ),
        Symptom(
            where=f"linkerd --context {WEST} check",
            what="× issuer cert is within its validity period",
            look=check,
        ),
    ),
    hints=(
        (
            "A pod is Ready when its proxy is, and a proxy is when it has a certificate. What does "
            f"the new one say? kubectl --context {WEST} -n {NAMESPACE} logs POD -c {PROXY}."
        ),
        (
            "Certificates come from linkerd-identity, which signs with the issuer. linkerd "
            f"--context {WEST} check looks at root and issuer: which line is no √?"
        ),
        (
            f'Store the issuer of chapter 02 again: cd "$(dirname "$KUBECONFIG")/certs"; kubectl '
            f"--context {WEST} -n {LINKERD} create secret generic linkerd-identity-issuer "
            "--from-file=crt.pem=issuer.crt --from-file=key.pem=issuer.key --dry-run=client -o "
            f"yaml | kubectl --context {WEST} apply --server-side --force-conflicts -f -; then "
            f"kubectl --context {WEST} -n {LINKERD} rollout restart deploy {IDENTITY}, and the "
            f"same for {NAMESPACE}/{BOT}."
        ),
    ),
    look=look,
    inject=inject,
    verify=verify,
    heal=heal,
)
