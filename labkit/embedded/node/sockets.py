"""Which real sockets a pod has: decided before its containers start, then told to everybody.

See the annotations' meaning in ``docs/architecture.md``: ``app-sockets`` is where the containers
themselves listen, ``sockets`` is where a connection to the pod's virtual address lands (the
proxy's listeners in a meshed pod), ``egress`` is the pod's way out.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.embedded.ports import allocate_port, release_port

SOCKETS = "network.labkit.dev/sockets"
APP_SOCKETS = "network.labkit.dev/app-sockets"
EGRESS = "network.labkit.dev/egress"

PROXY_CONTAINER = "linkerd-proxy"
PROXY_PORTS = (4143, 4190, 4191)
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


@dataclass(frozen=True)
class PodSockets:
    """The real sockets of one pod, each ``127.0.0.1:N``."""

    app: Mapping[int, str]
    outside: Mapping[int, str]
    egress: str
    meshed: bool

    def annotations(self) -> dict[str, str]:
        """As written on the pod."""
        return {
            SOCKETS: json.dumps({str(port): to for port, to in self.outside.items()}),
            APP_SOCKETS: json.dumps({str(port): to for port, to in self.app.items()}),
            EGRESS: self.egress,
        }

    def local(self, port: int) -> str | None:
        """Where a probe or a port-forward to this port goes."""
        return self.app.get(port) or self.outside.get(port)

    def release(self) -> None:
        """Give the ports back; every listener must be closed."""
        for address in {*self.app.values(), *self.outside.values(), self.egress}:
            release_port(int(address.rpartition(":")[2]))


def containers_of(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every container of a pod, init containers first."""
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def is_meshed(spec: Mapping[str, Any]) -> bool:
    """Whether the pod carries Linkerd's proxy."""
    return any(item["name"] == PROXY_CONTAINER for item in containers_of(spec))


def declared_ports(container: Mapping[str, Any]) -> list[int]:
    """The ports a container listens on: declared, or asked for by its probes."""
    ports = [int(port["containerPort"]) for port in container.get("ports") or []]
    for probe in _PROBES:
        action = container.get(probe) or {}
        target = (action.get("httpGet") or action.get("tcpSocket") or {}).get("port")
        if isinstance(target, int):
            ports.append(target)
    return list(dict.fromkeys(ports))


def allocate(
    spec: Mapping[str, Any], exposed: Callable[[str], Sequence[int]] = lambda _: ()
) -> PodSockets:
    """Choose free sockets for a pod.

    Args:
        spec: of the pod.
        exposed: ports of an image that its programs listen on though no container declares them.
    """
    meshed = is_meshed(spec)
    app: dict[int, str] = {}
    for container in containers_of(spec):
        if container["name"] != PROXY_CONTAINER:
            for port in (*declared_ports(container), *exposed(container.get("image", ""))):
                app.setdefault(port, _free())
    if not meshed:
        return PodSockets(app=app, outside=dict(app), egress=_free(), meshed=False)
    outside = {port: _free() for port in app}
    outside.update({port: _free() for port in PROXY_PORTS})
    return PodSockets(app=app, outside=outside, egress=_free(), meshed=True)


def _free() -> str:
    return f"127.0.0.1:{allocate_port()}"


def port_number(container: Mapping[str, Any], port: int | str) -> int | None:
    """The number of a port given by number or by name."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for declared in container.get("ports") or []:
        if declared.get("name") == port:
            return int(declared["containerPort"])
    return None
