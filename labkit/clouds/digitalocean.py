"""DigitalOcean as a cloud: the account, its clusters and their kubeconfigs, what they cost.

How clusters are created, removed and looked for is in `creating.py`, `teardown.py`, `audit.py`.
"""

import os
import threading
from collections.abc import Mapping
from typing import Any

import yaml

from labkit.clients.digitalocean import PUBLIC_ENDPOINT, DigitalOcean
from labkit.clients.digitalocean_values import Cluster, ClusterSpec
from labkit.clients.lab_tags import lab_tags
from labkit.clients.releases import linkerd_command
from labkit.clouds import account, charges, commands
from labkit.clouds.audit import Audit, audit
from labkit.clouds.cores import CoreTimes
from labkit.clouds.costs import Charge, Quote
from labkit.clouds.creating import Creation
from labkit.clouds.interface import ClusterFacts, Report
from labkit.clouds.prerequisites import Prerequisite
from labkit.clouds.record import RecordFile, own_clusters
from labkit.clouds.teardown import Teardown
from labkit.clouds.token import find_token
from labkit.clouds.wan import WanControl
from labkit.errors import InputError, StateError
from labkit.folder import LabFolder
from labkit.params import Params

API_URL = "DIGITALOCEAN_API_URL"
"""Environment: URL of the API, as doctl and Terraform read it."""


class DigitalOceanCloud:
    """An account at DigitalOcean."""

    name = "digitalocean"
    bills = True
    owns_clusters = True
    creation_takes = "4 to 8 min"
    """What DigitalOcean says of its clusters."""

    def __init__(self, params: Params, folder: LabFolder) -> None:
        self._params = params
        self._folder = folder
        self._client: DigitalOcean | None = None
        self._connecting = threading.Lock()  # the doctor asks several questions at a time
        self._records = RecordFile(folder.root, params.lab_name)
        self.linkerd_command = linkerd_command()

    @property
    def client(self) -> DigitalOcean:
        """The account's API.

        Raises:
            InputError: there is no token in the environment or the keyring.
        """
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> DigitalOcean:
        return connect()

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

    def _own(self) -> dict[str, Cluster]:
        """The lab's clusters by their names in the lab."""
        record = self._records.read()
        if record.is_empty:
            return {}
        prefix = f"{self._params.lab_name}-"
        found = own_clusters(self.client, record)
        return {cluster.name.removeprefix(prefix): cluster for cluster in found}

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
        own = self._own().values()
        return charges.charges(self.client, own, node_count=self._params.node_count)

    def ensure_clusters(self, regions: Mapping[str, str], report: Report) -> list[ClusterFacts]:
        """Create the missing clusters, then wait for all of them."""
        with self.client.telling(lambda text: report("account", text)):
            version = self._version()
            wanted = {name: self._spec(name, region, version) for name, region in regions.items()}
            creation = Creation(self.client, self._records, report, self.creation_takes)
            return [_facts(name, item) for name, item in creation.ensure(wanted).items()]

    def _spec(self, name: str, region: str, version: str) -> ClusterSpec:
        full_name = f"{self._params.lab_name}-{name}"
        return ClusterSpec(
            name=full_name,
            region=region,
            version=version,
            node_size=self._params.node_size,
            node_count=self._params.node_count,
            tags=lab_tags(
                self._params.lab_name,
                cluster=full_name,
                nonce=self._records.nonce(),
                ttl_hours=self._params.ttl_hours,
            ),
        )

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
        """The lab's clusters: tags, name and id agree with its record."""
        return [_facts(name, cluster) for name, cluster in self._own().items()]

    def wan(self) -> WanControl | None:
        """None: the network is a real one."""
        return None

    def core_times(self) -> CoreTimes | None:
        """None: nodes are machines of their own."""
        return None

    def kubeconfig(self, cluster: str) -> dict[str, Any]:
        """As DigitalOcean hands it out."""
        found = self._own().get(cluster)
        if found is None:
            raise StateError(f"The lab has no cluster {cluster}", fix="run `labkit up`")
        content: dict[str, Any] = yaml.safe_load(self.client.wait_kubeconfig(found.id))
        return content

    def api_address(self, cluster: str) -> str:
        """The endpoint in the kubeconfig is public."""
        del cluster
        return ""

    def delete_clusters(self, report: Report) -> list[str]:
        """Delete clusters with their load balancers, volumes and snapshots, and wait for it."""
        if self._records.read().is_empty:
            return []
        with self.client.telling(lambda text: report("account", text)):
            return Teardown(self.client, self._records, report).run()

    def audit(self) -> Audit:
        """What the account has of this lab."""
        return audit(self.client, [self._records.read()], lab=self._params.lab_name)

    def leftovers(self) -> list[str]:
        """What the audit finds, in words."""
        return [str(item) for item in self.audit().left]

    def stop(self) -> dict[str, Any]:
        """Nothing runs here for this cloud."""
        return {"was_running": False, "ended": [], "processes_left": []}

    def status(self) -> dict[str, Any]:
        """Whether the account answers."""
        return {"running": True, "processes": []}


def connect() -> DigitalOcean:
    """The account that the token opens; `DIGITALOCEAN_API_URL` may name another API.

    Raises:
        InputError: there is no token in the environment or the keyring.
    """
    token = find_token()
    if token.value:
        return DigitalOcean(token.value, endpoint=os.environ.get(API_URL) or PUBLIC_ENDPOINT)
    raise InputError(
        "The cloud digitalocean needs an API token",
        problems=token.tried,
        fix="create one with the scopes kubernetes and load_balancer, export DIGITALOCEAN_TOKEN",
    )


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
