"""A certificate with its key: parsing, fingerprints, and files that only their owner reads."""

import os
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from labkit.errors import CertificateError


@dataclass(frozen=True)
class Credential:
    """A certificate with its private key.

    Attributes:
        certificate: PEM, the certificate first, then its issuers up to but without the root.
        key: PEM (PKCS #8), never shown in `repr`.
    """

    certificate: bytes
    key: bytes = field(repr=False)

    @cached_property
    def x509(self) -> x509.Certificate:
        """The first certificate, parsed."""
        return load_chain(self.certificate)[0]

    @cached_property
    def private_key(self) -> ec.EllipticCurvePrivateKey:
        """The key, parsed.

        Raises:
            CertificateError: the key is not an elliptic-curve key.
        """
        return load_key(self.key)

    @property
    def not_after(self) -> datetime:
        """End of validity, UTC."""
        return self.x509.not_valid_after_utc

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as `AA:BB:…`."""
        return fingerprint(self.certificate)


def load_chain(pem: bytes) -> list[x509.Certificate]:
    """Parse the certificates of a PEM text.

    Raises:
        CertificateError: the text holds no certificate.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CertificateError(
            "This is not a PEM certificate", seen=str(error), fix="give a file made by `step`"
        ) from error


def load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Parse an elliptic-curve private key (`EC PRIVATE KEY` or `PRIVATE KEY`).

    Raises:
        CertificateError: it is not such a key.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise CertificateError(
            "This is not an unencrypted PEM private key", seen=type(error).__name__
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError("The private key must be ECDSA P-256", seen=type(key).__name__)
    return key


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as unencrypted PKCS #8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def fingerprint(pem: bytes) -> str:
    """SHA-256 of the first certificate of a PEM text, as `AA:BB:…`."""
    return load_chain(pem)[0].fingerprint(hashes.SHA256()).hex(":").upper()


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, all or nothing.

    Raises:
        OSError: the folder is missing or the disk is full; no partial file stays behind.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:  # mkstemp gives mode 0600
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_credential(credential: Credential, certificate_path: Path, key_path: Path) -> None:
    """Write certificate and key, the key readable by its owner only."""
    write_private(key_path, credential.key)
    certificate_path.write_bytes(credential.certificate)


def read_credential(certificate_path: Path, key_path: Path) -> Credential:
    """Read what `write_credential` (or `step`) wrote, and check that the two belong together.

    Raises:
        CertificateError: a file is no PEM, or the key is another certificate's.
    """
    credential = Credential(certificate_path.read_bytes(), key_path.read_bytes())
    if credential.private_key.public_key() != credential.x509.public_key():
        raise CertificateError(
            f"{key_path.name} is not the key of {certificate_path.name}",
            fix="remove both and create them again",
        )
    return credential
