"""What a program in a pod must know about the embedded cloud: addresses, files, the way out.

Pods have virtual addresses; real sockets are loopback ports. A node tells a program by its
environment: `LABKIT_LISTEN` maps the ports it believes in to real addresses, `LABKIT_ROOT` is its
file system, `http_proxy` is its way to every other host. Without these the programs run as they
would anywhere else. Everything here is standard library and imported late, because each pod pays
for it in memory.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

_ANSWER_LIMIT = 65536


class ProxyRefused(OSError):  # noqa: N818 - reads as what happened
    """The proxy answered CONNECT with something other than 200.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int, target: str) -> None:
        super().__init__(f"the proxy answered {status} to CONNECT {target}")
        self.status = status


def listen_address(port: int) -> tuple[str, int]:
    """Where to bind for a port that the pod declares.

    Args:
        port: the container port, as 8080.

    Returns:
        The real (host, port); 127.0.0.1 with the same port outside the embedded cloud.
    """
    table = json.loads(os.environ.get("LABKIT_LISTEN") or "{}")
    host, _, real = table.get(str(port), f"127.0.0.1:{port}").rpartition(":")
    return host, int(real)


def root_path(path: str) -> Path:
    """The real place of a path inside the container, as `/certs/tls.crt`."""
    return Path(os.environ.get("LABKIT_ROOT") or "/", path.lstrip("/"))


def proxy_address() -> tuple[str, int] | None:
    """The pod's way out as (host, port), from `http_proxy`; None when there is none."""
    url = os.environ.get("http_proxy") or os.environ.get("HTTP_PROXY") or ""
    authority = url.removeprefix("http://").rstrip("/").rpartition("@")[2]
    if not authority:
        return None
    host, _, port = authority.rpartition(":")
    return (host, int(port)) if host else (port, 80)


def open_connection(host: str, port: int, *, timeout_s: float | None = None) -> socket.socket:
    """Connect to a host of the cluster: by CONNECT when there is a proxy, else directly.

    Args:
        host: a name or an address, virtual ones included.
        port: the port there.
        timeout_s: for each step; None waits for ever. The socket keeps it.

    Raises:
        OSError: no connection; `ProxyRefused` when the proxy said so.
    """
    proxy = proxy_address()
    if proxy is None:
        return socket.create_connection((host, port), timeout=timeout_s)
    connection = socket.create_connection(proxy, timeout=timeout_s)
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        _tunnel(connection, target)
    except BaseException:
        connection.close()
        raise
    return connection


def _tunnel(connection: socket.socket, target: str) -> None:
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        # What follows the proxy's answer belongs to the caller: peek, then take only the answer.
        chunk = connection.recv(_ANSWER_LIMIT, socket.MSG_PEEK)
        end = (answer + chunk).find(b"\r\n\r\n")
        answer += connection.recv(len(chunk) if end < 0 else end + 4 - len(answer))
        if not chunk or len(answer) > _ANSWER_LIMIT:
            raise ConnectionResetError(f"the proxy closed the connection to {target}")
    status = int(answer.split(maxsplit=2)[1])
    if status != 200:
        raise ProxyRefused(status, target)


def log(message: str) -> None:
    """One line to standard error, dated as Go's log package dates it."""
    sys.stderr.write(f"{time.strftime('%Y/%m/%d %H:%M:%S', time.gmtime())} {message}\n")
    sys.stderr.flush()


async def serve_until_signal() -> None:
    """Return at SIGTERM or SIGINT."""
    import asyncio
    import signal

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
