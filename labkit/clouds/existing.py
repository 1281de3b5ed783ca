"""Two clusters that the user has: labkit installs into them, and creates and deletes none."""

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from labkit.clients.releases import linkerd_command
from labkit.clouds import commands, contexts
from labkit.clouds.audit import Audit
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

    def delete_clusters(self, report: Report) -> list[str]:
        """The clusters stay."""
        for name in self._contexts:
            report(name, "kept: it is yours")
        return []

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
