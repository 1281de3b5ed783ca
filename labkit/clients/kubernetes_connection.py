"""The connection to one cluster: the official client's pool and credentials, JSON in and out.

Every request has a time limit and none is retried: who waits, waits in the open. Where the objects
of a kind are is asked once for each API group. Deliberately absent: anything about kinds.
"""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.clients.kubernetes_errors import official_client, translated
from labkit.clients.manifests import Object
from labkit.errors import KubernetesError

logger = logging.getLogger(__name__)

FIELD_MANAGER = "labkit"
NOT_FOUND = 404
PATCHES: Mapping[str, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
_CONNECT_S, _READ_S = 5.0, 30.0
"""Limits of one request in seconds; a silent server would hang the client for ever otherwise."""


@dataclass(frozen=True)
class Resource:
    """Where the objects of a kind are."""

    prefix: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """The path of one object, or of all without a name."""
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.prefix}{scope}/{self.plural}" + (f"/{name}" if name else "")


class Connection:
    """One API server, as a context of a kubeconfig.

    Args:
        kubeconfig: the lab's kubeconfig; the user's own is never read by default.
        context: `west` or `east`.
        cache_dir: where the client puts the certificates of the kubeconfig as files; without it
            the system's temporary folder.
        timeout_s: limit of one request in seconds.
    """

    def __init__(
        self,
        kubeconfig: Path,
        context: str,
        *,
        cache_dir: Path | None = None,
        timeout_s: float = _READ_S,
    ) -> None:
        self.kubeconfig = kubeconfig
        self.context = context
        self.cache_dir = cache_dir
        self.timeout_s = timeout_s
        self._kinds: dict[tuple[str, str], Resource] = {}
        self.api = self._connect()

    def _connect(self) -> Any:
        with translated(f"reading context {self.context} of {self.kubeconfig}"):
            with official_client():
                from kubernetes import config
                from kubernetes.client import ApiClient, Configuration
            configuration = Configuration()
            # urllib3 would try three times, each with the full time limit.
            configuration.retries = False
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(self.kubeconfig),
                context=self.context,
                persist_config=False,
                client_configuration=configuration,
                temp_file_path=str(self.cache_dir) if self.cache_dir else None,
            )
            return ApiClient(configuration=configuration)

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self.api.configuration.host)

    def close(self) -> None:
        """Close the connections; the next request opens one again."""
        pools = self.api.rest_client.pool_manager.pools
        for key in list(pools.keys()):
            # Clearing the manager alone leaves the sockets to the garbage collector.
            pools[key].close()
        self.api.rest_client.pool_manager.clear()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Iterable[tuple[str, str]] = (),
        body: Any = None,
        content_type: str = "application/json",
        what: str = "",
    ) -> bytes:
        """Send one request and return the answer's body.

        Raises:
            KubernetesError: refused (with status) or no answer (without).
        """
        what = f"{what or f'{method} {path}'} in {self.context}"
        logger.debug("%s", what)
        with translated(what, server=self.server):
            parts = self.api.param_serialize(
                method=method,
                resource_path=path,
                query_params=list(query),
                header_params={"Accept": "application/json, */*", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self.api.call_api(*parts, _request_timeout=(_CONNECT_S, self.timeout_s))
            answer.read()
            if not 200 <= answer.status <= 299:
                self.api.response_deserialize(answer, {})
            return bytes(answer.data or b"")

    def json(self, method: str, path: str, **options: Any) -> Object:
        """Send one request and parse its answer; options as for `request`."""
        value: Object = json.loads(self.request(method, path, **options) or b"{}")
        return value

    def version(self) -> str:
        """The server's version, as `v1.36.2`."""
        return str(self.json("GET", "/version", what="reading the version")["gitVersion"])

    def resource(self, api_version: str, kind: str) -> Resource:
        """Where the objects of a kind are: asked once for each group.

        Raises:
            KubernetesError: the cluster has no such kind (404), or does not answer.
        """
        found = self._kinds.get((api_version, kind))
        if found is None:
            prefix = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
            listed = self.json("GET", prefix, what=f"discovering {api_version}")
            for item in listed.get("resources") or []:
                if "/" not in item["name"]:
                    self._kinds[api_version, item["kind"]] = Resource(
                        prefix, item["name"], bool(item["namespaced"])
                    )
            found = self._kinds.get((api_version, kind))
        if found is None:
            raise KubernetesError(
                f"{self.context} has no {kind} in {api_version}",
                status=NOT_FOUND,
                reason="NotFound",
                fix="install what defines it (a custom resource definition) first",
            )
        return found

    def resource_soon(self, api_version: str, kind: str) -> Resource:
        """As `resource`, for a kind whose definition may have been applied a moment ago."""
        deadline = time.monotonic() + _CONNECT_S
        while True:
            try:
                return self.resource(api_version, kind)
            except KubernetesError as error:
                if error.status != NOT_FOUND or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
