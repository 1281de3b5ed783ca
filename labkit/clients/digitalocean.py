"""DigitalOcean through its own client pydo, with pydo's traps closed.

The same code talks to api.digitalocean.com and to the embedded cloud; only endpoint and
authority differ. What pydo leaves to its caller is done here: a 404 is an answer there and an
error here, a kubeconfig is YAML that pydo cannot read, a create is never retried by the
transport (a second cluster would be billed) but looked up by name, lists are paged, and the
token shows in no message, log or repr. It does not decide what to create or delete.
"""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from labkit.clients.digitalocean_errors import Translator, field_of, message_of
from labkit.clients.digitalocean_values import (
    Account,
    AssociatedResources,
    Cluster,
    ClusterSpec,
    KubernetesOptions,
    LoadBalancer,
    RegionOffer,
    Size,
    account_of,
    associated_of,
    cluster_of,
    load_balancer_of,
    options_of,
    region_of,
    size_of,
)
from labkit.errors import CloudError, StateError, WaitTimeout

logger = logging.getLogger(__name__)

PUBLIC_ENDPOINT = "https://api.digitalocean.com"

_PER_PAGE = 100
_MAX_PAGES = 1_000
_MAX_POLL_S = 10.0
_MIN_POLL_S = 0.05
_CONNECT_TIMEOUT_S = 10
_READ_TIMEOUT_S = 60

Progress = Callable[[Cluster, float], None]
"""Called with the cluster as last seen and the seconds waited."""


class DigitalOcean:
    """One account.

    Args:
        token: API token; kept out of every repr and message.
        endpoint: `https://…` of the API.
        ca_file: authority of the endpoint's certificate; None takes the public ones.

    Example:
        >>> cloud = DigitalOcean(os.environ["DIGITALOCEAN_TOKEN"])
        >>> cloud.account().status
        'active'
    """

    def __init__(
        self, token: str, *, endpoint: str = PUBLIC_ENDPOINT, ca_file: Path | None = None
    ) -> None:
        from pydo import Client

        self._errors = Translator(endpoint, token)
        self.endpoint = endpoint
        self._client: Any = Client(
            token=token,
            endpoint=endpoint,
            connection_verify=True if ca_file is None else str(ca_file),
            connection_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            retry_backoff_factor=0.4,
            logging_enable=False,
        )

    def __repr__(self) -> str:
        return f"DigitalOcean(endpoint={self.endpoint!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # --- what there is ------------------------------------------------------------------

    def account(self) -> Account:
        """Return the account behind the token."""
        body = self._call("Reading the account", self._client.account.get)
        return account_of(body["account"])

    def regions(self) -> list[RegionOffer]:
        """Return all regions."""
        raw = self._pages("Listing regions", self._client.regions.list, key="regions")
        return [region_of(item) for item in raw]

    def sizes(self) -> list[Size]:
        """Return all sizes with their prices."""
        raw = self._pages("Listing sizes", self._client.sizes.list, key="sizes")
        return [size_of(item) for item in raw]

    def options(self) -> KubernetesOptions:
        """Return the versions, regions and sizes offered for Kubernetes."""
        body = self._call("Reading Kubernetes options", self._client.kubernetes.list_options)
        return options_of(body["options"])

    # --- clusters -----------------------------------------------------------------------

    def clusters(self, *, tag: str | None = None) -> list[Cluster]:
        """Return all clusters, or those with a tag."""
        raw = self._pages(
            "Listing Kubernetes clusters",
            self._client.kubernetes.list_clusters,
            key="kubernetes_clusters",
        )
        found = [cluster_of(item) for item in raw]
        return found if tag is None else [cluster for cluster in found if tag in cluster.tags]

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

    def create_cluster(self, spec: ClusterSpec) -> Cluster:
        """Create a cluster, or return the one that an earlier call has created.

        The request is sent once. When its outcome is unknown (no answer, 5xx), the name is
        looked up, so that no second cluster is ever created.

        Raises:
            StateError: a cluster of that name exists and is not this lab's.
            CloudError: refused, or the outcome is a failure.
        """
        existing = self._own_cluster(spec)
        if existing is not None:
            return existing
        what = f"Creating cluster {spec.name} in {spec.region}"
        try:
            body = self._call(
                what, self._client.kubernetes.create_cluster, body=spec.body(), retry_total=0
            )
        except CloudError as exc:
            if exc.status is not None and exc.status < 500:
                raise
            created = self._own_cluster(spec)
            if created is None:
                raise
            logger.warning("%s: no usable answer, but the cluster exists", what)
            return created
        return cluster_of(body["kubernetes_cluster"])

    def _own_cluster(self, spec: ClusterSpec) -> Cluster | None:
        """Return the cluster of the spec's name if it carries its lab's tag."""
        existing = self.find_cluster(spec.name)
        if existing is None:
            return None
        lab = [tag for tag in spec.tags if tag.startswith("lab:")]
        if not lab or not set(lab) <= set(existing.tags):
            raise StateError(
                f"A cluster named {spec.name} exists already and is not of this lab",
                seen=f"id {existing.id}, tags {', '.join(existing.tags) or 'none'}",
                fix="choose another lab_name, or remove that cluster yourself",
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
        with self._errors.translated(what):
            # pydo's own operation cannot decode application/yaml; streaming skips its decoder.
            response = self._client.send_request(HttpRequest("GET", path), stream=True)
            text = response.read().decode("utf-8")
        if response.status_code != 200:
            raise self._errors.refusal(what, response.status_code, message_of(text))
        return str(text)

    def associated_resources(self, cluster_id: str) -> AssociatedResources:
        """Return what a cluster made in the account (load balancers, volumes, snapshots)."""
        body = self._call(
            f"Listing the resources of cluster {cluster_id}",
            self._client.kubernetes.list_associated_resources,
            cluster_id=cluster_id,
        )
        return associated_of(body)

    def delete_cluster(self, cluster_id: str) -> AssociatedResources:
        """Delete a cluster with everything it made; a cluster that is gone is no error.

        Returns:
            What was deleted with it, listed before.
        """
        try:
            resources = self.associated_resources(cluster_id)
            self._call(
                f"Deleting cluster {cluster_id} with its resources",
                self._client.kubernetes.destroy_associated_resources_selective,
                cluster_id=cluster_id,
                body={
                    "load_balancers": list(resources.load_balancers),
                    "volumes": list(resources.volumes),
                    "volume_snapshots": list(resources.volume_snapshots),
                },
            )
        except CloudError as exc:
            if exc.status != 404:
                raise
            return AssociatedResources({}, {}, {})
        return resources

    def wait_deleted(
        self, cluster_id: str, *, timeout_s: float = 600.0, on_progress: Progress | None = None
    ) -> None:
        """Wait until a cluster is not found any more.

        Raises:
            WaitTimeout: it is still there.
        """
        for elapsed_s in _looks(timeout_s):
            try:
                cluster = self.cluster(cluster_id)
            except CloudError as exc:
                if exc.status == 404:
                    return
                raise
            if cluster.state == "deleted":
                return
            if on_progress is not None:
                on_progress(cluster, elapsed_s)
        raise WaitTimeout(
            f"Cluster {cluster.name} is still there after {timeout_s:.0f} s",
            seen=f"state {cluster.state}",
            fix="`labkit down` again, or delete it in the control panel: it is billed",
        )

    # --- load balancers -----------------------------------------------------------------

    def load_balancers(self) -> list[LoadBalancer]:
        """Return all load balancers."""
        raw = self._pages(
            "Listing load balancers", self._client.load_balancers.list, key="load_balancers"
        )
        return [load_balancer_of(item) for item in raw]

    def delete_load_balancer(self, balancer_id: str) -> None:
        """Delete a load balancer; one that is gone is no error."""
        try:
            self._call(
                f"Deleting load balancer {balancer_id}",
                self._client.load_balancers.delete,
                lb_id=balancer_id,
            )
        except CloudError as exc:
            if exc.status != 404:
                raise

    # --- the wire -----------------------------------------------------------------------

    def _pages(self, what: str, operation: Callable[..., Any], *, key: str) -> list[Any]:
        """Return the items of all pages of a list."""
        items: list[Any] = []
        for page in range(1, _MAX_PAGES):
            body = self._call(what, operation, page=page, per_page=_PER_PAGE)
            items += body[key]
            pages = (body.get("links") or {}).get("pages") or {}
            if "next" not in pages:
                break
        return items

    def _call(self, what: str, operation: Callable[..., Any], **arguments: Any) -> Any:
        """Call an operation of pydo; return the body of a good answer.

        Raises:
            CloudError: any failure, and 404, which pydo returns like an answer.
        """
        with self._errors.translated(what):
            status, body = operation(cls=_with_status, **arguments)
        if status >= 400:
            raise self._errors.refusal(what, status, field_of(body, "message"))
        return body


def _with_status(pipeline: Any, body: Any, headers: Any) -> tuple[int, Any]:
    """Hand pydo's caller the status too: without it a 404 looks like a result."""
    del headers
    return int(pipeline.http_response.status_code), body


def _looks(timeout_s: float) -> Iterator[float]:
    """Yield the elapsed seconds at each look: often at first, every 10 s in the long run."""
    start = time.monotonic()
    while True:
        elapsed_s = time.monotonic() - start
        yield elapsed_s
        if elapsed_s >= timeout_s:
            return
        time.sleep(min(_MAX_POLL_S, max(_MIN_POLL_S, elapsed_s * 0.2)))
