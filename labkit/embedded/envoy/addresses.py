"""Addresses: loopback TCP sockets and unix sockets, as Envoy writes them."""

from pathlib import Path

from labkit.embedded.envoy.types import Json


def split(socket: str) -> tuple[str, int]:
    """`"127.0.0.1:80"` -> `("127.0.0.1", 80)`.

    Raises:
        ValueError: there is no port.
    """
    host, separator, port = socket.rpartition(":")
    if not separator or not port.isdigit():
        raise ValueError(f"{socket!r} is not HOST:PORT")
    return host, int(port)


def tcp(socket: str) -> Json:
    """Envoy's address of a TCP socket written HOST:PORT."""
    host, port = split(socket)
    return {"socket_address": {"address": host, "port_value": port}}


def pipe(path: Path | str) -> Json:
    """Envoy's address of a unix socket; the path must stay below 104 bytes (macOS)."""
    return {"pipe": {"path": str(path)}}
