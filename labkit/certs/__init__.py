"""Certificates as `step` makes them: a root, an issuer, leaves, and the checks on them.

Everything is ECDSA P-256 and built with `cryptography`. A root has path length 1 and an issuer
path length 0, as `step certificate create --profile root-ca|intermediate-ca` gives them, because
Linkerd's identity service refuses anything else. The module knows nothing of Kubernetes; it
serves the lab (trust anchor) and the embedded cloud (API servers, proxies).
"""

from labkit.certs.credentials import (
    Credential,
    fingerprint,
    key_pem,
    load_chain,
    load_key,
    read_credential,
    write_credential,
    write_private,
)
from labkit.certs.issuing import (
    CLOCK_SKEW,
    ISSUER_NAME,
    ROOT_NAME,
    create_csr,
    create_issuer,
    create_leaf,
    create_root,
    sign_csr,
)
from labkit.certs.verifying import verify_chain

__all__ = [
    "CLOCK_SKEW",
    "ISSUER_NAME",
    "ROOT_NAME",
    "Credential",
    "create_csr",
    "create_issuer",
    "create_leaf",
    "create_root",
    "fingerprint",
    "key_pem",
    "load_chain",
    "load_key",
    "read_credential",
    "sign_csr",
    "verify_chain",
    "write_credential",
    "write_private",
]
