"""Ports on 127.0.0.1 for listeners, chosen before they listen, and never by two labs at once.

A pod's sockets are known before its containers start, so a port is free for some seconds before
anybody listens on it. Labs on one machine, of one user or of many, must not choose the same one
meanwhile: each process takes its ports from blocks that it has claimed. A claim is a socket that
is bound to the block's first port and never listens; the kernel lets nobody else bind it, and
gives it up when the process dies, however it dies.
"""

import os
import random
import socket
import threading

from labkit.errors import StateError

BLOCK = 128
"""Ports claimed at once: a lab needs some two hundred."""

_FIRST, _END = 20_000, 32_768
"""Below the ports that Linux and macOS give to outgoing connections."""


class Ports:
    """Ports handed out by this process; none is handed out twice before it is released."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Have no block: at first, and after a fork, where the blocks are the parent's."""
        self._lock = threading.Lock()
        self._claims: list[socket.socket] = []
        self._own: list[int] = []
        self._next = 0
        self._used: set[int] = set()

    def allocate(self) -> int:
        """A free port; StateError when there is none."""
        with self._lock:
            while True:
                for _ in self._own:
                    port = self._own[self._next]
                    self._next = (self._next + 1) % len(self._own)
                    if port not in self._used and _is_free(port):
                        self._used.add(port)
                        return port
                self._claim()

    def release(self, port: int) -> None:
        """Give a port back; it comes round again only after all others."""
        with self._lock:
            self._used.discard(port)

    def _claim(self) -> None:
        """Take a block that no other process has."""
        for start in random.SystemRandom().sample(
            starts := range(_FIRST, _END, BLOCK), len(starts)
        ):
            claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                claim.bind(("127.0.0.1", start))
            except OSError:
                claim.close()
                continue
            self._claims.append(claim)
            self._next = len(self._own)
            self._own += range(start + 1, min(start + BLOCK, _END))
            return
        raise StateError(
            "No free port for another listener on 127.0.0.1",
            seen=f"{len(self._used)} ports are used by this lab, and other programs have the rest",
            fix="stop other labs with `labkit down`",
        )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT is no obstacle
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_ports = Ports()
os.register_at_fork(after_in_child=_ports.begin)


def allocate_port() -> int:
    """A port on 127.0.0.1 that nobody listens on and that no lab has handed out.

    It lies below the range of outgoing connections, so that it stays free until it is used.
    Released ports come round again only after all others of this process.

    Raises:
        StateError: every port is taken.
    """
    return _ports.allocate()


def release_port(port: int) -> None:
    """Give back a port whose listener is closed."""
    _ports.release(port)


def allocate_socket() -> str:
    """A free ``127.0.0.1:N``."""
    return f"127.0.0.1:{allocate_port()}"
