"""DigitalOcean as a cloud: clusters by name and the lab's tag, costs from its price list."""

from collections.abc import Mapping
from typing import Any

import yaml

from labkit.clients.digitalocean import PUBLIC_ENDPOINT, DigitalOcean
from labkit.clients.digitalocean_values import Cluster, ClusterSpec, lab_tags
from labkit.clouds import account, charges, commands
from labkit.clouds.costs import Charge, Quote
from labkit.clouds.interface import ClusterFacts, Report
from labkit.clouds.prerequisites import Prerequisite
from labkit.clouds.token import find_token
from labkit.clouds.wan import WanControl
from labkit.errors import InputError, StateError
from labkit.folder import LabFolder
from labkit.params import Params


class DigitalOceanCloud:
    """An account at DigitalOcean."""

    name = "digitalocean"
    bills = True

    def __init__(self, params: Params, folder: LabFolder) -> None:
        self._params = params
        self._folder = folder
        self._client: DigitalOcean | None = None
        self.linkerd_command: tuple[str, ...] = ("linkerd",)

    @property
    def client(self) -> DigitalOcean:
        """The account's API.

        Raises:
            InputError: there is no token in the environment or the keyring.
        """
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> DigitalOcean:
        token = find_token()
        if token.value:
            return DigitalOcean(token.value, endpoint=PUBLIC_ENDPOINT)
        raise InputError(
            "The cloud digitalocean needs an API token",
            problems=token.tried,
            fix="create one with the scopes kubernetes and load_balancer, "
            "export DIGITALOCEAN_TOKEN",
        )

    def secrets(self) -> list[str]:
        """The token."""
        return [find_token().value]

    def prerequisites(self) -> tuple[Prerequisite, ...]:
        """The token, and what the account offers and permits."""
        return (
            commands.linkerd(self.linkerd_command),
            account.token(),
            *self._of_the_account(),
        )

    def _of_the_account(self) -> tuple[Prerequisite, ...]:
        return account.of_the_account(lambda: self.client, self._params, self.linkerd_command)

    def _full_name(self, cluster: str) -> str:
        return f"{self._params.lab_name}-{cluster}"

    def _find(self, cluster: str) -> Cluster | None:
        tag = f"lab:{self._params.lab_name}"
        for found in self.client.clusters(tag=tag):
            if found.name == self._full_name(cluster):
                return found
        return None

    def start(self) -> bool:
        """Check that the token works."""
        self.client.account()
        return False

    def quote(self) -> Quote:
        """Nodes and load balancers at list price."""
        return charges.quote(
            self.client,
            node_size=self._params.node_size,
            node_count=self._params.node_count,
            billed=self.bills,
        )

    def charges(self) -> tuple[Charge, ...]:
        """Nodes and load balancers that the lab has now."""
        own = self.client.clusters(tag=f"lab:{self._params.lab_name}")
        return charges.charges(self.client, own, node_count=self._params.node_count)

    def ensure_clusters(self, regions: Mapping[str, str], report: Report) -> list[ClusterFacts]:
        """Create the missing clusters, then wait for all of them."""
        version = self._version()
        tags = lab_tags(self._params.lab_name, ttl_hours=self._params.ttl_hours)
        created = {}
        for name, region in regions.items():
            report(name, f"creating in {region}")
            spec = ClusterSpec(
                name=self._full_name(name),
                region=region,
                version=version,
                node_size=self._params.node_size,
                node_count=self._params.node_count,
                tags=tags,
            )
            created[name] = self.client.create_cluster(spec)
        facts = []
        for name, cluster in created.items():

            def on_progress(seen: Cluster, elapsed_s: float, name: str = name) -> None:
                report(name, f"{seen.state}, {elapsed_s:.0f} s")

            running = self.client.wait_running(cluster.id, on_progress=on_progress)
            facts.append(_facts(name, running))
        return facts

    def _version(self) -> str:
        """The version slug to ask for.

        Raises:
            InputError: it is not offered.
        """
        asked = self._params.kubernetes_version
        offered = self.client.options().versions
        if asked == "latest":
            return next(iter(offered))
        for slug, version in offered.items():
            if asked in (slug, version) or version.startswith(f"{asked}."):
                return slug
        raise InputError(
            "Parameters do not fit the cloud",
            problems=[f"kubernetes_version: `{asked}` is not offered"],
            fix=f"choose one of {', '.join(offered)}",
        )

    def clusters(self) -> list[ClusterFacts]:
        """The lab's clusters, by the lab's tag."""
        prefix = f"{self._params.lab_name}-"
        found = self.client.clusters(tag=f"lab:{self._params.lab_name}")
        return [_facts(cluster.name.removeprefix(prefix), cluster) for cluster in found]

    def wan(self) -> WanControl | None:
        """None: the network is a real one."""
        return None

    def kubeconfig(self, cluster: str) -> dict[str, Any]:
        """As DigitalOcean hands it out."""
        found = self._find(cluster)
        if found is None:
            raise StateError(f"The lab has no cluster {cluster}", fix="run `labkit up`")
        content: dict[str, Any] = yaml.safe_load(self.client.kubeconfig(found.id))
        return content

    def delete_clusters(self, report: Report) -> list[str]:
        """Delete clusters with their load balancers, volumes and snapshots."""
        deleted = []
        prefix = f"{self._params.lab_name}-"
        clusters = self.client.clusters(tag=f"lab:{self._params.lab_name}")
        for cluster in clusters:
            name = cluster.name.removeprefix(prefix)
            report(name, "deleting")
            resources = self.client.delete_cluster(cluster.id)
            deleted.append(f"cluster {cluster.name}")
            deleted += [f"load balancer {item}" for item in resources.load_balancers.values()]
            deleted += [f"volume {item}" for item in resources.volumes.values()]
        for cluster in clusters:
            self.client.wait_deleted(cluster.id)
            report(cluster.name.removeprefix(prefix), "deleted")
        return deleted

    def leftovers(self) -> list[str]:
        """Clusters of the lab; a load balancer goes with its cluster, which is deleted with it."""
        return [
            f"cluster {cluster.name} ({cluster.state})"
            for cluster in self.client.clusters(tag=f"lab:{self._params.lab_name}")
        ]

    def stop(self) -> dict[str, Any]:
        """Nothing runs here for this cloud."""
        return {"was_running": False, "ended": [], "processes_left": []}

    def status(self) -> dict[str, Any]:
        """Whether the account answers."""
        return {"running": True, "processes": []}


def _facts(name: str, cluster: Cluster) -> ClusterFacts:
    return ClusterFacts(
        name=name,
        region=cluster.region,
        version=cluster.version,
        node_size=cluster.node_size,
        nodes=len(cluster.node_names),
        state=cluster.state,
        endpoint=cluster.endpoint,
    )
