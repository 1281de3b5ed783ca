"""What a container asks of the pod that it belongs to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from labkit.embedded.images.catalog import Program
from labkit.embedded.node.config import NodeConfig
from labkit.embedded.node.programs import Container
from labkit.embedded.node.status import ContainerState


class Owner(Protocol):
    """What a container's life needs of its pod."""

    config: NodeConfig
    pod_ip: str
    title: str
    """``NAME_NAMESPACE(UID)`` as in the kubelet's messages."""

    def changed(self) -> None:
        """The container's state changed: write the status."""

    def event(self, reason: str, message: str, state: ContainerState) -> None:
        """Record an event about a container."""

    async def prepare(self, spec: Mapping[str, Any], program: Program, folder: Path) -> Container:
        """Everything the program is told; volumes are linked into its root."""

    async def arguments(self, spec: Mapping[str, Any]) -> tuple[str, ...]:
        """Command line of the container, variables replaced."""

    def locate(self, port: int) -> str | None:
        """Real socket of a port, for probes."""
