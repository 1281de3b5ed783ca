"""Checking a chain: signatures, validity, CA flags and path lengths, for leaves and CAs alike."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from labkit.certs.credentials import load_chain
from labkit.errors import CertificateError


def verify_chain(chain: bytes, roots: bytes, *, at: datetime | None = None) -> None:
    """Check that a PEM chain leads to one of the roots and is valid now.

    The check is on signatures, validity, CA flags and path lengths, for leaves and for CAs alike
    (`cryptography`'s own verifier accepts leaves only, and an issuer is what Linkerd is given).

    Args:
        chain: PEM, the certificate to check first, then its issuers.
        roots: PEM bundle of trust anchors.
        at: the time of the check, default now.

    Raises:
        CertificateError: what is wrong, with the subjects and dates seen.
    """
    moment = at or datetime.now(UTC)
    certificates = load_chain(chain)
    anchors = load_chain(roots)
    current = certificates[0]
    _check_validity(current, moment)
    # CAs between a leaf and the candidate; a CA is checked for the leaves that it will sign
    below = 1 if _constraints(current).ca else 0
    for candidate in [*certificates[1:], *anchors]:
        if current in anchors:
            return
        if not _is_issued_by(current, candidate):
            continue
        _check_validity(candidate, moment)
        _check_ca(candidate, below)
        current, below = candidate, below + 1
    if current not in anchors:
        raise CertificateError(
            f"{certificates[0].subject.rfc4514_string() or 'The certificate'} does not chain to "
            "the trust anchor",
            seen=f"the chain ends at {current.issuer.rfc4514_string()}, which is not among the "
            f"{len(anchors)} anchors",
            fix="sign the issuer with the root that both clusters share",
        )


def _is_issued_by(certificate: x509.Certificate, candidate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(candidate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_validity(certificate: x509.Certificate, moment: datetime) -> None:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= moment <= end:
        state = "has expired" if moment > end else "is not valid yet"
        raise CertificateError(
            f"The certificate of {certificate.subject.rfc4514_string() or 'the leaf'} {state}",
            seen=f"valid from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC",
            fix="create a new one",
        )


def _check_ca(certificate: x509.Certificate, below: int) -> None:
    subject = certificate.subject.rfc4514_string()
    constraints = _constraints(certificate)
    if not constraints.ca:
        raise CertificateError(f"{subject} signed a certificate but is not a CA")
    if constraints.path_length is not None and below > constraints.path_length:
        raise CertificateError(
            f"The chain below {subject} is too long",
            seen=f"path length {constraints.path_length}, {below} CAs below it",
        )


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return x509.BasicConstraints(ca=False, path_length=None)
