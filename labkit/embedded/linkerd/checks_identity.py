"""Certificate checks of `linkerd check`: trust anchors, issuer, webhooks.

Deliberately absent: repairing; an expired anchor or issuer is told, nothing more.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from labkit import certs
from labkit.embedded.linkerd import reading
from labkit.embedded.linkerd.checking import Category, Check, Context, problem
from labkit.embedded.linkerd.checks_proxies import meshed_pods
from labkit.embedded.linkerd.cluster import Object
from labkit.errors import CertificateError, LabkitError

_SOON = timedelta(days=60)
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_TRUST_ROOT = "linkerd.io/trust-root-sha256"


def _anchors(context: Context) -> bytes:
    """The trust anchors that the proxies use.

    Raises:
        LabkitError: the ConfigMap is missing.
    """
    path = f"/api/v1/namespaces/{context.namespace}/configmaps/linkerd-identity-trust-roots"
    bundle: str = context.cluster.get(path)["data"]["ca-bundle.crt"]
    return bundle.encode()


def _issuer(context: Context) -> certs.Credential:
    path = f"/api/v1/namespaces/{context.namespace}/secrets/linkerd-identity-issuer"
    data = context.cluster.get(path).get("data") or {}
    parts = [data.get(own) or data.get(other) for own, other in _ISSUER_KEYS]
    if not all(parts):
        raise problem("the issuer Secret lacks crt.pem or key.pem")
    certificate, key = (base64.b64decode(part or "") for part in parts)
    return certs.Credential(certificate, key)


_ISSUER_KEYS = (("crt.pem", "tls.crt"), ("key.pem", "tls.key"))


def _config_valid(context: Context) -> None:
    issuer = _issuer(context)
    certs.load_chain(_anchors(context))
    if issuer.private_key.public_key() != issuer.x509.public_key():
        raise problem("the issuer's key does not belong to its certificate")


def _names(certificates: Iterable[x509.Certificate]) -> list[str]:
    return [f"{item.serial_number} {item.subject.rfc4514_string()}" for item in certificates]


def _anchors_supported(context: Context) -> None:
    bad = [item for item in certs.load_chain(_anchors(context)) if not _supported(item)]
    if bad:
        raise problem("Invalid trustAnchors: must use P-256 or RSA keys:", _names(bad))


def _supported(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size in (2048, 4096)
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


def _valid_at(certificates: Iterable[x509.Certificate], moment: datetime) -> None:
    bad = [
        item
        for item in certificates
        if not item.not_valid_before_utc <= moment <= item.not_valid_after_utc
    ]
    if bad:
        when = [f"{name} ends {item.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}" for name, item in
                zip(_names(bad), bad, strict=True)]  # fmt: skip
        raise problem("Invalid certificates:", when)


def _anchors_valid(context: Context) -> None:
    _valid_at(certs.load_chain(_anchors(context)), datetime.now(UTC))


def _anchors_last(context: Context) -> None:
    _valid_at(certs.load_chain(_anchors(context)), datetime.now(UTC) + _SOON)


def _issuer_supported(context: Context) -> None:
    key = _issuer(context).x509.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise problem("issuer certificate must use a P-256 key")


def _issuer_valid(context: Context) -> None:
    _valid_at([_issuer(context).x509], datetime.now(UTC))


def _issuer_last(context: Context) -> None:
    _valid_at([_issuer(context).x509], datetime.now(UTC) + _SOON)


def _issuer_chains(context: Context) -> None:
    try:
        certs.verify_chain(_issuer(context).certificate, _anchors(context))
    except CertificateError as error:
        raise problem(str(error)) from error


def _webhook(kind: str, name: str) -> Callable[[Context], tuple[bytes, bytes]]:
    """Finds a webhook's certificate and the bundle its configuration names."""

    def find(context: Context) -> tuple[bytes, bytes]:
        config = context.cluster.get(f"{_ADMISSION}/{kind}/linkerd-{name}-webhook-config")
        return serving_certificate(
            context,
            context.namespace,
            f"linkerd-{name}-k8s-tls",
            config["webhooks"][0]["clientConfig"],
        )

    return find


def serving_certificate(
    context: Context, namespace: str, secret: str, client_config: Object
) -> tuple[bytes, bytes]:
    """A serving certificate from its Secret, and the caBundle that should have signed it (PEM).

    Raises:
        LabkitError: one of them is missing.
    """
    found = context.cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{secret}")
    bundle = client_config.get("caBundle")
    certificate = (found.get("data") or {}).get("tls.crt")
    if not bundle or not certificate:
        raise problem(f"Secret {secret} or its caBundle is empty")
    return base64.b64decode(certificate), base64.b64decode(bundle)


def certificate_checks(
    owner: str, find: Callable[[Context], tuple[bytes, bytes]], *, noun: str
) -> list[Check]:
    """The two checks that every serving certificate gets."""

    def valid(context: Context) -> None:
        certificate, bundle = find(context)
        certs.verify_chain(certificate, bundle)

    def lasting(context: Context) -> None:
        certificate, _ = find(context)
        _valid_at(certs.load_chain(certificate)[:1], datetime.now(UTC) + _SOON)

    return [
        Check(f"{noun} has valid cert", valid, fatal=True),
        Check(f"{owner} cert is valid for at least 60 days", lasting, warning=True),
    ]


def _trust_root_matches(context: Context) -> None:
    wanted = _anchor_digests(context)
    other = []
    for pod in meshed_pods(context, context.data_namespace):
        annotations = pod["metadata"].get("annotations") or {}
        if annotations.get(_TRUST_ROOT, wanted[0]) not in wanted:
            other.append(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}")
    if other:
        raise problem(
            "Some pods do not have the current trust bundle and must be restarted:", other
        )


def _anchor_digests(context: Context) -> list[str]:
    """Digests of the anchors as the install and the injector may have written them."""
    path = f"/api/v1/namespaces/{context.namespace}/configmaps/linkerd-config"
    values = reading.load(context.cluster.get(path)["data"]["values"])
    texts = [str(values.get("identityTrustAnchorsPEM", "")), _anchors(context).decode()]
    variants = [variant for text in texts for variant in (text, text.strip(), text.strip() + "\n")]
    return [hashlib.sha256(variant.encode()).hexdigest() for variant in variants]


def trust_anchors(context: Context) -> set[bytes]:
    """The certificates (DER) of the anchors in a cluster's linkerd-config, for comparison.

    Raises:
        LabkitError: there is no control plane.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    path = f"/api/v1/namespaces/{context.namespace}/configmaps/linkerd-config"
    values = reading.load(context.cluster.get(path)["data"]["values"])
    pem = str(values.get("identityTrustAnchorsPEM", ""))
    if not pem:
        raise LabkitError("linkerd-config holds no trust anchors")
    return {item.public_bytes(Encoding.DER) for item in certs.load_chain(pem.encode())}


_VALIDATING, _MUTATING = "validatingwebhookconfigurations", "mutatingwebhookconfigurations"

IDENTITY = Category(
    "linkerd-identity",
    [
        Check("certificate config is valid", _config_valid, fatal=True),
        Check("trust anchors are using supported crypto algorithm", _anchors_supported, fatal=True),
        Check("trust anchors are within their validity period", _anchors_valid, fatal=True),
        Check("trust anchors are valid for at least 60 days", _anchors_last, warning=True),
        Check("issuer cert is using supported crypto algorithm", _issuer_supported, fatal=True),
        Check("issuer cert is within its validity period", _issuer_valid, fatal=True),
        Check("issuer cert is valid for at least 60 days", _issuer_last, warning=True),
        Check("issuer cert is issued by the trust anchor", _issuer_chains),
    ],
)
WEBHOOKS = Category(
    "linkerd-webhooks-and-apisvc-tls",
    [
        check
        for name, kind in (
            ("proxy-injector", _MUTATING),
            ("sp-validator", _VALIDATING),
            ("policy-validator", _VALIDATING),
        )
        for check in certificate_checks(name, _webhook(kind, name), noun=f"{name} webhook")
    ],
)
DATA_PLANE_IDENTITY = Category(
    "linkerd-identity-data-plane",
    [Check("data plane proxies certificate match CA", _trust_root_matches, warning=True)],
)
