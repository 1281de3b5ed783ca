"""Writing mirror Services and Endpoints so that nothing is written twice or taken from others.

Objects are read before they are written: an unchanged one is left alone (a needless write would
wake every proxy of the cluster), and a Service of the same name that is no mirror of this link is
never touched.
"""

import copy
from typing import Any, Literal

from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.mesh import mirror_objects as objects
from labkit.embedded.mesh.mirror_link import LinkSpec

Object = dict[str, Any]
Outcome = Literal["created", "kept", "foreign"]


class MirrorWriter:
    """Writes to the cluster with the mirrors.

    Args:
        kube: that cluster.
        link: the link the mirrors belong to.
    """

    def __init__(self, kube: KubeClient, link: LinkSpec) -> None:
        self._kube = kube
        self._link = link

    async def ensure_service(self, wanted: Object) -> Outcome:
        """Create or update a mirror Service; `foreign` if the name is somebody else's."""
        namespace, name = wanted["metadata"]["namespace"], wanted["metadata"]["name"]
        existing = await self._find("services", namespace, name)
        if existing is None:
            await self._kube.create(path_of("v1", "services", namespace), wanted)
            return "created"
        labels = existing["metadata"].get("labels") or {}
        if labels.get(objects.CLUSTER_NAME) != self._link.cluster:
            return "foreign"
        if not _same_service(existing, wanted):
            changed = copy.deepcopy(existing)
            changed["metadata"]["labels"] = wanted["metadata"]["labels"]
            changed["metadata"]["annotations"] = wanted["metadata"]["annotations"]
            changed["spec"]["ports"] = wanted["spec"]["ports"]
            await self._kube.replace(path_of("v1", "services", namespace, name), changed)
        return "kept"

    async def ensure_endpoints(self, wanted: Object) -> None:
        """Create or update an Endpoints object."""
        namespace, name = wanted["metadata"]["namespace"], wanted["metadata"]["name"]
        existing = await self._find("endpoints", namespace, name)
        if existing is None:
            await self._kube.create(path_of("v1", "endpoints", namespace), wanted)
            return
        if _same_endpoints(existing, wanted):
            return
        version = existing["metadata"]["resourceVersion"]
        changed = {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": version}}
        await self._kube.replace(path_of("v1", "endpoints", namespace, name), changed)

    async def delete(self, plural: str, namespace: str, name: str) -> None:
        """Delete an object; one that is gone already is as good."""
        try:
            await self._kube.delete(path_of("v1", plural, namespace, name))
        except KubeError as error:
            if error.status != 404:
                raise

    async def _find(self, plural: str, namespace: str, name: str) -> Object | None:
        try:
            return await self._kube.get(path_of("v1", plural, namespace, name))
        except KubeError as error:
            if error.status == 404:
                return None
            raise


def _same_service(existing: Object, wanted: Object) -> bool:
    def ports(service: Object) -> list[tuple[object, ...]]:
        return [
            (port.get("name"), port["port"], port.get("protocol", "TCP"), port.get("targetPort"))
            for port in service["spec"].get("ports") or ()
        ]

    return ports(existing) == ports(wanted) and _same_metadata(existing, wanted)


def _same_endpoints(existing: Object, wanted: Object) -> bool:
    def canonical(endpoints: Object) -> list[tuple[object, ...]]:
        return [
            (
                sorted(address["ip"] for address in subset.get("addresses") or ()),
                sorted(address["ip"] for address in subset.get("notReadyAddresses") or ()),
                sorted((p.get("name", ""), p["port"], p["protocol"]) for p in subset["ports"]),
            )
            for subset in endpoints.get("subsets") or ()
        ]

    return canonical(existing) == canonical(wanted) and _same_metadata(existing, wanted)


def _same_metadata(existing: Object, wanted: Object) -> bool:
    """Labels must be equal; annotations of others are tolerated, or two writers would fight."""
    labels = existing["metadata"].get("labels") or {}
    annotations = existing["metadata"].get("annotations") or {}
    meant = wanted["metadata"]
    same_annotations = all(annotations.get(k) == v for k, v in meant["annotations"].items())
    return bool(labels == meant["labels"]) and same_annotations
