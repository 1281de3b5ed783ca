"""Removes what a lab has made in an account, waits until it is gone, and touches nothing else.

A cluster is deleted when its tags, its name and its id agree with the lab's record. What it made
is listed and written down first; what survives it is then found by id, or by the tag with the id
of the cluster, and deleted too. Every part is tried; what fails is told together at the end.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from labkit.clients.digitalocean import SETTLE_S, DigitalOcean
from labkit.clients.digitalocean_resources import KINDS, WORDS, Resource
from labkit.clients.digitalocean_values import Cluster
from labkit.clouds.audit import audit, made_by
from labkit.clouds.creating import LEAVING
from labkit.clouds.interface import Report
from labkit.clouds.record import AccountRecord, RecordFile, own_clusters
from labkit.errors import CloudError, LabkitError

GONE_TIMEOUT_S = 120.0
POLL_S = 1.0


@dataclass
class Teardown:
    """Takes down one lab.

    Attributes:
        client: the account.
        records: the lab's record.
        report: told what happens to each cluster.
    """

    client: DigitalOcean
    records: RecordFile
    report: Report
    problems: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    def run(self) -> list[str]:
        """Delete everything of the lab that is there.

        Returns:
            What was deleted, in words; empty when there was nothing.

        Raises:
            StateError: the lab was made in another account.
            CloudError: something could not be deleted; the rest was.
        """
        record = self.records.read()
        if record.is_empty:
            return []
        record.require_account(self.client.account().uuid)
        self._delete_clusters(record)
        self._delete_survivors(record)
        if self.problems:
            raise CloudError(
                f"Not everything could be deleted: {'; '.join(self.problems)}",
                seen=f"deleted: {', '.join(self.deleted) or 'nothing'}",
                fix="`labkit down` again; `labkit audit` lists what is there",
            )
        if not audit(self.client, [record], lab=record.lab).left:
            self.records.clear()
        return self.deleted

    # --- clusters -------------------------------------------------------------------------

    def _delete_clusters(self, record: AccountRecord) -> None:
        leaving = []
        for cluster in self._own_clusters(record):
            self.records.made(record, cluster)
            if self._try(f"cluster {cluster.name}", partial(self._delete, record, cluster)):
                leaving.append(cluster)
        for cluster in leaving:
            if self._try(f"cluster {cluster.name}", partial(self._wait_gone, record, cluster)):
                self.deleted.append(f"cluster {cluster.name}")

    def _own_clusters(self, record: AccountRecord) -> list[Cluster]:
        """The lab's clusters that are there; one that may just have been created is awaited."""
        while True:
            found = own_clusters(self.client, record)
            names = {item.name for item in found}
            waiting = {
                name: asked + SETTLE_S - time.time()
                for name, asked in record.asked.items()
                if name not in names
            }
            rest_s = max(waiting.values(), default=0.0)
            if rest_s <= 0:
                return found
            for name in waiting:
                self.report(_short(name, record), f"may have been created; {rest_s:.0f} s more")
            time.sleep(min(POLL_S, rest_s))

    def _delete(self, record: AccountRecord, cluster: Cluster) -> None:
        name = _short(cluster.name, record)
        now = self.client.find(cluster.id)
        if now is None or now.state in LEAVING:
            self.report(name, "is being deleted already")
            return
        self.report(name, "deleting, with what it made")
        self.client.delete_cluster(
            cluster.id, remember=lambda made: self.records.found(record, cluster.id, made)
        )

    def _wait_gone(self, record: AccountRecord, cluster: Cluster) -> None:
        name = _short(cluster.name, record)
        self.client.wait_deleted(
            cluster.id,
            on_progress=lambda seen, _: self.report(name, seen.state),
        )
        self.report(name, "deleted")

    # --- what clusters made ---------------------------------------------------------------

    def _delete_survivors(self, record: AccountRecord) -> None:
        gone = [key for key in record.clusters if self.client.find(key) is None]
        recorded = {item.id: item for item in record.resources}
        there: list[tuple[str, Resource]] = []
        for kind in KINDS:
            there += [(kind, item) for item in self._survivors(record, kind, gone)]
        for kind, item in there:
            text = f"{WORDS[kind]} {item.name}"
            self.report("account", f"deleting the {text}, which its cluster left")
            if self._try(text, partial(self._delete_resource, kind, item.id)):
                self.deleted.append(text)
        survivors = {item.id for _, item in there}
        self.deleted += [
            f"{WORDS[item.kind]} {item.name}"
            for item in recorded.values()
            if item.id not in survivors and item.cluster_id in gone
        ]

    def _survivors(self, record: AccountRecord, kind: str, gone: list[str]) -> list[Resource]:
        """What clusters that are gone have left: by id and name, or by the cluster's tag."""
        found: dict[str, Resource] = {}
        for item in record.resources:
            if item.kind == kind and item.cluster_id in gone:
                resource = self.client.resources.get(kind, item.id)
                if resource is not None and resource.name == item.name:
                    found[item.id] = resource
        try:
            listed = self.client.resources.list(kind)
        except CloudError as error:
            if error.status != 403:  # a token that may not list volumes has made none
                raise
            listed = ()
        for resource in listed:
            if resource.id not in found and set(made_by(resource)) & set(gone):
                now = self.client.resources.get(kind, resource.id)
                if now is not None:
                    found[resource.id] = now
        return list(found.values())

    def _delete_resource(self, kind: str, resource_id: str) -> None:
        self.client.resources.delete(kind, resource_id)
        give_up = time.monotonic() + GONE_TIMEOUT_S
        while self.client.resources.get(kind, resource_id) is not None:
            if time.monotonic() > give_up:
                raise CloudError(
                    f"The {WORDS[kind]} {resource_id} is still there after {GONE_TIMEOUT_S:.0f} s",
                    fix="`labkit down` again, or delete it in the control panel: it is billed",
                )
            time.sleep(POLL_S)

    def _try(self, what: str, work: Callable[[], None]) -> bool:
        """Do one part; a failure is kept for the end."""
        try:
            work()
        except LabkitError as error:
            self.problems.append(f"{what}: {str(error).rstrip('.')}")
            return False
        return True


def _short(full_name: str, record: AccountRecord) -> str:
    return full_name.removeprefix(f"{record.lab}-")
