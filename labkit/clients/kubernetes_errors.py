"""Translates what the official Kubernetes client raises, at one place.

Foreign classes that may come: the client's own (`OpenApiException` and below, `ConfigException`),
urllib3's (network trouble; there are no retries), pydantic's `ValidationError` (the client
validates answers), websocket's and the standard library's (port-forward). Not translated:
programming errors such as TypeError.
"""

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from labkit.errors import KubernetesError
from labkit.imports import without

_UNAUTHORIZED, _FORBIDDEN = 401, 403


def official_client() -> AbstractContextManager[None]:
    """Import the official client without `kubernetes_validate`.

    The client imports that package when it is installed (tests use it) for a function that is not
    used here, and the package takes longer to import than everything else together.
    """
    return without("kubernetes_validate")


def foreign_errors() -> tuple[type[Exception], ...]:
    """Every class that `translated` turns into a KubernetesError."""
    with official_client():
        from kubernetes.client.exceptions import OpenApiException
        from kubernetes.config.config_exception import ConfigException
    from pydantic import ValidationError
    from urllib3.exceptions import HTTPError, ProxySchemeUnsupported
    from websocket import WebSocketException

    return (
        OpenApiException,
        ConfigException,
        ValidationError,
        HTTPError,
        ProxySchemeUnsupported,
        WebSocketException,
        http.client.HTTPException,
        ssl.SSLError,
        OSError,
    )


@contextmanager
def translated(what: str, *, server: str = "") -> Iterator[None]:
    """Turn foreign exceptions into a KubernetesError, chained.

    Args:
        what: the act and its object, as `get Deployment emojivoto/web in west`.
        server: URL of the API server, for the message when it cannot be reached.

    Raises:
        KubernetesError: with the server's status and reason, or without a status when there was
            no answer.
    """
    try:
        yield
    except KubernetesError:
        raise
    except Exception as error:
        if not isinstance(error, foreign_errors()):
            raise
        raise _translate(error, what, server) from error


def _translate(error: Exception, what: str, server: str) -> KubernetesError:
    status = getattr(error, "status", None)
    if isinstance(status, int) and status:
        reason, message = _status_body(getattr(error, "body", None))
        return KubernetesError(
            f"{what} was refused",
            status=status,
            reason=reason or str(getattr(error, "reason", "") or ""),
            seen=message or str(getattr(error, "reason", "")),
            fix=_fix(status),
        )
    if type(error).__name__ == "ConfigException" or isinstance(error, FileNotFoundError):
        return KubernetesError(
            f"{what}: it does not lead to a cluster",
            seen=str(error),
            fix="save the kubeconfig again: `labkit up`",
        )
    cause = getattr(error, "reason", None) or error
    name = type(error).__module__.partition(".")[0]
    if name.startswith("pydantic"):
        return KubernetesError(
            f"{what}: the answer is not what the Kubernetes client expects", seen=str(error)
        )
    return KubernetesError(
        f"{what}: no answer from {server or 'the API server'}",
        seen=f"{type(cause).__name__}: {cause}",
        fix="see whether the cluster is running: `labkit status`",
    )


def _status_body(body: Any) -> tuple[str, str]:
    """Reason and message of a Status object; nothing else of a body is shown."""
    try:
        status = json.loads(body)
    except (TypeError, ValueError):
        return "", ""
    if not isinstance(status, dict) or status.get("kind") != "Status":
        return "", ""
    return str(status.get("reason") or ""), str(status.get("message") or "")


def _fix(status: int) -> str:
    if status == _UNAUTHORIZED:
        return "the credential in the kubeconfig is not valid (any more): save it again"
    if status == _FORBIDDEN:
        return "the credential lacks this right in the cluster"
    return ""
