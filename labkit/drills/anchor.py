"""Drill: east was installed with a trust anchor of its own."""

from typing import Any

import yaml

from labkit import certs
from labkit.chapters import trust_anchor
from labkit.chapters.emojivoto import KEPT
from labkit.chapters.emojivoto import NAMESPACE as EMOJIVOTO
from labkit.chapters.linkerd import CONTROL_PLANE
from labkit.chapters.linkerd import NAMESPACE as LINKERD
from labkit.chapters.multicluster_link import GATEWAY
from labkit.chapters.multicluster_link import NAMESPACE as MULTICLUSTER
from labkit.checks import Finding
from labkit.context import EAST, WEST, LabContext
from labkit.drills.drill import Before, Drill, Symptom
from labkit.drills.identity import (
    CONFIG,
    ROOTS,
    own_issuer,
    put_issuer,
    restart,
    wait_restarted,
)
from labkit.drills.votes import DEAD_GATEWAY, proof

CHECK_WAIT_S = 1.0
_PROXIES = ((MULTICLUSTER, (GATEWAY,)), (EMOJIVOTO, KEPT[EAST]))


def look(lab: LabContext) -> dict[str, Any]:
    """What east's install says of its anchor; certificates are public."""
    return {"values": lab.kubernetes(EAST).require(*CONFIG)["data"]["values"]}


def inject(lab: LabContext, before: Before) -> None:
    """Give east a root and an issuer that nobody else knows, as another install would have."""
    root = certs.create_root()
    values = yaml.safe_load(before["values"])
    values["identityTrustAnchorsPEM"] = root.certificate.decode()
    _use(
        lab,
        values=yaml.safe_dump(values),
        root=root.certificate.decode(),
        issuer=certs.create_issuer(root),
    )


def _use(lab: LabContext, *, values: str, root: str, issuer: certs.Credential) -> None:
    east = lab.kubernetes(EAST)
    east.patch(*ROOTS, body={"data": {"ca-bundle.crt": root}})
    east.patch(*CONFIG, body={"data": {"values": values}})
    put_issuer(lab, EAST, issuer)
    restart(lab, EAST, LINKERD, CONTROL_PLANE)
    wait_restarted(lab, EAST, LINKERD, CONTROL_PLANE)
    for namespace, names in _PROXIES:
        restart(lab, EAST, namespace, names)
    for namespace, names in _PROXIES:
        wait_restarted(lab, EAST, namespace, names)


def check(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether `linkerd multicluster check` of west finds two anchors."""
    del before
    report = lab.linkerd(WEST).check(extension="multicluster", wait_s=CHECK_WAIT_S)
    for error in report.errors:
        if "anchor" in error.description:
            return True, f"{error.description}: {error.error}"
    return False, "no error about trust anchors"


def verify(lab: LabContext, before: Before) -> Finding:
    """One anchor in both clusters, a living probe, and votes that arrive."""
    del before
    return proof(lab, "03.same-anchor", "04.probe", "05.proxies-east")


def heal(lab: LabContext, before: Before) -> None:
    """Give east the lab's own root and issuer again, and restart whoever has others."""
    root = trust_anchor.read(lab, "root").certificate.decode()
    _use(lab, values=before["values"], root=root, issuer=own_issuer(lab))


_COPY = (
    "for item in cm/linkerd-config cm/linkerd-identity-trust-roots secret/linkerd-identity-issuer; "
    f'do kubectl --context {EAST} -n {LINKERD} patch $item --type merge -p "{{\\"data\\": '
    f"$(kubectl --context {WEST} -n {LINKERD} get $item -o jsonpath='{{.data}}')}}\"; done; "
    f"for ns in {LINKERD} {MULTICLUSTER} {EMOJIVOTO}; do kubectl --context {EAST} -n $ns rollout "
    f"restart deploy; kubectl --context {EAST} -n $ns rollout status deploy; done"
)

DRILL = Drill(
    name="wrong-trust-anchor",
    title="east had a trust anchor of its own",
    task="East's Linkerd was installed anew. In each cluster all is well, and between them not a "
    "byte passes. Find out why west does not trust east any more, and mend it.",
    breaks=f"root and issuer of {EAST}: ConfigMap linkerd-identity-trust-roots, Secret "
    "linkerd-identity-issuer and linkerd-config are those of another install; all proxies of "
    f"{EAST} have certificates of it.",
    symptoms=(
        DEAD_GATEWAY,
        Symptom(
            where=f"linkerd --context {WEST} multicluster check",
            what="× clusters share trust anchors",
            look=check,
        ),
    ),
    hints=(
        (
            "Inside east, requests have tls=true, and inside west too. What do two proxies need to "
            "have in common to shake hands (chapter 02)?"
        ),
        (
            f"linkerd --context {WEST} multicluster check names it; kubectl -n {LINKERD} get cm "
            "linkerd-identity-trust-roots -o yaml shows it in each cluster."
        ),
        f"East needs west's root and issuer, and its proxies new certificates: {_COPY}",
    ),
    look=look,
    inject=inject,
    verify=verify,
    heal=heal,
)
