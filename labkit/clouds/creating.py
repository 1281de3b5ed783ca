"""Creates the clusters of a lab with care: what is there is kept, what is asked is written down.

Both clusters are asked for before any is waited for, and what is wrong with both is told together.
A lab of which only one cluster could be had stays as it is: `up` goes on, `down` removes it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from labkit.clients.digitalocean import SETTLE_S, DigitalOcean
from labkit.clients.digitalocean_values import Cluster, ClusterSpec
from labkit.clouds.interface import Report
from labkit.clouds.record import RecordFile, own_clusters
from labkit.errors import CloudError, LabkitError, StateError

LEAVING = frozenset({"deleting", "deleted"})


@dataclass(frozen=True)
class Creation:
    """How clusters are created.

    Attributes:
        client: the account.
        records: where it is written down.
        report: told what happens to each cluster.
        takes: how long a creation takes, in words.
    """

    client: DigitalOcean
    records: RecordFile
    report: Report
    takes: str

    def ensure(self, wanted: Mapping[str, ClusterSpec]) -> dict[str, Cluster]:
        """Create the missing clusters, then wait until all run.

        Args:
            wanted: cluster's name in the lab → what it must be.

        Raises:
            StateError: a cluster is there and is another one than wanted.
            CloudError: what is wrong with all of them.
        """
        record = self.records.read()
        uuid = self.client.account().uuid
        record.require_account(uuid)
        record.account = uuid
        self.records.keep(record)
        asked, problems = _each(wanted, lambda name: self._ask(name, wanted[name]))
        if problems:
            raise _together(problems, created=asked)
        running, problems = _each(asked, lambda name: self._wait(name, asked[name]))
        if problems:
            raise _together(problems, created=asked)
        return running

    def _ask(self, name: str, spec: ClusterSpec) -> Cluster:
        record = self.records.read()
        own = own_clusters(self.client, record)
        existing = next((item for item in own if item.name == spec.name), None)
        if existing is not None and existing.state in LEAVING:
            self.report(name, "an earlier one is still being deleted")
            self.client.wait_deleted(existing.id)
            existing = None
        if existing is not None:
            _require_fit(existing, spec)
            self.records.made(record, existing)
            self.report(name, f"found, {existing.state}")
            return existing
        self.report(name, f"creating in {spec.region}")
        asked_at = record.asked.get(spec.name)
        recently = asked_at is not None and time.time() - asked_at < SETTLE_S
        self.records.asking(record, spec.name)
        try:
            cluster = self.client.create_cluster(replace(spec, asked_before=recently))
        except CloudError as error:
            if error.status is not None and error.status < 500:  # refused: it was not created
                record.asked.pop(spec.name, None)
                self.records.keep(record)
            raise
        self.records.made(record, cluster)
        return cluster

    def _wait(self, name: str, cluster: Cluster) -> Cluster:
        def on_progress(seen: Cluster, _: float) -> None:
            nodes = f"{seen.nodes_running} of {seen.node_count} nodes"
            left = "" if seen.is_running else f", takes {self.takes}"
            self.report(name, f"{seen.state}, {nodes}{left}")

        return self.client.wait_running(cluster.id, on_progress=on_progress)


def _each(
    wanted: Mapping[str, object], work: Callable[[str], Cluster]
) -> tuple[dict[str, Cluster], dict[str, LabkitError]]:
    """Do the same for each cluster; one that fails does not keep the others from it."""
    done: dict[str, Cluster] = {}
    problems: dict[str, LabkitError] = {}
    for name in wanted:
        try:
            done[name] = work(name)
        except LabkitError as error:
            problems[name] = error
    return done, problems


def _require_fit(existing: Cluster, spec: ClusterSpec) -> None:
    """Refuse a cluster of an earlier `up` that is not what is asked now.

    Raises:
        StateError: it is in another region, or has other nodes.
    """
    pairs = (
        ("region", existing.region, spec.region),
        ("node_size", existing.node_size, spec.node_size),
        ("node_count", existing.node_count, spec.node_count),
    )
    other = [f"{key} is {has}, asked {asked}" for key, has, asked in pairs if has != asked]
    if other:
        raise StateError(
            f"The cluster {spec.name} exists with other parameters",
            seen=", ".join(other),
            fix="`labkit down` first, or choose another lab_name",
        )


def _together(
    problems: Mapping[str, LabkitError], *, created: Mapping[str, Cluster]
) -> LabkitError:
    """All problems as one error; a single one stays what it is when nothing else is there."""
    if len(problems) == 1 and not created:
        return next(iter(problems.values()))
    told = [
        f"{name}: {error.what}" + (f" ({error.seen})" if error.seen else "")
        for name, error in problems.items()
    ]
    fixes = dict.fromkeys(error.fix for error in problems.values() if error.fix)
    there = [cluster.name for cluster in created.values()]
    status = next((getattr(error, "status", None) for error in problems.values()), None)
    error = CloudError(
        f"The lab is not complete: {'; '.join(told)}",
        status=status,
        seen=f"there already, and billed: {', '.join(there)}" if there else "",
        fix="; ".join(
            [*fixes, "`labkit up` goes on from here, `labkit down` removes what is there"]
        ),
    )
    error.__cause__ = next(iter(problems.values()))
    return error
