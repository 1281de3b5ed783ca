"""One Kubernetes cluster, over the official client: objects as dicts, errors as ours.

Objects stay the JSON of the API, so that any kind (Link, Server) is read in one way. Deliberately
absent: watches and informers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.clients.kubernetes_connection import FIELD_MANAGER, NOT_FOUND, PATCHES, Connection
from labkit.clients.kubernetes_errors import official_client, translated
from labkit.clients.manifests import Object, ordered, parse, reference
from labkit.clients.portforward import ForwardedConnection, ForwardedStream
from labkit.errors import KubernetesError, LabkitError

_TIMEOUT_S = 30.0


class Kubernetes:
    """A cluster as one context of a kubeconfig.

    Args:
        kubeconfig: the lab's kubeconfig; the user's own is never read by default.
        context: `west` or `east`.
        cache_dir: the lab's own folder for files of the client.
        timeout_s: limit of one request in seconds.

    Example:
        >>> west = Kubernetes(folder.kubeconfig, "west")
        >>> west.list("v1", "Node")
    """

    def __init__(
        self,
        kubeconfig: Path,
        context: str,
        *,
        cache_dir: Path | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self.kubeconfig = kubeconfig
        self.context = context
        self.cache_dir = cache_dir
        self._connection = Connection(kubeconfig, context, cache_dir=cache_dir, timeout_s=timeout_s)

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self._connection.server

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def version(self) -> str:
        """The server's version, as `v1.36.2`."""
        return self._connection.version()

    # ---- reading --------------------------------------------------------------------------------

    def get(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> Object | None:
        """One object, None when it (or its kind) does not exist.

        Raises:
            KubernetesError: refused or unreachable.
        """
        try:
            return self.require(api_version, kind, name, namespace)
        except KubernetesError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def require(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> Object:
        """One object that must exist.

        Raises:
            KubernetesError: it does not exist, refused, or unreachable.
        """
        path = self._connection.resource(api_version, kind).path(namespace, name)
        return self._connection.json("GET", path, what=f"get {_named(kind, name, namespace)}")

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
    ) -> list[Object]:
        """All objects of a kind, in one namespace or everywhere; empty when there is no such kind.

        Args:
            api_version: as `v1` or `apps/v1`.
            kind: as `Pod`.
            namespace: None for all.
            labels: label selector.
            fields: field selector.

        Raises:
            KubernetesError: refused or unreachable.
        """
        query = [("labelSelector", labels)] if labels else []
        query += [("fieldSelector", fields)] if fields else []
        try:
            path = self._connection.resource(api_version, kind).path(namespace)
            items = (
                self._connection.json("GET", path, query=query, what=f"list {kind}").get("items")
                or []
            )
        except KubernetesError as error:
            if error.status == NOT_FOUND:
                return []
            raise
        # Items of a list carry neither; whoever holds one object wants to know what it is.
        return [{"apiVersion": api_version, "kind": kind, **item} for item in items]

    def logs(
        self,
        pod: str,
        namespace: str,
        *,
        container: str = "",
        tail: int | None = None,
        previous: bool = False,
    ) -> str:
        """What a container wrote so far.

        Raises:
            KubernetesError: no such pod or container, or unreachable.
        """
        query = [("container", container)] if container else []
        query += [("tailLines", str(tail))] if tail is not None else []
        query += [("previous", "true")] if previous else []
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        what = f"logs of Pod {namespace}/{pod}"
        return self._connection.request("GET", path, query=query, what=what).decode(
            errors="replace"
        )

    # ---- writing --------------------------------------------------------------------------------

    def apply(
        self,
        manifests: str | Sequence[Object],
        *,
        namespace: str | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> tuple[str, ...]:
        """Apply objects on the server's side, in an order the cluster can take.

        Args:
            manifests: YAML text or objects.
            namespace: for namespaced objects that name none.
            progress: told each object's reference.

        Returns:
            The references of the objects, in the order in which they were applied.

        Raises:
            KubernetesError: one or more were refused; all the others have been applied.
        """
        objects = ordered(parse(manifests) if isinstance(manifests, str) else manifests)
        applied: list[str] = []
        refused: list[KubernetesError] = []
        for item in objects:
            if progress is not None:
                progress(reference(item))
            try:
                self._apply(item, namespace)
                applied.append(reference(item))
            except KubernetesError as error:
                if error.status is None:
                    raise
                refused.append(error)
        if refused:
            raise KubernetesError(
                f"{len(refused)} of {len(objects)} objects were refused by {self.context}",
                status=refused[0].status,
                reason=refused[0].reason,
                seen="; ".join(f"{error.what}: {error.seen}" for error in refused),
            ) from refused[0]
        return tuple(applied)

    def _apply(self, item: Object, namespace: str | None) -> None:
        metadata = item.get("metadata") or {}
        resource = self._connection.resource_soon(
            str(item.get("apiVersion")), str(item.get("kind"))
        )
        path = resource.path(metadata.get("namespace") or namespace or "default", metadata["name"])
        self._connection.request(
            "PATCH",
            path,
            query=[("fieldManager", FIELD_MANAGER), ("force", "true")],
            body=item,
            content_type=PATCHES["apply"],
            what=f"apply {reference(item)}",
        )

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        body: Any,
        how: str = "merge",
    ) -> Object:
        """Change an object: `how` is merge, strategic, json or apply.

        Raises:
            KubernetesError: it does not exist, refused, or unreachable.
        """
        path = self._connection.resource(api_version, kind).path(namespace, name)
        return self._connection.json(
            "PATCH",
            path,
            query=[("fieldManager", FIELD_MANAGER)],
            body=body,
            content_type=PATCHES[how],
            what=f"patch {_named(kind, name, namespace)}",
        )

    def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None = None,
    ) -> bool:
        """Delete an object with what it owns; False when it did not exist.

        Raises:
            KubernetesError: refused or unreachable.
        """
        try:
            path = self._connection.resource(api_version, kind).path(namespace, name)
            self._connection.request(
                "DELETE",
                path,
                query=[("propagationPolicy", "Background")],
                what=f"delete {_named(kind, name, namespace)}",
            )
        except KubernetesError as error:
            if error.status == NOT_FOUND:
                return False
            raise
        return True

    def delete_all(self, manifests: str | Sequence[Object]) -> tuple[str, ...]:
        """Delete the objects of manifests in reverse order; those that are gone are left out."""
        objects = ordered(parse(manifests) if isinstance(manifests, str) else manifests)
        gone = [
            reference(item)
            for item in reversed(objects)
            if self.delete(
                str(item.get("apiVersion")),
                str(item.get("kind")),
                item["metadata"]["name"],
                item["metadata"].get("namespace"),
            )
        ]
        return tuple(gone)

    # ---- port-forward ---------------------------------------------------------------------------

    @contextmanager
    def forward(self, namespace: str, target: str, port: int) -> Iterator[ForwardedConnection]:
        """An HTTP connection to a pod's port, through the API server.

        Args:
            namespace: the pod's.
            target: a pod's name, or `deploy/NAME` for one of its ready pods.
            port: the container's port.

        Raises:
            KubernetesError: no such pod, or the port does not answer.
        """
        pod = self.pod_of(namespace, target)
        what = f"port-forward to Pod {namespace}/{pod} port {port} in {self.context}"
        with translated(what, server=self.server):
            with official_client():
                from kubernetes.stream.ws_client import create_websocket, get_websocket_url
            path = f"{self.server}/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
            headers = {"sec-websocket-protocol": "v4.channel.k8s.io"}
            address = get_websocket_url(path, [("ports", str(port))])  # type: ignore[no-untyped-call]
            self._connection.api.update_params_for_auth(
                headers, [], ["BearerToken"], path, "GET", None
            )
            websocket = create_websocket(  # type: ignore[no-untyped-call]
                self._connection.api.configuration, address, headers
            )
            stream = ForwardedStream(websocket)
            stream.settimeout(self._connection.timeout_s)
            with ForwardedConnection(stream, port=port) as connection:
                yield connection

    def pod_of(self, namespace: str, target: str) -> str:
        """A running pod: itself by name, or a ready one of `deploy/NAME`.

        Raises:
            LabkitError: the Deployment does not exist or has no ready pod.
        """
        kind, slash, name = target.partition("/")
        if not slash:
            return target
        if kind in ("pod", "pods", "po"):
            return name
        deployment = self.require("apps/v1", "Deployment", name, namespace)
        labels = ",".join(
            f"{key}={value}" for key, value in deployment["spec"]["selector"]["matchLabels"].items()
        )
        pods = self.list("v1", "Pod", namespace, labels=labels)
        for pod in pods:
            if is_ready(pod):
                return str(pod["metadata"]["name"])
        raise LabkitError(
            f"Deployment {namespace}/{name} in {self.context} has no ready pod",
            seen=", ".join(f"{p['metadata']['name']} {p['status'].get('phase')}" for p in pods)
            or "no pod at all",
            fix=f"kubectl --context {self.context} -n {namespace} describe deployment {name}",
        )


def _named(kind: str, name: str, namespace: str | None) -> str:
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def condition(item: Object, kind: str) -> str:
    """The status of a condition of an object (`True`, `False`, `Unknown`), empty without it."""
    for entry in (item.get("status") or {}).get("conditions") or []:
        if entry.get("type") == kind:
            return str(entry.get("status"))
    return ""


def is_ready(pod: Object) -> bool:
    """Whether a pod is Ready and not on its way out."""
    return not pod["metadata"].get("deletionTimestamp") and condition(pod, "Ready") == "True"
