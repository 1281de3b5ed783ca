"""What both drills of certificates share: the identity of a cluster's Linkerd, and restarts.

The lab's own issuer is always in its folder (chapter 02), so nothing secret has to be remembered.
"""

import time
from base64 import b64encode

from labkit import certs
from labkit.chapters import trust_anchor
from labkit.chapters.linkerd import NAMESPACE
from labkit.clients.rollouts import wait_rollout
from labkit.context import LabContext

ISSUER = ("v1", "Secret", "linkerd-identity-issuer", NAMESPACE)
ROOTS = ("v1", "ConfigMap", "linkerd-identity-trust-roots", NAMESPACE)
CONFIG = ("v1", "ConfigMap", "linkerd-config", NAMESPACE)
IDENTITY = "linkerd-identity"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
ROLLOUT_TIMEOUT_S = 300.0


def own_issuer(lab: LabContext) -> certs.Credential:
    """The issuer of chapter 02."""
    return trust_anchor.read(lab, "issuer")


def put_issuer(lab: LabContext, cluster: str, issuer: certs.Credential) -> None:
    """Store an issuer where Linkerd's identity service reads it."""
    kubernetes = lab.kubernetes(cluster)
    known = kubernetes.require(*ISSUER).get("data") or {}
    names = ("tls.crt", "tls.key") if "tls.crt" in known else ("crt.pem", "key.pem")
    parts = (issuer.certificate, issuer.key)
    data = {name: b64encode(part).decode() for name, part in zip(names, parts, strict=True)}
    kubernetes.patch(*ISSUER, body={"data": data})


def restart(lab: LabContext, cluster: str, namespace: str, names: tuple[str, ...]) -> None:
    """As `kubectl rollout restart`; nothing is waited for."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    body = {"spec": {"template": {"metadata": {"annotations": {RESTARTED: stamp}}}}}
    for name in names:
        lab.kubernetes(cluster).patch("apps/v1", "Deployment", name, namespace, body=body)


def wait_restarted(lab: LabContext, cluster: str, namespace: str, names: tuple[str, ...]) -> None:
    """Wait until restarts are through."""
    wait_rollout(lab.kubernetes(cluster), namespace, names, timeout_s=ROLLOUT_TIMEOUT_S)
