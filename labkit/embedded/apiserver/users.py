"""Who asks: users, their groups, and the ways a request proves them.

Client certificates (CN is the name, O the groups), static bearer tokens, service-account tokens,
and nobody (`system:anonymous`). What a user may do is decided in `authorization`.
"""

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.x509.oid import NameOID

from labkit.embedded.apiserver.status import unauthorized
from labkit.embedded.apiserver.tokens import InvalidToken, ServiceAccountTokens

AUTHENTICATED = "system:authenticated"
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"


@dataclass(frozen=True)
class User:
    """A user as the API server sees one."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, list[str]] = field(default_factory=dict)

    def info(self) -> dict[str, Any]:
        """The `UserInfo` of reviews."""
        found: dict[str, Any] = {"username": self.name}
        if self.uid:
            found["uid"] = self.uid
        found["groups"] = list(self.groups)
        if self.extra:
            found["extra"] = dict(self.extra)
        return found


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


def with_authenticated(user: User) -> User:
    """The user, in the group of everybody who is known."""
    if AUTHENTICATED in user.groups:
        return user
    return User(user.name, (*user.groups, AUTHENTICATED), user.uid, user.extra)


def user_of_certificate(der: bytes) -> User:
    """The user that a client certificate names."""
    subject = x509.load_der_x509_certificate(der).subject
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return with_authenticated(
        User(
            str(names[0].value) if names else "",
            tuple(str(group.value) for group in groups),
            extra={CREDENTIAL_ID: [f"X509SHA256={hashlib.sha256(der).hexdigest()}"]},
        )
    )


class Authenticator:
    """Finds the user behind a request, or refuses it with 401."""

    def __init__(self, tokens: Mapping[str, User], accounts: ServiceAccountTokens) -> None:
        self._static = {
            hashlib.sha256(token.encode()).digest(): with_authenticated(user)
            for token, user in tokens.items()
        }
        self._accounts = accounts
        self._certificates: dict[bytes, User] = {}

    def user(self, request: web.BaseRequest) -> User:
        """The user of a request; nobody without credentials; 401 for wrong ones."""
        header = request.headers.get("Authorization", "")
        if header:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise unauthorized()
            return self.token_user(token.strip())
        protocols = request.headers.get("Sec-WebSocket-Protocol", "")
        if "base64url.bearer.authorization.k8s.io." in protocols:
            raise unauthorized()  # browsers only; not offered here
        return self._certificate_user(request)

    def token_user(self, token: str) -> User:
        """The user of a bearer token; 401 when it is not valid."""
        known = self._static.get(hashlib.sha256(token.encode()).digest())
        if known is not None:
            return known
        try:
            claims = self._accounts.verify(token)
        except InvalidToken as error:
            raise unauthorized() from error
        return account_user(claims)

    def _certificate_user(self, request: web.BaseRequest) -> User:
        transport = request.transport
        tls = transport.get_extra_info("ssl_object") if transport is not None else None
        if not isinstance(tls, ssl.SSLObject | ssl.SSLSocket):
            return ANONYMOUS
        der = tls.getpeercert(binary_form=True)
        if not der:
            return ANONYMOUS
        user = self._certificates.get(der)
        if user is None:
            if len(self._certificates) > 1000:
                self._certificates.clear()
            user = self._certificates[der] = user_of_certificate(der)
        return user


def account_user(claims: Mapping[str, Any]) -> User:
    """The user of a verified service-account token."""
    bound = claims["kubernetes.io"]
    namespace, account = bound["namespace"], bound["serviceaccount"]
    extra = {CREDENTIAL_ID: [f"JTI={claims['jti']}"]} if "jti" in claims else {}
    if "pod" in bound:
        extra["authentication.kubernetes.io/pod-name"] = [bound["pod"]["name"]]
        extra["authentication.kubernetes.io/pod-uid"] = [bound["pod"]["uid"]]
    return User(
        f"system:serviceaccount:{namespace}:{account['name']}",
        ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED),
        account["uid"],
        extra,
    )
