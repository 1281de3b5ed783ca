# ruff: noqa: INP001 - a folder for Python's path, not a package
"""Refuses connections to other machines in every Python process that finds this on its path.

Put there by `labkit.offline.guard` and nowhere else. What is refused is written down, a line each.
Programs that are not Python, and event loops that bring their own sockets, are not seen here.
"""

import errno
import ipaddress
import json
import os
import sys

_TRIED = os.environ.get("LABKIT_OFFLINE_TRIED")
_NAMES = (None, "", "localhost", b"localhost", b"")


def _is_here(host: object) -> bool:
    if host in _NAMES:
        return True
    text = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _watch(event: str, args: tuple[object, ...]) -> None:
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event in ("socket.connect", "socket.sendto"):
        address = args[1]
        if not isinstance(address, tuple):
            return  # a socket of this machine's file system
        host = address[0]
    else:
        return
    if _is_here(host):
        return
    name = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    with open(_TRIED, "a") as file:  # type: ignore[arg-type]  # noqa: PTH123 - runs everywhere
        file.write(json.dumps(name) + "\n")
    raise OSError(errno.ENETUNREACH, "refused: labkit is looked at without a network", name)


if _TRIED:
    sys.addaudithook(_watch)
