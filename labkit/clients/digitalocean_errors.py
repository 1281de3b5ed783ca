"""Every failure of pydo and azure-core becomes a CloudError here, and only here.

Messages say what was asked, what the API answered and what to do; the token is cut out of them.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from labkit.errors import CloudError

if TYPE_CHECKING:
    from azure.core.exceptions import AzureError

_FIXES = {
    401: "set DIGITALOCEAN_TOKEN to a valid token with the scopes kubernetes and load_balancer",
    403: "the token lacks a scope; kubernetes and load_balancer are needed",
    404: "it was deleted or belongs to another account; `labkit status` shows what there is",
    429: "wait for the rate limit (see Retry-After), then run the same command again",
}
_TROUBLE = "DigitalOcean has trouble; run the same command again, nothing is created twice"


class Translator:
    """Translates the failures of one endpoint.

    Args:
        endpoint: named in messages.
        token: cut out of messages.
    """

    def __init__(self, endpoint: str, token: str) -> None:
        self._endpoint = endpoint
        self._token = token

    def __repr__(self) -> str:
        return f"Translator({self._endpoint!r})"

    @contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Turn every exception of azure-core inside into a CloudError.

        Args:
            what: the act that may fail, as `Creating cluster west in sfo3`.
        """
        from azure.core.exceptions import AzureError, DeserializationError, SerializationError

        try:
            yield
        except AzureError as exc:
            raise self._translate(what, exc) from exc
        except (SerializationError, DeserializationError) as exc:
            raise CloudError(
                f"{what}: request or answer could not be encoded", seen=self._redacted(str(exc))
            ) from exc

    def refusal(
        self, what: str, status: int, message: str, *, retry_after_s: float | None = None
    ) -> CloudError:
        """Make the error of an HTTP status."""
        fix = _FIXES.get(status, _TROUBLE if status >= 500 else "")
        seen = self._redacted(f"{status} {message}".strip())
        return CloudError(
            f"{what} was refused", status=status, seen=seen, fix=fix, retry_after_s=retry_after_s
        )

    def _translate(self, what: str, exc: "AzureError") -> CloudError:
        from azure.core import exceptions as azure

        status = getattr(exc, "status_code", None)
        seen = self._redacted(_azure_message(exc))
        if isinstance(exc, azure.DecodeError):
            return CloudError(f"{what}: the answer could not be read", status=status, seen=seen)
        if isinstance(exc, azure.HttpResponseError) and status is not None:
            return self.refusal(what, status, seen, retry_after_s=_retry_after(exc))
        if isinstance(exc, azure.ServiceRequestError):
            return CloudError(
                f"{what}: {self._endpoint} could not be reached",
                seen=seen,
                fix="check the network; on the embedded cloud: `labkit status`",
            )
        return CloudError(
            f"{what}: no complete answer from {self._endpoint}",
            seen=seen,
            fix="run the same command again; nothing is created twice",
        )

    def _redacted(self, text: str) -> str:
        return text.replace(self._token, "***") if self._token else text


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `Retry-After`; a date, which DigitalOcean never sends, is ignored."""
    try:
        return max(0.0, float(headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def _retry_after(exc: "AzureError") -> float | None:
    headers = getattr(getattr(exc, "response", None), "headers", None)
    return retry_after_of(headers) if headers else None


def _azure_message(exc: "AzureError") -> str:
    """Return the API's own message if the exception carries one, else azure-core's."""
    response = getattr(exc, "response", None)
    if response is not None:
        try:
            found = message_of(response.text())
        except Exception:  # noqa: BLE001 - a body that cannot be read is no reason to fail here
            found = ""
        if found:
            return found
    return str(getattr(exc, "message", exc))


def message_of(text: str) -> str:
    """Return the message of an error body, empty if it has none."""
    try:
        return field_of(json.loads(text), "message")
    except ValueError:
        return ""


def field_of(body: Any, key: str) -> str:
    """Return a field of a JSON body as text, empty if it is missing."""
    return str(body.get(key, "")) if isinstance(body, dict) else ""
