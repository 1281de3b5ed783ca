"""The proxies and programs that measure: every figure names one of them."""

from dataclasses import dataclass

from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.traffic import BOT
from labkit.context import EAST, WEST


@dataclass(frozen=True)
class Vantage:
    """A proxy that measures.

    Attributes:
        name: for people and tables.
        cluster: where it is.
        workload: whose proxy.
        direction: `outbound` or `inbound`.
        destination: cluster that serves the requests it sees.
        service: what they call.
        target: mirrored cluster that the requests go to, None for any.
        kind: what the workload is: `deployment`, or `pod` of one that stands alone.
    """

    name: str
    cluster: str
    workload: str
    direction: str
    destination: str
    service: str
    target: str | None = None
    kind: str = "deployment"

    @property
    def selector(self) -> str:
        """Its series in Prometheus."""
        target = f',dst_target_cluster="{self.target}"' if self.target else ""
        return f'direction="{self.direction}",{self.kind}="{self.workload}"{target}'


SERVICE = f"web-svc.{NAMESPACE}"
MIRRORED = f"web-svc-{EAST}.{NAMESPACE}"

SOURCE = Vantage(f"{BOT} outbound (west)", WEST, BOT, "outbound", EAST, MIRRORED, EAST)
GATEWAY = Vantage(
    "linkerd-gateway outbound (east)", EAST, "linkerd-gateway", "outbound", EAST, SERVICE
)
SERVED = Vantage("web inbound (east)", EAST, "web", "inbound", EAST, SERVICE)
VANTAGES = (SOURCE, GATEWAY, SERVED)

PROBE = "service mirror's probe (west)"
"""Vantage point of the gateway probe."""
