"""What a lab has put into a cluster of the user's, so that just that can be taken out again.

Before something is applied, each object that does not exist yet is written down; what was there
before never is. Afterwards its uid is added. Taking out looks twice: an object must be written down
and have that uid (or, when labkit was cut off before it knew the uid, labkit's field manager), and
the cluster must be the one that the record is about. Deliberately absent:
anything about objects that controllers made inside the lab's namespaces; they go with those.
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.certs import write_private
from labkit.clients.kubernetes import Kubernetes
from labkit.clients.kubernetes_connection import FIELD_MANAGER
from labkit.clients.manifests import Object, ordered, parse, reference
from labkit.clients.rollouts import wait_gone
from labkit.errors import StateError

AT_A_TIME = 8
GONE_TIMEOUT_S = 300.0
"""Of a namespace with all that is in it."""


@dataclass(frozen=True)
class Installed:
    """The record of one cluster.

    Attributes:
        path: a file of the lab's folder; it exists while there is something to take out.
    """

    path: Path

    def objects(self) -> list[Object]:
        """Stubs of the objects that the lab has created, in the order of creation.

        Raises:
            StateError: the record is damaged: what was installed cannot be told any more.
        """
        return list(self._content()["objects"])

    def has(self, kind: str, name: str, *, uid: str = "") -> bool:
        """Whether the lab has created this object (of any namespace).

        Args:
            kind: as `Namespace`.
            name: of the object.
            uid: of the one that is there now; one of the same name may be another's.
        """
        return any(
            item["kind"] == kind
            and item["metadata"]["name"] == name
            and (not uid or item["metadata"].get("uid", uid) == uid)
            for item in self.objects()
        )

    def apply(self, cluster: Kubernetes, manifests: str | Sequence[Object]) -> None:
        """Apply objects; those that did not exist are written down first.

        Raises:
            KubernetesError: one or more were refused.
        """
        objects = parse(manifests) if isinstance(manifests, str) else list(manifests)
        with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="installed") as pool:
            there = list(pool.map(lambda item: _find(cluster, item), objects))
        new = [_stub(item) for item, old in zip(objects, there, strict=True) if old is None]
        self._add(_uid(cluster), new)
        try:
            cluster.apply(objects)
        finally:
            self._add_uids(cluster)

    def take_out(self, cluster: Kubernetes, report: Callable[[str], None]) -> list[str]:
        """Delete what is written down, wait until its namespaces are gone, forget the record.

        Returns:
            References of what was deleted.

        Raises:
            StateError: the record is about another cluster.
            WaitTimeout: a namespace does not go.
        """
        content = self._content()
        if not content["objects"]:
            return []
        if content["cluster"] != _uid(cluster):
            raise StateError(
                f"The context {cluster.context} leads to another cluster than the one that the lab "
                "was installed in; nothing was removed there",
                seen=f"{cluster.server} is {_uid(cluster)[:8]}…, not {content['cluster'][:8]}…",
                fix="give the contexts back their clusters and run `labkit down` again; if that "
                f"cluster is gone, remove {self.path}",
            )
        objects = content["objects"]
        namespaces = [i["metadata"]["name"] for i in objects if i["kind"] == "Namespace"]
        gone = []
        for item in reversed(ordered(objects)):
            if item["metadata"].get("namespace") not in namespaces and _is_ours(cluster, item):
                report(f"removing {reference(item)}")
                _delete(cluster, item)
                gone.append(reference(item))
        for name in namespaces:
            if f"Namespace {name}" in gone:
                report(f"waiting until namespace {name} is gone")
                wait_gone(cluster, "v1", "Namespace", name, timeout_s=GONE_TIMEOUT_S)
        self.path.unlink(missing_ok=True)
        return gone

    def _add(self, uid: str, stubs: Sequence[Object]) -> None:
        content = self._content()
        if content["cluster"] not in ("", uid):
            raise StateError(
                "The lab has been installed in another cluster under this name",
                seen=f"{self.path} is about {content['cluster'][:8]}…, the context leads to "
                f"{uid[:8]}…",
                fix="`labkit down` with the former context, or choose another lab_name",
            )
        anew = {reference(item) for item in stubs}  # one of that name was there, and is gone
        kept = [item for item in content["objects"] if reference(item) not in anew]
        self._write(uid, [*kept, *stubs])

    def _add_uids(self, cluster: Kubernetes) -> None:
        """Write down which object of a name it is, where that is not known yet."""
        content = self._content()
        unknown = [item for item in content["objects"] if "uid" not in item["metadata"]]
        with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="installed") as pool:
            found = list(pool.map(lambda item: _find(cluster, item), unknown))
        for item, there in zip(unknown, found, strict=True):
            if there is not None:
                item["metadata"]["uid"] = there["metadata"]["uid"]
        self._write(content["cluster"], content["objects"])

    def _write(self, uid: str, objects: Sequence[Object]) -> None:
        text = json.dumps({"cluster": uid, "objects": list(objects)}, indent=1)
        write_private(self.path, text.encode())

    def _content(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text())
            return {"cluster": str(found["cluster"]), "objects": list(found["objects"])}
        except FileNotFoundError:
            return {"cluster": "", "objects": []}
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(
                f"The record {self.path} of what was installed cannot be read",
                seen=str(error),
                fix="remove Linkerd and emojivoto from the cluster by hand, then that file",
            ) from error


def _stub(item: Object) -> Object:
    names = {key: item["metadata"][key] for key in ("namespace", "name") if key in item["metadata"]}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": names}


def _find(cluster: Kubernetes, item: Object) -> Object | None:
    metadata = item["metadata"]
    return cluster.get(
        item["apiVersion"], item["kind"], metadata["name"], metadata.get("namespace")
    )


def _is_ours(cluster: Kubernetes, item: Object) -> bool:
    """Whether the object exists and is the one that labkit made."""
    found = _find(cluster, item)
    if found is None:
        return False
    if "uid" in item["metadata"]:
        return bool(found["metadata"]["uid"] == item["metadata"]["uid"])
    managers = found["metadata"].get("managedFields") or []
    return any(entry.get("manager") == FIELD_MANAGER for entry in managers)


def _delete(cluster: Kubernetes, item: Object) -> None:
    metadata = item["metadata"]
    cluster.delete(item["apiVersion"], item["kind"], metadata["name"], metadata.get("namespace"))


def _uid(cluster: Kubernetes) -> str:
    return str(cluster.require("v1", "Namespace", "kube-system")["metadata"]["uid"])
