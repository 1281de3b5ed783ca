"""The access log: which fields Envoy writes, and the reader at the other end of the pipe.

Every proxy writes one JSON line for each finished request (and for each refused connection) into
a named pipe, which its `linkerd-proxy` container reads as it comes: no file grows, nothing is
polled, and a reader that stalls makes Envoy buffer, not lose. Lines of a request appear when it
has ended; `request_total` is therefore counted at the end of a request, not at its start.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.embedded.mesh.policies import PortPolicy

logger = logging.getLogger(__name__)

_READ_BYTES = 65536

_REQUEST: Mapping[str, str] = {
    "ts": "%START_TIME(%s.%6f)%",
    "id": "%REQ(X-REQUEST-ID)%",
    "method": "%REQ(:METHOD)%",
    "scheme": "%REQ(:SCHEME)%",
    "authority": "%REQ(:AUTHORITY)%",
    "path": "%REQ(:PATH)%",
    "agent": "%REQ(USER-AGENT)%",
    "ct": "%REQ(CONTENT-TYPE)%",
    "seq": "%REQ(X-VEGETA-SEQ)%",
    "status": "%RESPONSE_CODE%",
    "grpc": "%GRPC_STATUS_NUMBER%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "ms": "%DURATION%",
    "first_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:us)%",
    "last_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "bytes": "%BYTES_SENT%",
    "src": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "from": "%DYNAMIC_METADATA(labkit:src)%",
}
_UPSTREAM: Mapping[str, str] = {
    "cluster": "%UPSTREAM_CLUSTER%",
    "route": "%METADATA(ROUTE:labkit)%",
    "host": "%METADATA(UPSTREAM_HOST:labkit)%",
    "server_id": "%UPSTREAM_PEER_DNS_SAN%",
    "up_error": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
}
_DOWNSTREAM: Mapping[str, str] = {
    "client_id": "%DOWNSTREAM_PEER_DNS_SAN%",
    "tls": "%DOWNSTREAM_TLS_VERSION%",
}


def outbound_fields() -> dict[str, str]:
    """Fields of a request that leaves the pod."""
    return {"dir": "out", **_REQUEST, **_UPSTREAM}


def inbound_fields(port: int, node_ip: str, policy: PortPolicy | None = None) -> dict[str, str]:
    """Fields of a request that enters the pod on a port; `node_ip` stands for unknown clients."""
    rights = {}
    if policy is not None:
        kind, name = policy.authorization
        rights = {"mode": policy.mode, "server": policy.server, "authz": kind, "authz_name": name}
    return {
        "dir": "in",
        "port": str(port),
        "node": node_ip,
        **{key: value for key, value in rights.items() if value},
        **_REQUEST,
        **_DOWNSTREAM,
    }


def gateway_fields(port: int, node_ip: str) -> dict[str, str]:
    """Fields of a request that enters a gateway and leaves it again: one line for both."""
    return {**_UPSTREAM, **inbound_fields(port, node_ip), "dir": "gw"}


def connection_fields(port: int) -> dict[str, str]:
    """Fields of a connection that has ended; the reason is there when TLS failed."""
    return {
        "dir": "conn",
        "port": str(port),
        "src": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "reason": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
        "client_id": "%DOWNSTREAM_PEER_DNS_SAN%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%CONNECTION_TERMINATION_DETAILS%",
    }


@dataclass(frozen=True)
class Entry:
    """One line of the log."""

    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A field as text, empty when absent."""
        value = self.fields.get(name)
        return "" if value is None else str(value)

    def number(self, name: str) -> int:
        """A field as a number, 0 when absent."""
        try:
            return int(self.fields.get(name) or 0)
        except ValueError:
            return 0

    def labels(self, name: str) -> Mapping[str, str]:
        """Constants that the configuration attached to a route or an endpoint."""
        value = self.fields.get(name)
        return value if isinstance(value, dict) else {}

    @property
    def direction(self) -> str:
        """`out`, `in`, `gw` or `conn`."""
        return self.text("dir")

    @property
    def first_byte_us(self) -> int:
        """Microseconds from the request's first byte to the response's; its end if aborted."""
        return self.number("first_us") or self.number("ms") * 1000

    @property
    def last_byte_us(self) -> int:
        """Microseconds from the request's first byte to the response's last."""
        return max(self.number("last_us") or self.number("ms") * 1000, self.first_byte_us)

    @property
    def is_grpc(self) -> bool:
        """Whether the request's content type says gRPC."""
        return self.text("ct").startswith("application/grpc")


class AccessLogPipe:
    """The reading end of a proxy's access log.

    Args:
        path: where the named pipe is made; a stale one is replaced.
        on_entry: called in the event loop with each entry.
    """

    def __init__(self, path: Path, on_entry: Callable[[Entry], None]) -> None:
        self._path = path
        self._on_entry = on_entry
        self._rest = b""
        self._descriptor: int | None = None

    def open(self) -> None:
        """Make the pipe and start reading; to be called before Envoy opens it."""
        self._path.unlink(missing_ok=True)
        os.mkfifo(self._path, 0o600)
        # Read and write: the pipe then never reports its end when Envoy restarts.
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def close(self) -> None:
        """Read what is left, then remove the pipe."""
        if self._descriptor is None:
            return
        while self._read():
            pass
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None
        self._path.unlink(missing_ok=True)

    def _read(self) -> bool:
        """Take what is there; whether it was as much as one read can take."""
        if self._descriptor is None:
            return False
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        self._take(data)
        return len(data) == _READ_BYTES

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                self._on_entry(Entry(json.loads(line)))
            except ValueError:
                logger.warning("access log: not JSON: %.100r", line)
