"""The proxy's certificate: asked for, kept fresh, handed to Envoy as secrets."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from labkit import certs
from labkit.embedded.envoy import tls
from labkit.embedded.envoy.types import Json
from labkit.errors import LabkitError

logger = logging.getLogger(__name__)

RENEW_AT = 0.7
"""A certificate is renewed after this share of its life, as Linkerd's proxy does."""

RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_TIMEOUT = aiohttp.ClientTimeout(total=30)


@dataclass(frozen=True)
class Certificate:
    """A leaf with its chain, key and the anchors to trust (all PEM)."""

    chain: str
    key: str = field(repr=False)
    trust_roots: str

    @property
    def not_before(self) -> datetime:
        """Start of validity."""
        return certs.load_chain(self.chain.encode())[0].not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """End of validity."""
        return certs.load_chain(self.chain.encode())[0].not_valid_after_utc

    def renew_in(self) -> float:
        """Seconds until it should be renewed, at least one."""
        start = max(self.not_before, datetime.now(UTC))
        life = (self.not_after - start).total_seconds()
        return max(1.0, life * RENEW_AT)

    def secrets(self, prefix: str = "") -> list[Json]:
        """The two secrets Envoy needs."""
        return [
            tls.leaf_secret(f"{prefix}leaf", chain=self.chain, key=self.key),
            tls.anchors_secret(f"{prefix}anchors", self.trust_roots),
        ]


class CertificateKeeper:
    """Gets a certificate from the identity component and renews it in time.

    Args:
        socket: the identity component's unix socket.
        name: the identity to ask for.
        token: reads the service-account token; it may change over time.
        anchors: trust anchors given to the pod at its start; empty: take the component's.
        on_certificate: called with each new certificate.
        log: one line for people.
    """

    def __init__(
        self,
        socket: Path,
        *,
        name: str,
        token: Callable[[], str],
        anchors: str,
        on_certificate: Callable[[Certificate], None],
        log: Callable[[str], None],
    ) -> None:
        self._socket = socket
        self._name = name
        self._token = token
        self._anchors = anchors
        self._on_certificate = on_certificate
        self._log = log
        self.current: Certificate | None = None
        self.refreshes = 0

    async def run(self) -> None:
        """Keep a certificate until cancelled."""
        while True:
            certificate = await self._ask_until_given()
            self.current = certificate
            self.refreshes += 1
            self._on_certificate(certificate)
            self._log(f"Certified identity id={self._name}")
            await asyncio.sleep(certificate.renew_in())

    async def _ask_until_given(self) -> Certificate:
        attempt = 0
        said = ""
        while True:
            try:
                return await self._ask()
            except (aiohttp.ClientError, OSError, TimeoutError, LabkitError) as error:
                message = str(error)
                if message != said and attempt > len(RETRY_S) - 4:
                    said = message
                    self._log(f"WARN Failed to obtain identity: {message}")
            await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1

    async def _ask(self) -> Certificate:
        csr, key = certs.create_csr(self._name)
        body = {"csr": csr.decode(), "token": self._token()}
        connector = aiohttp.UnixConnector(path=str(self._socket))
        async with (
            aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as http,
            http.post("http://identity/certify", json=body) as response,
        ):
            answer = await response.json()
            if response.status != 200:
                raise LabkitError("identity refused", seen=str(answer.get("message", "")))
        roots = self._anchors or answer["trust_roots"]
        certs.verify_chain(answer["chain"].encode(), roots.encode())
        return Certificate(answer["chain"], key.decode(), roots)
