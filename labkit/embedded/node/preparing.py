"""What a container of a pod is told, made from the pod, its node and its sockets.

Nothing here starts or writes anything; the order in which a pod comes to life is in
:mod:`labkit.embedded.node.pods`.
"""

import os
from collections.abc import Awaitable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from labkit.embedded.images.catalog import Program
from labkit.embedded.node.context import NodeContext
from labkit.embedded.node.environment import command_line
from labkit.embedded.node.programs import Container
from labkit.embedded.node.sockets import PodSockets

Object = dict[str, Any]

ROOT, WORK = "root", "work"
"""Folders of a container: its file system, and what its program keeps for itself."""

_KEPT_S = 2.0


class Read(Protocol):
    """Reads a secret or config map."""

    def __call__(self, kind: str, *, name: str) -> Awaitable[Object | None]:
        """The object, None when it does not exist."""


class Remembered:
    """Secrets and config maps of a pod's namespace, remembered for a moment.

    Args:
        read: asks the API server.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._kept: dict[tuple[str, str], tuple[float, Object | None]] = {}

    async def read(self, kind: str, name: str) -> Object | None:
        """An object; None when it does not exist."""
        at, found = self._kept.get((kind, name), (float("-inf"), None))
        if found is None or monotonic() - at > _KEPT_S:
            found = await self._read(kind, name=name)
            self._kept[kind, name] = (monotonic(), found)
        return found

    def forget(self) -> None:
        """Ask anew from now on."""
        self._kept.clear()


def as_known_here(pod: Object, *, sockets: PodSockets | None, pod_ip: str, host_ip: str) -> Object:
    """The pod with what its node knows about it already."""
    metadata = dict(pod["metadata"])
    if sockets:
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **sockets.annotations()}
    status = dict(pod.get("status") or {})
    status.update(podIP=pod_ip, podIPs=[{"ip": pod_ip}], hostIP=host_ip)
    return {**pod, "metadata": metadata, "status": status}


def needs_node_proxy(program: Program, sockets: PodSockets | None) -> bool:
    """A process without a sidecar does; with one Envoy per cluster, every meshed pod too."""
    meshed = sockets is not None and sockets.meshed
    shared = os.environ.get("LABKIT_PROXY_GROUPING") == "cluster"
    return shared if meshed else program.kind != "component"


def container_of(
    node: NodeContext,
    pod: Object,
    spec: Mapping[str, Any],
    *,
    sockets: PodSockets | None,
    env: Mapping[str, str],
    token: str,
    folder: Path,
) -> Container:
    """Everything a program is told.

    Args:
        node: where the pod runs.
        pod: as it is known here.
        spec: of the container.
        sockets: of the pod; None when it has none yet.
        env: of the container, variables replaced.
        token: for the API server; empty for programs that get it as a file.
        folder: of the container.
    """
    found = sockets or PodSockets(app={}, outside={}, egress="", meshed=False)
    metadata = pod["metadata"]
    return Container(
        cluster=node.cluster,
        namespace=metadata["namespace"],
        pod=metadata["name"],
        pod_uid=metadata["uid"],
        pod_ip=pod["status"]["podIP"],
        service_account=pod["spec"].get("serviceAccountName") or "default",
        labels=dict(metadata.get("labels") or {}),
        annotations=dict(metadata.get("annotations") or {}),
        name=spec["name"],
        image=spec["image"],
        argv=command_line(spec, env),
        stdin=bool(spec.get("stdin")),
        tty=bool(spec.get("tty")),
        env=env,
        app_sockets=found.app,
        sockets=found.outside,
        egress=found.egress,
        root=folder / ROOT,
        run_dir=node.config.run_dir,
        work_dir=folder / WORK,
        server=node.config.server,
        token=token,
        ca_file=node.config.ca_file,
    )
