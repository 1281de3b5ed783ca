"""What every cloud offers, and the values it answers with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from labkit.clouds.audit import Audit
from labkit.clouds.cores import CoreTimes
from labkit.clouds.costs import Charge, Quote
from labkit.clouds.prerequisites import Prerequisite
from labkit.clouds.wan import WanControl

Report = Callable[[str, str], None]
"""Called with a cluster's name and what is happening to it."""


@dataclass(frozen=True)
class ClusterFacts:
    """One cluster of the lab."""

    name: str
    region: str
    version: str
    node_size: str
    nodes: int
    state: str
    endpoint: str


class Cloud(Protocol):
    """Where the two clusters live.

    Attributes:
        name: as in the parameter `cloud`.
        bills: whether what is created there costs money.
        owns_clusters: whether the clusters, and all that is in them, are the lab's own.
        linkerd_command: the command with leading arguments.
    """

    name: str
    bills: bool
    owns_clusters: bool
    linkerd_command: tuple[str, ...]

    def prerequisites(self) -> tuple[Prerequisite, ...]:
        """What must hold before clusters are asked for; nothing is started or created."""

    def secrets(self) -> list[str]:
        """What opens this cloud and must not be in anything that is kept."""

    def start(self) -> bool:
        """Make the cloud reachable; False when it already was."""

    def quote(self) -> Quote:
        """What the lab would cost at list prices."""

    def charges(self) -> tuple[Charge, ...]:
        """What the lab has now that has a price, whether or not this cloud bills it."""

    def ensure_clusters(self, regions: Mapping[str, str], report: Report) -> list[ClusterFacts]:
        """Create the missing clusters (name → region) and wait until all run."""

    def clusters(self) -> list[ClusterFacts]:
        """The lab's clusters as they are now."""

    def wan(self) -> WanControl | None:
        """The network between the regions, None where it is a real one that nobody can set."""

    def core_times(self) -> CoreTimes | None:
        """The cores that both clusters and this program share, None where they have their own."""

    def kubeconfig(self, cluster: str) -> dict[str, Any]:
        """The kubeconfig of one cluster, with one cluster, user and context."""

    def api_address(self, cluster: str) -> str:
        """URL of a cluster's API as the other cluster reaches it; empty: as its kubeconfig says."""

    def delete_clusters(self, report: Report) -> list[str]:
        """Delete the lab's clusters with everything they made; returns what was deleted."""

    def audit(self) -> Audit:
        """What the account has of the lab now, with its price."""

    def leftovers(self) -> list[str]:
        """The same as words, one for each thing that is billed or would be."""

    def stop(self) -> dict[str, Any]:
        """End what was started for the cloud; `processes_left` names what still runs."""

    def status(self) -> dict[str, Any]:
        """Facts about the cloud: running, processes."""
