"""What a program of a container is told, and what it may ask of the node.

A container of this cloud is either a *process* (a small Python program with its own process id)
or a *component*: a coroutine that runs inside the daemon until it is cancelled, as most of the
control plane does because a process costs 15 MB and a coroutine almost nothing. This module holds
only the three types both sides agree on, so that the programs need nothing else of the node. It
does not start anything: see :mod:`labkit.embedded.node.containers`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Container:
    """Everything a program is told about the container it runs as.

    Addresses are either virtual (``pod_ip``) or real (``app_sockets``, ``sockets``, ``egress``:
    ``127.0.0.1:N``).
    """

    cluster: str
    """Name of the cluster, as in the kubeconfig context."""
    namespace: str
    pod: str
    pod_uid: str
    pod_ip: str
    """The pod's virtual address."""
    service_account: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    name: str
    """The container's name in the pod."""
    image: str
    argv: tuple[str, ...]
    """``command`` and ``args`` of the spec after ``$(VAR)`` expansion; may be empty."""
    env: Mapping[str, str] = field(repr=False)
    """The spec's environment with every ``valueFrom`` resolved."""
    app_sockets: Mapping[int, str]
    """Declared container port → where the container itself listens."""
    sockets: Mapping[int, str]
    """Port → where a connection to ``pod_ip:port`` lands (the proxy's listeners when meshed)."""
    egress: str
    """The pod's HTTP proxy towards the rest of the world, empty when there is none."""
    root: Path
    """The container's root: a volume mounted at /certs is found at ``root / "certs"``."""
    run_dir: Path
    """Folder of the cluster's unix sockets (0700, short path)."""
    work_dir: Path
    """This container's private folder for configuration and logs."""
    server: str
    """URL of the cluster's API server."""
    token: str = field(repr=False)
    """The pod's service-account token."""
    ca_file: Path
    """CA certificate of the API server."""
    stdin: bool = False
    """Whether it has a stdin that `attach` can write to."""
    tty: bool = False
    """Whether it runs on a terminal."""


class Runtime(Protocol):
    """What a component may ask of the node."""

    @property
    def log(self) -> Callable[[str], None]:
        """Write one line into the container's log."""

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> asyncio.subprocess.Process:
        """Start a child process that is recorded, and killed with the pod and by ``down``."""


Component = Callable[[Container, Runtime], Coroutine[None, None, int]]
"""Runs until cancelled (cancellation is SIGTERM) and returns the container's exit code."""
