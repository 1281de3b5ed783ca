"""The identity flags of `linkerd install`, and the certificates of webhooks.

The three identity files come together or not at all; what they hold is verified before anything
is rendered, because a control plane with a wrong issuer never becomes ready. Without them a root
of one year is made, good for one cluster alone. Deliberately absent: `--identity-external-ca`.
"""

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from labkit import certs
from labkit.errors import CertificateError, InputError, LabkitError

_YEAR = timedelta(days=365)
_FLAGS = {
    "identity_trust_anchors_file": "--identity-trust-anchors-file",
    "identity_issuer_certificate_file": "--identity-issuer-certificate-file",
    "identity_issuer_key_file": "--identity-issuer-key-file",
}


@dataclass(frozen=True)
class WebhookTls:
    """A webhook's serving certificate.

    Attributes:
        certificate: PEM of the certificate.
        key: PEM of its key.
        authority: PEM of what signed it, the webhook configuration's caBundle.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    authority: bytes


def identity_flags(parser: argparse.ArgumentParser) -> None:
    """The identity flags."""
    for flag in _FLAGS.values():
        parser.add_argument(flag, default="", metavar="FILE")
    parser.add_argument("--identity-issuance-lifetime", default="")
    parser.add_argument("--identity-clock-skew-allowance", default="")
    parser.add_argument("--identity-trust-domain", default="")
    parser.add_argument("--cluster-domain", default="")
    parser.add_argument("--identity-external-issuer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--identity-external-ca", action="store_true", help=argparse.SUPPRESS)


def identity_values(options: argparse.Namespace) -> dict[str, Any]:
    """The flags as values of the control plane's manifest (without generated certificates).

    Raises:
        LabkitError: files are missing or their certificates do not fit together.
    """
    values: dict[str, Any] = {}
    issuer: dict[str, Any] = {}
    if options.identity_issuance_lifetime:
        issuer["issuanceLifetime"] = options.identity_issuance_lifetime
    if options.identity_clock_skew_allowance:
        issuer["clockSkewAllowance"] = options.identity_clock_skew_allowance
    if options.cluster_domain:
        values["clusterDomain"] = options.cluster_domain
        values["identityTrustDomain"] = options.cluster_domain
    if options.identity_trust_domain:
        values["identityTrustDomain"] = options.identity_trust_domain
    given = {flag: getattr(options, name) for name, flag in _FLAGS.items()}
    if any(given.values()):
        anchors, credential = _read_identity(given)
        values["identityTrustAnchorsPEM"] = anchors.decode()
        issuer["tls"] = {
            "crtPEM": credential.certificate.decode(),
            "keyPEM": credential.key.decode(),
        }
    if issuer:
        values["identity"] = {"issuer": issuer}
    return values


def _read_identity(given: Mapping[str, str]) -> tuple[bytes, certs.Credential]:
    missing = [flag for flag, path in given.items() if not path]
    if missing:
        raise InputError(
            "the trust anchors, the issuer certificate and the issuer key must be given together: "
            f"{', '.join(missing)} missing"
        )
    anchors_path, certificate_path, key_path = (Path(path) for path in given.values())
    try:
        anchors = anchors_path.read_bytes()
        credential = certs.read_credential(certificate_path, key_path)
    except OSError as error:
        raise InputError(f"failed to read identity credentials: {error}") from error
    verify_issuer(credential, anchors)
    return anchors, credential


def verify_issuer(credential: certs.Credential, anchors: bytes) -> None:
    """Check that an issuer may sign for this trust anchor.

    Raises:
        LabkitError: expired, of another root, no CA, or not ECDSA.
    """
    try:
        certs.verify_chain(credential.certificate, anchors)
    except CertificateError as error:
        raise LabkitError(
            "failed to verify issuer credentials with the trust anchors", seen=str(error)
        ) from error


def generated_identity(trust_domain: str) -> dict[str, Any]:
    """A self-signed root that is anchor and issuer at once, as values."""
    root = certs.create_root(f"identity.linkerd.{trust_domain}", valid_for=_YEAR)
    pem = root.certificate.decode()
    tls = {"crtPEM": pem, "keyPEM": root.key.decode()}
    return {"identityTrustAnchorsPEM": pem, "identity": {"issuer": {"tls": tls}}}


def webhook_tls(names: Iterable[str], namespace: str, *, prefix: str = "") -> dict[str, WebhookTls]:
    """New certificates for webhooks, one year, for `PREFIX+NAME.NAMESPACE.svc` each."""
    made: dict[str, WebhookTls] = {}
    for name in names:
        host = f"{prefix}{name}.{namespace}.svc"
        root = certs.create_root(host, valid_for=_YEAR)
        leaf = certs.create_leaf(
            root, dns_names=[host], common_name=host, valid_for=_YEAR, client=False
        )
        made[name] = WebhookTls(leaf.certificate, leaf.key, root.certificate)
    return made
