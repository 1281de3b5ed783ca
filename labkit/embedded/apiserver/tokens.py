"""Service-account tokens: ES256 JWTs, bound to an account and, if asked, to a pod or secret.

A token is good while its account (and pod or secret) exists with the same uid and it has not
expired. Nothing about tokens is stored.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from labkit.embedded.apiserver.store import Store

ISSUER = "https://kubernetes.default.svc.cluster.local"
_CACHED = 2000


class InvalidToken(ValueError):  # noqa: N818 - reads as what it is
    """The token is not one of ours, has expired, or what it is bound to is gone."""


class ServiceAccountTokens:
    """Issues and verifies the tokens of one cluster.

    Args:
        store: where accounts, pods and secrets are looked up.
        key: EC P-256 private key, PEM.
    """

    def __init__(self, store: Store, key: bytes) -> None:
        self._store = store
        private = load_pem_private_key(key, None)
        self._private = key
        self._public = private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        self._verified: dict[str, Mapping[str, Any]] = {}

    def issue(
        self,
        account: Mapping[str, Any],
        *,
        audiences: Sequence[str],
        lifetime_s: int,
        bound: tuple[str, Mapping[str, Any]] | None = None,
    ) -> tuple[str, int]:
        """A new token and the second of its expiry.

        Args:
            account: the ServiceAccount object.
            audiences: who may accept it.
            lifetime_s: seconds from now.
            bound: `pod` or `secret` and the metadata of that object.
        """
        now = int(time.time())
        metadata = account["metadata"]
        private: dict[str, Any] = {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        }
        if bound is not None:
            private[bound[0]] = {"name": bound[1]["name"], "uid": bound[1]["uid"]}
        claims = {
            "aud": list(audiences),
            "exp": now + lifetime_s,
            "iat": now,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
            "nbf": now,
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
        }
        return jwt.encode(claims, self._private, algorithm="ES256"), now + lifetime_s

    def verify(self, token: str, audiences: Sequence[str] = (ISSUER,)) -> Mapping[str, Any]:
        """The claims of a good token; InvalidToken otherwise."""
        claims = self._verified.get(token) or self._decode(token)
        if claims["exp"] <= time.time():
            raise InvalidToken("the token has expired")
        if not set(audiences) & set(claims["aud"]):
            raise InvalidToken("the token is for another audience")
        self._check_bound(claims["kubernetes.io"])
        return claims

    def _decode(self, token: str) -> Mapping[str, Any]:
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                self._public,
                algorithms=["ES256"],
                issuer=ISSUER,
                options={"verify_aud": False, "require": ["exp", "aud", "kubernetes.io"]},
            )
        except jwt.InvalidTokenError as error:
            raise InvalidToken(str(error)) from error
        if len(self._verified) >= _CACHED:
            self._verified.clear()
        self._verified[token] = claims
        return claims

    def _check_bound(self, bound: Mapping[str, Any]) -> None:
        namespace = bound["namespace"]
        for field, storage in (
            ("serviceaccount", "serviceaccounts"),
            ("pod", "pods"),
            ("secret", "secrets"),
        ):
            reference = bound.get(field)
            if reference is None:
                continue
            entry = self._store.get(storage, namespace, reference["name"])
            if entry is None or entry.obj["metadata"]["uid"] != reference["uid"]:
                raise InvalidToken(f"the {field} of the token is gone")
