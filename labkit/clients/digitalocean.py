"""DigitalOcean through its own client pydo, with pydo's traps closed.

The same code talks to api.digitalocean.com and to the embedded cloud; only endpoint and
authority differ. What pydo leaves to its caller is done here: a 404 is an answer there and an
error here, a kubeconfig is YAML that pydo cannot read, a create is never repeated blindly (a
second cluster would be billed) but looked up by name and tags, lists are paged, and the token
shows in no message, log or repr. It does not decide what to create or delete.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

from labkit.clients.digitalocean_errors import Translator, message_of, retry_after_of
from labkit.clients.digitalocean_resources import Resources
from labkit.clients.digitalocean_values import (
    Account,
    AssociatedResources,
    Cluster,
    ClusterSpec,
    KubernetesOptions,
    RegionOffer,
    Size,
    account_of,
    associated_of,
    cluster_of,
    options_of,
    region_of,
    size_of,
)
from labkit.clients.digitalocean_wire import Tell, Wire, is_passing
from labkit.clients.lab_tags import identity
from labkit.errors import CloudError, StateError, WaitTimeout

PUBLIC_ENDPOINT = "https://api.digitalocean.com"

SETTLE_S = 10.0
"""How long lists may lag behind a create, in seconds."""

_MAX_POLL_S = 10.0
_MIN_POLL_S = 0.05
_CONNECT_TIMEOUT_S = 10
_READ_TIMEOUT_S = 60
_CREATE_TRIES = 3
_DELETE_TRIES = 3

Progress = Callable[[Cluster, float], None]
"""Called with the cluster as last seen and the seconds waited."""


class DigitalOcean:
    """One account.

    Args:
        token: API token; kept out of every repr and message.
        endpoint: `https://…` of the API.
        ca_file: authority of the endpoint's certificate; None takes the public ones.
        settle_s: how long a create whose answer was lost is looked for.

    Example:
        >>> cloud = DigitalOcean(os.environ["DIGITALOCEAN_TOKEN"])
        >>> cloud.account().status
        'active'
    """

    def __init__(
        self,
        token: str,
        *,
        endpoint: str = PUBLIC_ENDPOINT,
        ca_file: Path | None = None,
        settle_s: float = SETTLE_S,
    ) -> None:
        from pydo import Client

        self._wire = Wire(Translator(endpoint, token))
        self._call = self._wire.call
        self._settle_s = settle_s
        self.endpoint = endpoint
        self._client: Any = Client(
            token=token,
            endpoint=endpoint,
            connection_verify=True if ca_file is None else str(ca_file),
            connection_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            retry_total=0,  # the wire repeats what may be repeated, and says so
            logging_enable=False,
        )
        self.resources = Resources(self._wire, self._client)

    def __repr__(self) -> str:
        return f"DigitalOcean(endpoint={self.endpoint!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def telling(self, tell: Tell) -> AbstractContextManager[None]:
        """Tell somebody about every wait of the requests inside a block."""
        return self._wire.telling(tell)

    # --- what there is ------------------------------------------------------------------

    def account(self) -> Account:
        """Return the account behind the token."""
        body = self._call("Reading the account", self._client.account.get)
        return account_of(body["account"])

    def regions(self) -> list[RegionOffer]:
        """Return all regions."""
        raw = self._wire.pages("Listing regions", self._client.regions.list, key="regions")
        return [region_of(item) for item in raw]

    def sizes(self) -> list[Size]:
        """Return all sizes with their prices."""
        raw = self._wire.pages("Listing sizes", self._client.sizes.list, key="sizes")
        return [size_of(item) for item in raw]

    def options(self) -> KubernetesOptions:
        """Return the versions, regions and sizes offered for Kubernetes."""
        body = self._call("Reading Kubernetes options", self._client.kubernetes.list_options)
        return options_of(body["options"])

    # --- clusters -----------------------------------------------------------------------

    def clusters(self) -> list[Cluster]:
        """Return all clusters of the account."""
        raw = self._wire.pages(
            "Listing Kubernetes clusters",
            self._client.kubernetes.list_clusters,
            key="kubernetes_clusters",
        )
        return [cluster_of(item) for item in raw]

    def find_cluster(self, name: str) -> Cluster | None:
        """Return the cluster of this name, None if there is none."""
        return next((cluster for cluster in self.clusters() if cluster.name == name), None)

    def cluster(self, cluster_id: str) -> Cluster:
        """Return a cluster.

        Raises:
            CloudError: status 404, there is none.
        """
        body = self._call(
            f"Reading cluster {cluster_id}",
            self._client.kubernetes.get_cluster,
            cluster_id=cluster_id,
        )
        return cluster_of(body["kubernetes_cluster"])

    def find(self, cluster_id: str) -> Cluster | None:
        """Return a cluster by its id, None when it is gone."""
        try:
            found = self.cluster(cluster_id)
        except CloudError as error:
            if error.status == 404:
                return None
            raise
        return None if found.state == "deleted" else found

    def create_cluster(self, spec: ClusterSpec) -> Cluster:
        """Create a cluster, or return the one that an earlier call has created.

        Before every request the cluster is looked up by name and tags, so that none is created
        twice. When the outcome is unknown (no answer, 5xx), it is looked for as long as lists may
        lag behind.

        Raises:
            StateError: a cluster of that name exists and is not this lab's.
            CloudError: refused, or still no success after several tries.
        """
        what = f"Creating cluster {spec.name} in {spec.region}"
        patience = self._wire.patience(what, tries=_CREATE_TRIES)
        found = self._settled(spec) if spec.asked_before else self._own_cluster(spec)
        while found is None:
            try:
                body = self._wire.once(
                    what, self._client.kubernetes.create_cluster, body=spec.body()
                )
                return cluster_of(body["kubernetes_cluster"])
            except CloudError as error:
                taken = error.status in (409, 422) and "exist" in error.seen
                if not (is_passing(error) or taken):
                    raise
                if error.status != 429:  # a 429 was not executed
                    found = self._settled(spec)
                if found is None:
                    patience.wait(error)
                    found = self._own_cluster(spec)
        return found

    def _settled(self, spec: ClusterSpec) -> Cluster | None:
        """Look for a cluster that may have been created, as long as lists may lag behind."""
        for elapsed_s in _looks(self._settle_s):
            found = self._own_cluster(spec)
            if found is not None:
                return found
            self._wire.tell(
                f"{spec.name} may have been created by a request without an answer; looking for "
                f"it ({elapsed_s:.0f} of {self._settle_s:.0f} s)"
            )
        return None

    def _own_cluster(self, spec: ClusterSpec) -> Cluster | None:
        """Return the cluster of the spec's name if its tags are those of its lab."""
        existing = self.find_cluster(spec.name)
        if existing is None:
            return None
        if not set(identity(spec.tags)) <= set(existing.tags):
            raise StateError(
                f"A cluster named {spec.name} exists already and is not of this lab",
                seen=f"id {existing.id}, tags {', '.join(existing.tags) or 'none'}",
                fix="choose another lab_name; or remove that cluster: `labkit reap` when it is a "
                "lab's, the control panel otherwise",
            )
        return existing

    def wait_running(
        self, cluster_id: str, *, timeout_s: float = 900.0, on_progress: Progress | None = None
    ) -> Cluster:
        """Wait until a cluster and its nodes run.

        Args:
            cluster_id: the cluster.
            timeout_s: seconds; a real cluster takes 4 to 8 minutes.
            on_progress: called after each look.

        Raises:
            WaitTimeout: not running in time; `seen` is the last state.
            CloudError: provisioning ended in an error.
        """
        for elapsed_s in _looks(timeout_s):
            cluster = self.cluster(cluster_id)
            if on_progress is not None:
                on_progress(cluster, elapsed_s)
            if cluster.is_running:
                return cluster
            if cluster.state in {"error", "deleted", "deleting"}:
                raise CloudError(
                    f"Cluster {cluster.name} will not run",
                    seen=f"state {cluster.state} {cluster.message}".strip(),
                    fix="`labkit down`, then `labkit up`; look at status.digitalocean.com",
                )
        raise WaitTimeout(
            f"Cluster {cluster.name} is not running after {timeout_s:.0f} s",
            seen=f"state {cluster.state}, {cluster.nodes_running} of "
            f"{len(cluster.node_names)} nodes running",
            fix="run the same command again, it continues to wait",
        )

    def kubeconfig(self, cluster_id: str) -> str:
        """Return a cluster's kubeconfig (YAML, holds a credential).

        Raises:
            CloudError: 404, or the cluster does not run yet.
        """
        from azure.core.rest import HttpRequest

        what = f"Reading the kubeconfig of cluster {cluster_id}"
        path = f"/v2/kubernetes/clusters/{cluster_id}/kubeconfig"

        def request() -> str:
            self._wire.within_budget(what)
            with self._wire.errors.translated(what):
                # pydo's own operation cannot decode application/yaml; streaming skips its decoder.
                response = self._client.send_request(HttpRequest("GET", path), stream=True)
                text = response.read().decode("utf-8")
            if response.status_code != 200:
                raise self._wire.errors.refusal(
                    what,
                    response.status_code,
                    message_of(text),
                    retry_after_s=retry_after_of(response.headers),
                )
            return str(text)

        return str(self._wire.repeated(what, request))

    def wait_kubeconfig(self, cluster_id: str, *, timeout_s: float = 120.0) -> str:
        """Return a running cluster's kubeconfig as soon as it is handed out.

        Raises:
            CloudError: 404 or 422 after `timeout_s`, or any other refusal.
        """
        for elapsed_s in _looks(timeout_s):
            try:
                return self.kubeconfig(cluster_id)
            except CloudError as error:
                if error.status not in (404, 409, 412, 422):
                    raise
                refused = error
            self._wire.tell(f"no kubeconfig yet ({elapsed_s:.0f} s)")
        raise refused

    def associated_resources(self, cluster_id: str) -> AssociatedResources:
        """Return what a cluster made in the account (load balancers, volumes, snapshots)."""
        body = self._call(
            f"Listing the resources of cluster {cluster_id}",
            self._client.kubernetes.list_associated_resources,
            cluster_id=cluster_id,
        )
        return associated_of(body)

    def delete_cluster(
        self, cluster_id: str, *, remember: Callable[[AssociatedResources], None]
    ) -> AssociatedResources:
        """Delete a cluster with everything it made; a cluster that is gone is no error.

        Args:
            cluster_id: the cluster.
            remember: called with what it made before anything is deleted.

        Returns:
            What was deleted with it, listed before.
        """
        known = AssociatedResources({}, {}, {})
        for last in (False,) * (_DELETE_TRIES - 1) + (True,):
            try:
                resources = self.associated_resources(cluster_id)
                known = known.merged(resources)
                remember(known)
                self._destroy(cluster_id, resources)
            except CloudError as error:
                if error.status == 404:
                    break
                # What it made has changed since it was listed, or an earlier try was executed.
                if error.status not in (409, 422) or (last and not self._is_leaving(cluster_id)):
                    raise
                continue
            break
        return known

    def _destroy(self, cluster_id: str, resources: AssociatedResources) -> None:
        self._call(
            f"Deleting cluster {cluster_id} with its resources",
            self._client.kubernetes.destroy_associated_resources_selective,
            cluster_id=cluster_id,
            body={kind: list(items) for kind, items in resources.by_kind().items()},
        )

    def _is_leaving(self, cluster_id: str) -> bool:
        found = self.find(cluster_id)
        return found is None or found.state == "deleting"

    def wait_deleted(
        self, cluster_id: str, *, timeout_s: float = 600.0, on_progress: Progress | None = None
    ) -> None:
        """Wait until a cluster is not found any more.

        Raises:
            WaitTimeout: it is still there.
        """
        for elapsed_s in _looks(timeout_s):
            cluster = self.find(cluster_id)
            if cluster is None:
                return
            if on_progress is not None:
                on_progress(cluster, elapsed_s)
            name, state = cluster.name, cluster.state
        raise WaitTimeout(
            f"Cluster {name} is still there after {timeout_s:.0f} s",
            seen=f"state {state}",
            fix="`labkit down` again, or delete it in the control panel: it is billed",
        )


def _looks(timeout_s: float) -> Iterator[float]:
    """Yield the elapsed seconds at each look: often at first, every 10 s in the long run."""
    start = time.monotonic()
    while True:
        elapsed_s = time.monotonic() - start
        yield elapsed_s
        if elapsed_s >= timeout_s:
            return
        time.sleep(min(_MAX_POLL_S, max(_MIN_POLL_S, elapsed_s * 0.2)))
