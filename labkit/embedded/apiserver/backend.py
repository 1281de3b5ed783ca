"""What all request handlers of one API server share: its settings, store, resources and rules."""

import functools
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from labkit.certs import Credential
from labkit.embedded.apiserver.authorization import Authorizer
from labkit.embedded.apiserver.resources import Registry
from labkit.embedded.apiserver.rules.schemas import Schemas
from labkit.embedded.apiserver.store import Store
from labkit.embedded.apiserver.tokens import ServiceAccountTokens
from labkit.embedded.apiserver.users import Authenticator, User


@dataclass(frozen=True)
class ApiServerConfig:
    """Settings of one API server."""

    name: str
    """Name of the cluster, for logs."""
    database: Path
    """SQLite file; created when missing, 0600."""
    ca: Credential = field(repr=False)
    """The cluster's CA: signs the serving certificate and every client certificate."""
    service_account_key: bytes = field(repr=False)
    """EC P-256 private key (PEM) that signs service-account tokens."""
    tokens: Mapping[str, User] = field(repr=False)
    """Static bearer tokens of administrators and components."""
    kubelet_token: str = field(repr=False)
    """Bearer token for the nodes' kubelet API (logs, port-forward, exec)."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 0
    """Port to listen on; 0 lets the system choose."""
    service_cidr: str = "10.96.0.0/16"
    """Range of cluster IPs; its first address is the API server's own."""
    extra_names: tuple[str, ...] = ()
    """More DNS names for the serving certificate."""
    rbac: bool = True
    """Whether roles are enforced; otherwise every authenticated user may do everything."""


def now() -> str:
    """The time as metadata has it: seconds, UTC."""
    return _text_of_time(int(time.time()))


@functools.lru_cache(maxsize=1)
def _text_of_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_uid() -> str:
    """A uid for a new object: a random UUID, without `uuid`, which takes three times as long."""
    digits = secrets.token_hex(16)
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


@dataclass
class Backend:
    """The parts of one running API server."""

    config: ApiServerConfig
    store: Store
    registry: Registry
    schemas: Schemas
    accounts: ServiceAccountTokens
    authenticator: Authenticator
    authorizer: Authorizer
    http: aiohttp.ClientSession
    documents: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    """OpenAPI documents (and their ETags) by path; emptied when definitions change."""
    stopping: Callable[[], bool] = lambda: False
