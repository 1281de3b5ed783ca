"""Two clusters that the user has: labkit installs into them, and creates and deletes none.

What it installs is written down (labkit/clients/installed.py), and `down` removes just that.
"""

import json
import subprocess
from collections.abc import Mapping
from functools import partial
from typing import Any

from labkit.clients.installed import Installed
from labkit.clients.releases import linkerd_command
from labkit.clouds import commands, contexts
from labkit.clouds.audit import Audit
from labkit.clouds.cores import CoreTimes
from labkit.clouds.costs import Charge, Quote
from labkit.clouds.interface import ClusterFacts, Report
from labkit.clouds.prerequisites import Prerequisite
from labkit.clouds.wan import WanControl
from labkit.errors import StateError
from labkit.folder import LabFolder
from labkit.params import Params


class ExistingCloud:
    """Two clusters the user has; labkit installs into them and creates none."""

    name = "existing"
    bills = False
    owns_clusters = False

    def __init__(self, params: Params, folder: LabFolder) -> None:
        self._params = params
        self._folder = folder
        self.linkerd_command = linkerd_command()
        self._contexts = {"west": params.west_context, "east": params.east_context}

    def start(self) -> bool:
        """Nothing to start."""
        return False

    def secrets(self) -> list[str]:
        """None beside the kubeconfigs' own."""
        return []

    def prerequisites(self) -> tuple[Prerequisite, ...]:
        """What the two clusters must offer."""
        return (
            commands.linkerd(self.linkerd_command),
            *contexts.of_the_contexts(self.kubeconfig, self._contexts, self.linkerd_command),
        )

    def quote(self) -> Quote:
        """The clusters are the user's."""
        text = "labkit creates nothing that is billed here; the clusters are yours"
        return Quote((), billed=self.bills, text=text)

    def charges(self) -> tuple[Charge, ...]:
        """None that labkit knows of."""
        return ()

    def ensure_clusters(self, regions: Mapping[str, str], report: Report) -> list[ClusterFacts]:
        """Check that both contexts exist."""
        for name in regions:
            self.kubeconfig(name)
            report(name, f"context {self._contexts[name]}")
        return self.clusters()

    def clusters(self) -> list[ClusterFacts]:
        """The two contexts."""
        regions = {"west": self._params.west_region, "east": self._params.east_region}
        return [
            ClusterFacts(
                name=name,
                region=regions[name],
                version="",
                node_size="",
                nodes=0,
                state="running",
                endpoint=self.kubeconfig(name)["clusters"][0]["cluster"]["server"],
            )
            for name in self._contexts
        ]

    def wan(self) -> WanControl | None:
        """None: the network is a real one."""
        return None

    def core_times(self) -> CoreTimes | None:
        """None: nobody knows where the nodes are."""
        return None

    def kubeconfig(self, cluster: str) -> dict[str, Any]:
        """The part of the user's kubeconfig that the context needs."""
        argv = ["kubectl", "config", "view", "--minify", "--flatten", "--raw", "-o", "json"]
        context = self._contexts[cluster] or ""
        done = subprocess.run(
            [*argv, "--context", context], capture_output=True, text=True, timeout=30, check=False
        )
        if done.returncode != 0:
            raise StateError(
                f"The kubeconfig has no usable context {context} for {cluster}",
                seen=done.stderr.strip(),
                fix="`kubectl config get-contexts` lists yours; set west_context and east_context",
            )
        content: dict[str, Any] = json.loads(done.stdout)
        return content

    def api_address(self, cluster: str) -> str:
        """East's as the parameter says; a loopback address leads nowhere from inside a cluster.

        Raises:
            StateError: it is loopback, and the parameter says nothing.
        """
        server = str(self.kubeconfig(cluster)["clusters"][0]["cluster"]["server"])
        if cluster == "east" and self._params.east_api_address:
            return self._params.east_api_address
        if contexts.is_loopback(server):
            raise StateError(
                f"The API server of {cluster} is not reachable from the other cluster",
                seen=f"its kubeconfig says {server}, which is this machine for whoever reads it",
                fix=f"-p {cluster}_api_address=https://HOST:6443; kind: the container's address, "
                "docs/real-clouds.md",
            )
        return ""

    def delete_clusters(self, report: Report) -> list[str]:
        """The clusters stay; what the lab has put into them is removed."""
        removed = []
        for name in self._contexts:
            record = Installed(self._folder.installed(name))
            if not record.path.exists():
                report(name, "kept: it is yours, and nothing of the lab is in it")
                continue
            with contexts.client(self.kubeconfig, name) as kubernetes:
                found = record.take_out(kubernetes, partial(report, name))
            removed += [f"{item} from {name}" for item in found]
            report(name, "kept: it is yours; what the lab had installed is removed")
        return removed

    def audit(self) -> Audit:
        """Labkit makes nothing in the account that the clusters are in."""
        return Audit()

    def leftovers(self) -> list[str]:
        """Nothing here is billed to the lab."""
        return []

    def stop(self) -> dict[str, Any]:
        """Nothing was started."""
        return {"was_running": False, "ended": [], "processes_left": []}

    def status(self) -> dict[str, Any]:
        """Always there."""
        return {"running": True, "processes": []}
