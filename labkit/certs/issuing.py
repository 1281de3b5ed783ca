"""Creating roots, issuers and leaves, and signing requests: ECDSA P-256, as `step` does."""

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from labkit.certs.credentials import Credential, key_pem
from labkit.errors import CertificateError

ROOT_NAME = "root.linkerd.cluster.local"
ISSUER_NAME = "identity.linkerd.cluster.local"
CLOCK_SKEW = timedelta(seconds=20)
"""How far a certificate's validity begins before now: Linkerd's own allowance."""

_COMMON_NAME_LIMIT = 64


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _name(common_name: str, organizations: Iterable[str] = ()) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    if common_name:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    public_key: CertificatePublicKeyTypes,
    issuer: Credential | None,
    valid_for: timedelta,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    not_after = now + valid_for
    if issuer is not None:
        # A certificate never outlives its issuer; Linkerd clamps in the same way.
        not_after = min(not_after, issuer.not_after)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.x509.subject if issuer else subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, not_after) - CLOCK_SKEW)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    if issuer is not None:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            issuer.private_key.public_key()
        )
        builder = builder.add_extension(identifier, critical=False)
    return builder


def _create_ca(
    common_name: str, *, issuer: Credential | None, path_length: int, valid_for: timedelta
) -> Credential:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(common_name), key.public_key(), issuer, valid_for)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .sign(issuer.private_key if issuer else key, hashes.SHA256())
    )
    return Credential(_pem(certificate), key_pem(key))


def create_root(
    common_name: str = ROOT_NAME, *, valid_for: timedelta = timedelta(days=3650)
) -> Credential:
    """Create a self-signed root (`step … --profile root-ca`).

    Example:
        >>> create_root().x509.subject.rfc4514_string()
        'CN=root.linkerd.cluster.local'
    """
    return _create_ca(common_name, issuer=None, path_length=1, valid_for=valid_for)


def create_issuer(
    root: Credential,
    common_name: str = ISSUER_NAME,
    *,
    valid_for: timedelta = timedelta(days=365),
) -> Credential:
    """Create an issuer signed by the root (`step … --profile intermediate-ca`)."""
    return _create_ca(common_name, issuer=root, path_length=0, valid_for=valid_for)


def _alternative_names(
    dns_names: Sequence[str], ip_addresses: Sequence[str]
) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns_names]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ip_addresses]
    return x509.SubjectAlternativeName(names)


def _sign_leaf(
    issuer: Credential,
    public_key: CertificatePublicKeyTypes,
    *,
    subject: x509.Name,
    names: x509.SubjectAlternativeName | None,
    usages: Sequence[x509.ObjectIdentifier],
    valid_for: timedelta,
) -> bytes:
    builder = (
        _builder(subject, public_key, issuer, valid_for)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )
    if names is not None:
        # RFC 5280: with an empty subject the alternative names are the identity.
        builder = builder.add_extension(names, critical=not list(subject))
    certificate = _pem(builder.sign(issuer.private_key, hashes.SHA256()))
    intermediate = issuer.x509.subject != issuer.x509.issuer
    return certificate + (issuer.certificate if intermediate else b"")


def create_leaf(
    issuer: Credential,
    *,
    dns_names: Sequence[str] = (),
    ip_addresses: Sequence[str] = (),
    common_name: str = "",
    organizations: Sequence[str] = (),
    valid_for: timedelta = timedelta(hours=24),
    server: bool = True,
    client: bool = True,
) -> Credential:
    """Create a leaf for the given names, signed by an issuer or a root.

    Raises:
        CertificateError: neither a name nor an address is given.
    """
    if not (dns_names or ip_addresses or common_name):
        raise CertificateError("A leaf needs a DNS name, an address or a common name")
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.SERVER_AUTH] if server else []
    usages += [ExtendedKeyUsageOID.CLIENT_AUTH] if client else []
    names = _alternative_names(dns_names, ip_addresses) if dns_names or ip_addresses else None
    chain = _sign_leaf(
        issuer,
        key.public_key(),
        subject=_name(common_name[:_COMMON_NAME_LIMIT], organizations),
        names=names,
        usages=usages,
        valid_for=valid_for,
    )
    return Credential(chain, key_pem(key))


def create_csr(dns_name: str) -> tuple[bytes, bytes]:
    """Create a key and a signing request for one DNS name: (request PEM, key PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns_name)]), critical=True)
        .sign(key, hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM), key_pem(key)


def sign_csr(
    issuer: Credential,
    csr: bytes,
    *,
    dns_name: str,
    valid_for: timedelta = timedelta(hours=24),
) -> bytes:
    """Sign a request for exactly `dns_name`; returns the chain (leaf, issuer) as PEM.

    Raises:
        CertificateError: the request is damaged, or asks for another name.
    """
    try:
        request = x509.load_pem_x509_csr(csr)
    except ValueError as error:
        raise CertificateError("This is not a certificate signing request") from error
    if not request.is_signature_valid:
        raise CertificateError("The signing request is not signed by its own key")
    try:
        extension = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        asked = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        asked = []
    if asked != [dns_name]:
        raise CertificateError(
            f"The signing request must ask for {dns_name} and nothing else", seen=str(asked)
        )
    return _sign_leaf(
        issuer,
        request.public_key(),
        subject=x509.Name([]),
        names=_alternative_names([dns_name], []),
        usages=[ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
        valid_for=valid_for,
    )
