# ruff: noqa: D102 - the node's own types document the fields
"""What a component of the mesh expects of its container and of the node that runs it.

Structural twins of the node's own types: the mesh does not import the node.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from labkit.embedded.kube import KubeClient


class Container(Protocol):
    """The container a component runs as; see the node's documentation of each field."""

    @property
    def cluster(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def pod(self) -> str: ...
    @property
    def pod_uid(self) -> str: ...
    @property
    def pod_ip(self) -> str: ...
    @property
    def service_account(self) -> str: ...
    @property
    def annotations(self) -> Mapping[str, str]: ...
    @property
    def argv(self) -> tuple[str, ...]: ...
    @property
    def env(self) -> Mapping[str, str]: ...
    @property
    def app_sockets(self) -> Mapping[int, str]: ...
    @property
    def sockets(self) -> Mapping[int, str]: ...
    @property
    def egress(self) -> str: ...
    @property
    def root(self) -> Path: ...
    @property
    def run_dir(self) -> Path: ...
    @property
    def work_dir(self) -> Path: ...
    @property
    def server(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def ca_file(self) -> Path: ...


class Runtime(Protocol):
    """What a component may ask of the node."""

    @property
    def log(self) -> Callable[[str], None]: ...

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> asyncio.subprocess.Process: ...


def kube_client(container: Container, name: str) -> KubeClient:
    """A component's way to its cluster: its own service account, its name as field manager."""
    return KubeClient(
        container.server, token=container.token, ca_file=container.ca_file, user_agent=name
    )
