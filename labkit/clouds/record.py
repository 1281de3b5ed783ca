"""What a lab has made in an account, written down before and after each request.

`account.json` in the lab's folder says which clusters are the lab's, by id; which were asked for
without an answer yet; and what they made. It is what deletion trusts: a resource whose tags, name
and id do not all agree with it is left alone. A headless run keeps a copy in its run folder, from
which `labkit down --from-run` works. It holds no secret.
"""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labkit.certs import write_private
from labkit.clients.digitalocean import DigitalOcean
from labkit.clients.digitalocean_values import AssociatedResources, Cluster
from labkit.clients.lab_tags import LabTags, new_nonce
from labkit.errors import StateError

FILE = "account.json"


class MadeResource(BaseModel):
    """Something that a cluster of the lab made: load balancer, volume or snapshot."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    id: str
    name: str
    cluster_id: str


class AccountRecord(BaseModel):
    """What a lab has made in an account.

    Attributes:
        lab: name of the lab.
        nonce: number of the lab, in the tags of its clusters.
        account: uuid of the account, empty until something is asked for.
        asked: full name of a cluster → when it was asked for (seconds since 1970, UTC), until its
            id is known.
        clusters: id → full name of every cluster, until nothing of the lab is left.
        resources: what clusters made, as listed before they were deleted.
    """

    model_config = ConfigDict(extra="forbid")

    lab: str
    nonce: str = Field(default_factory=new_nonce)
    account: str = ""
    asked: dict[str, float] = {}
    clusters: dict[str, str] = {}
    resources: list[MadeResource] = []

    @property
    def is_empty(self) -> bool:
        """Whether the lab has nothing in the account, as far as is known."""
        return not (self.asked or self.clusters or self.resources)

    def require_account(self, uuid: str) -> None:
        """Refuse to work in an account that does not have the lab's clusters.

        There they would count as gone, and the record of them would be thrown away.

        Raises:
            StateError: the token opens another account.
        """
        if self.account not in ("", uuid):
            raise StateError(
                f"The lab {self.lab} was made in another account",
                seen=f"account {self.account}, the token opens {uuid}",
                fix="set DIGITALOCEAN_TOKEN to a token of the account that has the lab",
            )

    def owns(self, cluster: Cluster) -> bool:
        """Whether a cluster is the lab's: its tags, its name and its id agree with the record.

        The id is not known when the answer to the create was lost; then the lab's number in the
        tags stands for it, and the cluster must be one that was asked for.
        """
        tags = LabTags.of(cluster.tags)
        if tags.lab != self.lab or tags.nonce != self.nonce or not tags.prove(cluster.name):
            return False
        if cluster.id in self.clusters:
            return self.clusters[cluster.id] == cluster.name
        return cluster.name in self.asked


def own_clusters(client: DigitalOcean, record: AccountRecord) -> list[Cluster]:
    """The clusters of the account that are the lab's; also those that a late list lacks."""
    found = {item.id: item for item in client.clusters() if record.owns(item)}
    for key in record.clusters:
        cluster = None if key in found else client.find(key)
        if cluster is not None and record.owns(cluster):
            found[key] = cluster
    return list(found.values())


class RecordFile:
    """The record of one lab in its folder, with a copy in the run folder of a headless run.

    Args:
        folder: the lab's folder.
        lab: name of the lab.
    """

    def __init__(self, folder: Path, lab: str) -> None:
        self._path = folder / FILE
        self._lab = lab

    def read(self) -> AccountRecord:
        """The record; a new one, not yet kept, when there is none.

        Raises:
            StateError: it is damaged.
        """
        return read_record(self._path) or AccountRecord(lab=self._lab)

    def nonce(self) -> str:
        """The lab's number, kept from the first time that it is asked for."""
        record = self.read()
        if not self._path.exists():
            self.keep(record)
        return record.nonce

    def keep(self, record: AccountRecord) -> None:
        """Write it, all or nothing.

        Raises:
            StateError: the folder cannot be written.
        """
        text = record.model_dump_json(indent=1).encode()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(self._path, text)
        except OSError as error:
            raise StateError(
                f"What the lab makes cannot be written down in {self._path}",
                seen=error.strerror or str(error),
                fix="free space, or point LABKIT_HOME to a folder you can write",
            ) from error
        run_folder = os.environ.get("LABKIT_RUN_FOLDER")
        if run_folder:  # a copy only: the lab goes on without
            with suppress(OSError):
                write_private(Path(run_folder) / FILE, text)

    def asking(self, record: AccountRecord, name: str) -> None:
        """Keep that a cluster is about to be asked for."""
        record.asked[name] = time.time()
        self.keep(record)

    def made(self, record: AccountRecord, cluster: Cluster) -> None:
        """Keep the id of a cluster."""
        record.asked.pop(cluster.name, None)
        record.clusters[cluster.id] = cluster.name
        self.keep(record)

    def found(self, record: AccountRecord, cluster_id: str, resources: AssociatedResources) -> None:
        """Keep what a cluster made."""
        known = {item.id for item in record.resources}
        for kind, items in resources.by_kind().items():
            record.resources += [
                MadeResource(kind=kind, id=key, name=name, cluster_id=cluster_id)
                for key, name in items.items()
                if key not in known
            ]
        self.keep(record)

    def clear(self) -> None:
        """Forget everything: nothing of the lab is left in the account."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def read_record(path: Path) -> AccountRecord | None:
    """Read a record; None when there is none.

    Raises:
        StateError: it is damaged.
    """
    try:
        content: Mapping[str, Any] = json.loads(path.read_text())
        return AccountRecord.model_validate(content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, ValidationError) as error:
        raise StateError(
            f"The record {path} of what the lab made cannot be read",
            seen=str(error),
            fix="restore it from a run folder (account.json), or `labkit audit --all-labs` and "
            "remove what it lists in the control panel; then remove that file",
        ) from error


def has_record(lab_folder: Path) -> bool:
    """Whether a lab may have something in an account, as far as its record knows."""
    record = read_record(lab_folder / FILE)
    return record is not None and not record.is_empty


def restore_record(lab_folder: Path, run_folder: Path) -> None:
    """Take the record of a run's lab from the run folder, where the lab's own folder has none.

    Raises:
        StateError: one is damaged, or the lab has been made anew since that run.
    """
    kept = read_record(run_folder / FILE)
    own = read_record(lab_folder / FILE)
    if kept is None or (own is not None and own.nonce == kept.nonce):
        return
    if own is not None and not own.is_empty:
        raise StateError(
            f"The lab {own.lab} has been made anew since that run",
            seen=f"it has {', '.join(own.clusters.values()) or 'clusters asked for'}",
            fix=f"`labkit down --lab-name {own.lab}` takes the present one down",
        )
    RecordFile(lab_folder, kept.lab).keep(kept)
