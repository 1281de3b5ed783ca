"""What a chapter works with: parameters, folder, cloud, and a client for each cluster.

Chapters and checks get a `LabContext`; `labkit.lab.Lab` is one with the chapters as methods.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from labkit.clients.installed import Installed
from labkit.clients.kubernetes import Kubernetes
from labkit.clients.linkerd import Linkerd, Profile
from labkit.clients.manifests import Object
from labkit.clients.prometheus import Prometheus
from labkit.clients.releases import command_folder
from labkit.clouds import Cloud, Costs, Meter
from labkit.errors import LabkitError, StateError
from labkit.folder import LabFolder
from labkit.params import Params

logger = logging.getLogger(__name__)

WEST = "west"
EAST = "east"
CLUSTERS = (WEST, EAST)
"""West sends, east serves."""


Result = TypeVar("Result")


def in_both(work: Callable[[str], Result]) -> dict[str, Result]:
    """Do the same in west and east at the same time; the first failure is raised after both.

    Args:
        work: takes the cluster's name.
    """
    with ThreadPoolExecutor(len(CLUSTERS), thread_name_prefix="cluster") as pool:
        # The context says to which cell of a notebook the output of a thread belongs.
        tasks = {name: pool.submit(copy_context().run, work, name) for name in CLUSTERS}
    return {name: task.result() for name, task in tasks.items()}


FACTS = "facts.json"
"""File of the facts that chapters record for the summary."""


@dataclass
class LabContext:
    """One lab and the ways to its parts.

    Clients are made at first use and kept until the lab's kubeconfig is written anew: a lab that
    went down and came up again, here or in another process, has other addresses.
    """

    params: Params
    folder: LabFolder
    cloud: Cloud
    _kubernetes: dict[str, Kubernetes] = field(default_factory=dict, repr=False)
    _linkerd: dict[str, Linkerd] = field(default_factory=dict, repr=False)
    _prometheus: dict[str, Prometheus] = field(default_factory=dict, repr=False)
    _kubeconfig: tuple[int, int] | None = field(default=None, repr=False)

    @property
    def regions(self) -> Mapping[str, str]:
        """Cluster name → region slug."""
        return {WEST: self.params.west_region, EAST: self.params.east_region}

    @property
    def results(self) -> Path:
        """Where figures and samples go: the run folder, or the lab's own folder by hand."""
        path = Path(os.environ.get("LABKIT_RUN_FOLDER") or self.folder.root / "results")
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def run_name(self) -> str:
        """What samples call this run: the run folder's name, or the lab's own by hand."""
        folder = os.environ.get("LABKIT_RUN_FOLDER")
        return Path(folder).name if folder else self.params.lab_name

    def given_rtt_ms(self) -> float | None:
        """The round trip that the user gave, live or as a parameter, ms; None: the pair's own."""
        control = self.cloud.wan()
        live = None if control is None else control.show().given_rtt_ms
        return self.params.wan_rtt_ms if live is None else live

    def kubernetes(self, cluster: str) -> Kubernetes:
        """The API of one cluster.

        Raises:
            StateError: the clusters do not exist yet.
        """
        try:
            found = self.folder.kubeconfig.stat()
        except FileNotFoundError as error:
            raise StateError(
                f"The lab {self.params.lab_name} has no clusters yet",
                seen=f"{self.folder.kubeconfig} does not exist",
                fix="run notebook 01_clusters, or `labkit up`",
            ) from error
        if (stamp := (found.st_mtime_ns, found.st_ino)) != self._kubeconfig:
            self.close()
            self._kubernetes, self._prometheus, self._kubeconfig = {}, {}, stamp
        if cluster not in self._kubernetes:
            self._kubernetes[cluster] = Kubernetes(
                self.folder.kubeconfig, cluster, cache_dir=self.folder.cache
            )
        return self._kubernetes[cluster]

    def linkerd(self, cluster: str) -> Linkerd:
        """The `linkerd` command, pointed at one cluster."""
        if cluster not in self._linkerd:
            self._linkerd[cluster] = Linkerd(
                self.cloud.linkerd_command, kubeconfig=self.folder.kubeconfig, context=cluster
            )
        return self._linkerd[cluster]

    @property
    def linkerd_profile(self) -> Profile:
        """How west is linked: as the parameter asks, or as the `linkerd` command can.

        Raises:
            StateError: the parameter asks for what this `linkerd` does not have.
        """
        linkerd = self.linkerd(WEST)
        asked, able = self.params.linkerd_profile, linkerd.profile
        if asked == "current" and able == "tutorial":
            raise StateError(
                "linkerd_profile is `current`, and this linkerd has no `multicluster link-gen`",
                seen=f"linkerd {linkerd.version()}; link-gen is in 2.18 (edge-25.3.4) and later",
                fix="`labkit tools install linkerd`, or -p linkerd_profile=tutorial",
            )
        return able if asked == "auto" else asked

    def install(self, cluster: str, manifests: str | Sequence[Object]) -> None:
        """Apply objects; in a cluster that is not the lab's own, what is new is written down."""
        if self.cloud.owns_clusters:
            self.kubernetes(cluster).apply(manifests)
        else:
            self.installed(cluster).apply(self.kubernetes(cluster), manifests)

    def installed(self, cluster: str) -> Installed:
        """The record of what the lab has put into a cluster of the user's."""
        return Installed(self.folder.installed(cluster))

    def require_own(self, cluster: str, namespace: str) -> None:
        """Let pass a namespace that the lab made or may make.

        Raises:
            StateError: it was there before: nothing is applied over it.
        """
        if self.cloud.owns_clusters:
            return
        found = self.kubernetes(cluster).get("v1", "Namespace", namespace)
        if found is None:
            return
        uid = str(found["metadata"]["uid"])
        if self.installed(cluster).has("Namespace", namespace, uid=uid):
            return
        raise StateError(
            f"{cluster} has a namespace {namespace} that this lab did not make",
            seen=f"created {found['metadata'].get('creationTimestamp', 'before')}; nothing was "
            "applied",
            fix="labkit changes nothing that was there before: take another cluster, or remove "
            "that namespace yourself",
        )

    def shell_environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Variables with which a shell's `kubectl`, `linkerd` and `labkit` mean this lab.

        Where the clusters are the user's, their own kubeconfig stays behind the lab's: labkit
        finds the contexts there.
        """
        kubeconfig = [str(self.folder.kubeconfig)]
        if not self.cloud.owns_clusters:
            users = environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
            kubeconfig += [part for part in users.split(os.pathsep) if part not in kubeconfig]
        places = (str(self.folder.commands), str(command_folder()))
        own = str(Path(sys.executable).parent)  # last: of it, only `labkit` is meant
        path = [part for part in environ.get("PATH", "").split(os.pathsep) if part not in places]
        return {
            "KUBECONFIG": os.pathsep.join(kubeconfig),
            "PATH": os.pathsep.join([*places, *path, *([] if own in path else [own])]),
            "LABKIT_LAB_NAME": self.params.lab_name,
        }

    def prometheus(self, cluster: str) -> Prometheus:
        """The Prometheus of viz of one cluster, reached through the cluster."""
        kubernetes = self.kubernetes(cluster)
        if cluster not in self._prometheus:
            self._prometheus[cluster] = Prometheus(kubernetes)
        return self._prometheus[cluster]

    def close(self) -> None:
        """Close what the clients hold open; the next use opens it again."""
        for prometheus in list(self._prometheus.values()):
            prometheus.close()
        for kubernetes in list(self._kubernetes.values()):
            kubernetes.close()

    @property
    def meter(self) -> Meter:
        """What the lab has cost so far."""
        return Meter(self.folder.costs, self.cloud.name, self.cloud.bills)

    def read_meter(self) -> Costs:
        """Ask the cloud what it charges for now; a cloud that does not answer changes nothing."""
        try:
            return self.meter.update(self.cloud.charges())
        except (LabkitError, OSError) as error:
            logger.warning("the meter could not be read: %s", error)
            return self.meter.read()

    def record(self, section: str, value: object) -> None:
        """Keep the facts of one section for the summary; a second time replaces the first."""
        path = self.results / FACTS
        facts = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**facts, section: value}, indent=1))

    def forget(self, section: str) -> None:
        """Drop the facts of one section."""
        path = self.results / FACTS
        if path.exists():
            facts = json.loads(path.read_text())
            path.write_text(json.dumps({k: v for k, v in facts.items() if k != section}, indent=1))

    def recorded(self, section: str) -> Any:
        """Facts kept by `record`, None when there are none."""
        path = self.results / FACTS
        return json.loads(path.read_text()).get(section) if path.exists() else None
