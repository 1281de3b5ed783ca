"""The account's clusters: stores resources, moves them on, and tells the daemon what to run.

The API side creates and deletes; the daemon side asks `wanted_clusters()`, reports
`cluster_ready(…)` when a cluster serves, and calls `forget(…)` when it has torn one down. It
starts nothing itself. Used from one event loop.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labkit.embedded.digitalocean import clusters
from labkit.embedded.digitalocean.changes import Changes
from labkit.embedded.digitalocean.errors import conflict, not_found, unprocessable
from labkit.embedded.digitalocean.faults import Faults
from labkit.embedded.digitalocean.load_balancers import LoadBalancers, belongs
from labkit.embedded.digitalocean.progression import Progression
from labkit.embedded.digitalocean.store import Store
from labkit.embedded.digitalocean.volumes import Documents, Volumes, make_for_cluster
from labkit.embedded.digitalocean.wanted import WantedCluster, wanted_of

_CLUSTER = "cluster"
_ACCOUNT = "account"
ASSOCIATED = ("load_balancers", "volumes", "volume_snapshots")
"""Kinds of resources that a cluster makes in the account."""


class DigitalOceanState:
    """One account in one SQLite file.

    Args:
        database: the file; created 0600.
        progression: when a cluster whose backend serves is shown as running, and when a load
            balancer becomes active.
        standalone: no daemon serves clusters (tests): they become running by themselves, with
            an endpoint that does not answer, and vanish when deleted.
        droplet_limit: nodes the account may have.
    """

    def __init__(
        self,
        database: Path,
        *,
        progression: Progression | None = None,
        standalone: bool = False,
        droplet_limit: int = 50,
    ) -> None:
        self.changed = Changes()
        self.progression = progression or Progression()
        self._standalone = standalone
        self._droplet_limit = droplet_limit
        self._store = Store(database)
        self.faults = Faults(self._lists)
        self.balancers = LoadBalancers(
            self._store,
            progression=self.progression,
            leaving=self._leaving_clusters,
            faults=self.faults,
        )
        self.volumes = Volumes(self._store)
        self.snapshots = Documents(self._store, "snapshot")

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    # --- the API side -------------------------------------------------------------------

    def account(self) -> dict[str, Any]:
        """Return the account; its id is made once."""
        known = self._store.get(_ACCOUNT, "account")
        if known is None:
            known = {"uuid": str(uuid.uuid4()), "team_uuid": str(uuid.uuid4())}
            self._store.put(_ACCOUNT, "account", known)
        return {
            "droplet_limit": self._droplet_limit,
            "floating_ip_limit": 3,
            "email": "learner@example.com",
            "name": "Learner",
            "uuid": known["uuid"],
            "email_verified": True,
            "status": "active",
            "status_message": "",
            "team": {"uuid": known["team_uuid"], "name": "Embedded cloud"},
        }

    def create_cluster(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a cluster; it is provisioning until the daemon reports it ready.

        Raises:
            ApiError: 422.
        """
        existing = [doc["record"] for doc in self._documents()]
        unique = self.faults.take("same_names") is None
        record = clusters.new_cluster(body, existing, unique=unique)
        nodes = sum(pool["count"] for other in (*existing, record) for pool in other["node_pools"])
        if nodes > self._droplet_limit or self.faults.take("quota"):
            raise unprocessable("creating this cluster would exceed your droplet limit")
        self.balancers.claim_region(record["region"])
        slow = self.faults.take("slow_provisioning")
        document = {
            "id": record["id"],
            "record": record,
            "created": time.time(),
            "not_before_s": slow.seconds if slow else 0.0,
            "fails": self.faults.take("provisioning_error") is not None,
            "reads": 0,
            "material": None,
            "deleting": False,
        }
        self._store.put(_CLUSTER, record["id"], document)
        if self.faults.take("cluster_volumes"):
            make_for_cluster(self.volumes, self.snapshots, record)
        if self._standalone:
            self._serve_standalone(record["id"])
        self.changed.notify()
        return record

    def clusters(self) -> list[dict[str, Any]]:
        """Return all clusters as the API shows them."""
        return [self._moved_on(doc)["record"] for doc in self._documents()]

    def cluster(self, cluster_id: str) -> dict[str, Any]:
        """Return one cluster as the API shows it.

        Raises:
            ApiError: 404.
        """
        return dict(self._moved_on(self._cluster(cluster_id))["record"])

    def update_cluster(self, cluster_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change tags, upgrade switches or name of a cluster.

        Raises:
            ApiError: 404, 409 (being deleted), 422.
        """
        document = self._cluster(cluster_id)
        if document["deleting"]:
            raise conflict("the cluster is being deleted")
        record = document["record"]
        if "tags" in body:
            own = clusters.valid_tags(body["tags"])
            record["tags"] = [*dict.fromkeys([*own, "k8s", f"k8s:{cluster_id}"])]
        for key in ("auto_upgrade", "surge_upgrade"):
            if key in body:
                record[key] = bool(body[key])
        record["updated_at"] = clusters.now_text()
        self._store.put(_CLUSTER, cluster_id, document)
        return dict(record)

    def delete_cluster(self, cluster_id: str) -> None:
        """Begin to delete a cluster; its load balancers stay, as in the real API.

        Raises:
            ApiError: 404.
        """
        document = self._cluster(cluster_id)
        document["deleting"] = True
        clusters.mark_deleting(document["record"])
        self._store.put(_CLUSTER, cluster_id, document)
        if self._standalone:
            self.forget(cluster_id)
        self.changed.notify()

    def associated_resources(self, cluster_id: str) -> dict[str, list[dict[str, str]]]:
        """Return what a cluster made in the account and would leave behind.

        Raises:
            ApiError: 404.
        """
        record = self._cluster(cluster_id)["record"]
        tag = f"k8s:{cluster_id}"
        found = {
            "load_balancers": [item for item in self.balancers.list() if belongs(item, record)],
            "volumes": [item for item in self.volumes.list() if tag in item["tags"]],
            "volume_snapshots": [item for item in self.snapshots.list() if tag in item["tags"]],
        }
        return {
            kind: [{"id": item["id"], "name": item["name"]} for item in items]
            for kind, items in found.items()
        }

    def destroy_cluster(
        self, cluster_id: str, *, chosen: Mapping[str, Sequence[str]] | None
    ) -> None:
        """Delete a cluster with the named associated resources, or with all (None).

        Raises:
            ApiError: 404 no such cluster, 422 a resource that is not the cluster's.
        """
        mine = {
            kind: [item["id"] for item in items]
            for kind, items in self.associated_resources(cluster_id).items()
        }
        asked = mine if chosen is None else chosen
        for kind, ids in asked.items():
            foreign = [item for item in ids if item not in mine[kind]]
            if foreign:
                raise unprocessable(f"{kind}: {foreign[0]} is not associated with this cluster")
        delete = {
            "load_balancers": self.balancers.delete,
            "volumes": self.volumes.delete,
            "volume_snapshots": self.snapshots.delete,
        }
        for kind, ids in asked.items():
            for key in ids:
                if not self.faults.take("survivor"):
                    delete[kind](key)
        self.delete_cluster(cluster_id)

    def kubeconfig(self, cluster_id: str) -> str:
        """Return a running cluster's kubeconfig (YAML).

        Raises:
            ApiError: 404, 422 while it does not serve.
        """
        return clusters.kubeconfig(*self._served(cluster_id))

    def credentials(self, cluster_id: str) -> dict[str, Any]:
        """Return a running cluster's credentials.

        Raises:
            ApiError: 404, 422 while it does not serve.
        """
        return clusters.credentials(*self._served(cluster_id))

    def load_balancers(self) -> list[dict[str, Any]]:
        """Return all load balancers as the API shows them."""
        return self.balancers.list()

    # --- the daemon side ----------------------------------------------------------------

    def wanted_clusters(self) -> list[WantedCluster]:
        """Return the clusters that must run, and those that must be torn down."""
        return [wanted_of(doc) for doc in self._store.list(_CLUSTER) if doc.get("gone_at") is None]

    def cluster_ready(
        self, cluster_id: str, *, endpoint: str, ca_pem: bytes | str, token: str
    ) -> None:
        """Report that a cluster serves; may be repeated after a restart with a new endpoint.

        Args:
            cluster_id: the cluster; unknown or deleting ones are ignored.
            endpoint: `https://host:port` of its API server.
            ca_pem: certificate of the authority that signed the API server's.
            token: bearer token of a cluster administrator.
        """
        document = self._store.get(_CLUSTER, cluster_id)
        if document is None or document["deleting"]:
            return
        pem = ca_pem if isinstance(ca_pem, str) else ca_pem.decode()
        document["material"] = {"endpoint": endpoint, "ca_pem": pem, "token": token}
        if document["record"]["status"]["state"] == "running":
            clusters.mark_running(document["record"], endpoint)
        self._store.put(_CLUSTER, cluster_id, document)
        self.changed.notify()

    def forget(self, cluster_id: str) -> None:
        """Remove a cluster that has been torn down; from now on it is not found."""
        document = self._store.get(_CLUSTER, cluster_id)
        slow = self.faults.take("slow_deletion") if document else None
        if document and slow:  # it is still shown, but nothing of it runs
            document["gone_at"] = time.time() + slow.seconds
            self._store.put(_CLUSTER, cluster_id, document)
        elif document and self._store.delete(_CLUSTER, cluster_id):
            self.changed.notify()

    # --- inside -------------------------------------------------------------------------

    def _lists(self) -> dict[str, list[dict[str, Any]]]:
        """Every list of the account, by the key of its answer."""
        return {
            "kubernetes_clusters": self.clusters(),
            "load_balancers": self.balancers.list(),
            "volumes": self.volumes.list(),
            "snapshots": self.snapshots.list(),
        }

    def _documents(self) -> list[dict[str, Any]]:
        """The clusters that are there, without those whose slow end has come."""
        now, found = time.time(), []
        for document in self._store.list(_CLUSTER):
            if document.get("gone_at") is not None and document["gone_at"] <= now:
                self._store.delete(_CLUSTER, document["id"])
            else:
                found.append(document)
        return found

    def _cluster(self, cluster_id: str) -> dict[str, Any]:
        for document in self._documents():
            if document["id"] == cluster_id:
                return document
        raise not_found()

    def _leaving_clusters(self) -> list[dict[str, Any]]:
        return [doc["record"] for doc in self._documents() if doc["deleting"]]

    def _served(self, cluster_id: str) -> tuple[dict[str, Any], dict[str, str]]:
        document = self._moved_on(self._cluster(cluster_id))
        late = self.faults.take("kubeconfig_not_ready")
        if late or document["record"]["status"]["state"] != "running":
            raise unprocessable("credentials are available when the cluster is running")
        return document["record"], document["material"]

    def _moved_on(self, document: dict[str, Any]) -> dict[str, Any]:
        """Count a read of a cluster and move it on when it is due."""
        if document["record"]["status"]["state"] != "provisioning":
            return document
        age, reads = time.time() - document["created"], document["reads"]
        material = document["material"]
        if age < document["not_before_s"]:
            return document
        if document["fails"]:
            clusters.mark_failed(document["record"])
        elif material is not None and self.progression.is_due(age_s=age, reads=reads):
            clusters.mark_running(document["record"], material["endpoint"])
        document["reads"] = reads + 1
        self._store.put(_CLUSTER, document["id"], document)
        return document

    def _serve_standalone(self, cluster_id: str) -> None:
        """Stand in for the daemon: credentials that are well-formed and open nothing."""
        pem = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
        self.cluster_ready(cluster_id, endpoint="https://127.0.0.1:1", ca_pem=pem, token="none")  # noqa: S106 - opens nothing
