"""The Kubernetes API as this command uses it: plain requests, JSON in and out.

Every command gets one `Cluster` from its flags. The standard library's HTTP client is used because
the official one takes longer to import than most commands run. Deliberately absent: retries,
watches, typed models.
"""

import argparse
import http.client
import json
import urllib.parse
from typing import Any, Self

from labkit.embedded.linkerd import kubeconfig
from labkit.embedded.linkerd.kubeconfig import Endpoint
from labkit.errors import KubernetesError

Object = dict[str, Any]
_TIMEOUT = 30.0
"""Seconds for one request: Linkerd's own limit for one attempt."""


class Cluster:
    """A connection to one API server.

    Attributes:
        endpoint: the kubeconfig context it was made from.
    """

    def __init__(self, endpoint: Endpoint, *, timeout: float = _TIMEOUT) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        url = urllib.parse.urlsplit(endpoint.server)
        self._prefix = url.path.rstrip("/")
        self._tls = endpoint.tls() if url.scheme == "https" else None
        self._connection: http.client.HTTPConnection
        if self._tls is not None:
            self._connection = http.client.HTTPSConnection(
                url.netloc, context=self._tls, timeout=timeout
            )
        else:
            self._connection = http.client.HTTPConnection(url.netloc, timeout=timeout)
        self.headers: dict[str, str] = {"Accept": "application/json", "User-Agent": "linkerd-cli"}
        token = endpoint.token()
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """The cluster that the global flags name.

        Raises:
            LabkitError: the kubeconfig does not lead to a cluster.
        """
        cluster = cls(kubeconfig.load(options.kubeconfig, options.context))
        if options.impersonate:
            cluster.headers["Impersonate-User"] = options.impersonate
        return cluster

    @property
    def tls(self) -> Any:
        """The TLS context of the connection, None for plain HTTP."""
        return self._tls

    def request(self, method: str, path: str, body: Object | None = None, **query: str) -> Object:
        """Send one request.

        Raises:
            KubernetesError: refused (with status and reason) or unreachable (without).
        """
        target = self._prefix + path
        if query:
            target += "?" + urllib.parse.urlencode(query)
        headers = dict(self.headers)
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body)
        answer, content = self._send(method, target, data, headers)
        if answer >= http.HTTPStatus.BAD_REQUEST:
            raise _refusal(method, path, answer, content)
        value = json.loads(content) if content else {}
        return value if isinstance(value, dict) else {"value": value}

    def _send(
        self, method: str, target: str, data: str | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        try:
            try:
                self._connection.request(method, target, data, headers)
                response = self._connection.getresponse()
            except (http.client.RemoteDisconnected, ConnectionResetError):
                # The server closed an idle connection: once more on a new one.
                self._connection.close()
                self._connection.request(method, target, data, headers)
                response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise KubernetesError(
                f"error querying the Kubernetes API at {self.endpoint.server}", seen=str(error)
            ) from error

    def get(self, path: str, **query: str) -> Object:
        """Read an object."""
        return self.request("GET", path, None, **query)

    def find(self, path: str) -> Object | None:
        """Read an object that may not exist."""
        try:
            return self.get(path)
        except KubernetesError as error:
            if error.status == http.HTTPStatus.NOT_FOUND:
                return None
            raise

    def list(self, path: str, **query: str) -> list[Object]:
        """The items of a collection; empty when the kind does not exist here."""
        try:
            items: list[Object] = self.get(path, **query).get("items") or []
        except KubernetesError as error:
            if error.status == http.HTTPStatus.NOT_FOUND:
                return []
            raise
        return items


def _refusal(method: str, path: str, status: int, content: bytes) -> KubernetesError:
    reason, message = "", ""
    try:
        body = json.loads(content)
        reason, message = str(body.get("reason", "")), str(body.get("message", ""))
    except (ValueError, AttributeError):
        message = content[:200].decode(errors="replace")
    return KubernetesError(
        message or f"{method} {path}: status {status}", status=status, reason=reason
    )
