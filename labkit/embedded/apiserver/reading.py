"""get and list: selectors, paging, and what resourceVersion means for them."""

import asyncio
import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from labkit.embedded.apiserver import responses, status
from labkit.embedded.apiserver.accepting import Accepted, accepted
from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.requests import Call
from labkit.embedded.apiserver.selecting import selection
from labkit.embedded.apiserver.store import Entry, Expired

_TOO_LARGE_WAIT_S = 3.0
_POLL_S = 0.02
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")

_GONE = (
    "The provided continue parameter is too old to display a consistent list result. You can"
    " start a new list without the continue parameter, or use the continue token in this"
    " response to retrieve the remainder of the results. Continuing with the provided token"
    " results in an inconsistent list - objects that were created, modified, or deleted between"
    " the time the first chunk was returned and now may show up in the list."
)


def find(backend: Backend, call: Call) -> Entry:
    """The stored object of the path; 404 when there is none."""
    namespace = call.namespace if call.resource.namespaced else ""
    entry = backend.store.get(call.resource.storage, namespace, call.name)
    if entry is None:
        raise call.not_found()
    return entry


async def get(backend: Backend, call: Call) -> web.Response:
    """GET of one object."""
    wanted = version_of(call.query.get("resourceVersion", ""))
    await wait_for_version(backend, wanted)
    entry = find(backend, call)
    call.shown = entry.rv
    return responses.stored(call, entry)


def version_of(text: str) -> int:
    """A resourceVersion as a number; 0 when absent; 400 when it is none."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise status.bad_request(
            f'invalid resource version: resourceVersion: Invalid value: "{text}":'
            f' strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


async def wait_for_version(backend: Backend, wanted: int) -> None:
    """Wait until the store has reached a version; 504 after three seconds."""
    waited = 0.0
    while wanted > backend.store.rv:
        if waited >= _TOO_LARGE_WAIT_S:
            error = status.ApiError(
                504,
                f"Timeout: Too large resource version: {wanted}, current: {backend.store.rv}",
                details={
                    "causes": [
                        {
                            "reason": "ResourceVersionTooLarge",
                            "message": "Too large resource version",
                        }
                    ],
                    "retryAfterSeconds": 1,
                },
            )
            raise error
        await asyncio.sleep(_POLL_S)
        waited += _POLL_S


def check_list_options(query: Any, *, watch: bool) -> None:
    """400 for numbers that are none, 422 for combinations of options that make no sense."""
    for name in ("limit", "timeoutSeconds"):
        integer(query, name)
    match = query.get("resourceVersionMatch", "")
    version = query.get("resourceVersion", "")
    initial = query.get("sendInitialEvents")

    def refuse(field: str, message: str) -> status.ApiError:
        return status.invalid_options(
            "ListOptions", field, "FieldValueForbidden", f"Forbidden: {message}"
        )

    if initial is not None:
        if not watch:
            raise refuse("sendInitialEvents", "sendInitialEvents is forbidden for list")
        if match != "NotOlderThan":
            raise refuse(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            )
        return
    if not match:
        return
    if watch:
        raise refuse(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        )
    if query.get("continue"):
        raise refuse("resourceVersionMatch", "resourceVersionMatch is forbidden with continue")
    if not version:
        raise refuse(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        )
    if match == "Exact" and version == "0":
        raise refuse(
            "resourceVersionMatch",
            'resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
        )
    if match not in ("Exact", "NotOlderThan"):
        raise status.invalid_options(
            "ListOptions",
            "resourceVersionMatch",
            "FieldValueNotSupported",
            f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""',
        )


@dataclass(frozen=True)
class _Page:
    """Where a list continues: the version of the first page and the last key that was sent."""

    rv: int
    after: tuple[str, str]

    def token(self) -> str:
        value = {"v": "meta.k8s.io/v1", "rv": self.rv, "start": "/".join(self.after)}
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str) -> "_Page":
        try:
            padded = token + "=" * (-len(token) % 4)
            value = json.loads(base64.urlsafe_b64decode(padded))
            namespace, _, name = str(value["start"]).partition("/")
            return cls(int(value["rv"]), (namespace, name))
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise status.bad_request(
                f"invalid continue token: continue key is not valid: {error}"
            ) from error


def integer(query: Any, name: str) -> int:
    """A number in the query; 0 when absent; 400 when it is none."""
    text = query.get(name, "") or "0"
    if not _INTEGER.fullmatch(text):
        raise status.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


async def _state(backend: Backend, call: Call, limit: int) -> tuple[int, list[Entry]]:
    """Version and objects that a list shows, before selecting."""
    resource = call.resource
    namespace = call.namespace if resource.namespaced and call.namespace else None
    query = call.query
    wanted = version_of(query.get("resourceVersion", ""))
    match = query.get("resourceVersionMatch", "")
    token = query.get("continue", "")
    try:
        if token:
            page = _Page.parse(token)
            found = backend.store.entries_at(resource.storage, namespace, page.rv)
            return page.rv, [e for e in found if (e.namespace, e.name) > page.after]
        await wait_for_version(backend, wanted)
        if wanted and (match == "Exact" or (limit and not match)):
            return wanted, backend.store.entries_at(resource.storage, namespace, wanted)
    except Expired as error:
        raise status.expired(_GONE if token else str(error)) from error
    return backend.store.rv, backend.store.entries(resource.storage, namespace)


async def list_objects(backend: Backend, call: Call) -> web.Response:
    """GET of a collection."""
    want = accepted(call.request)
    found, metadata = await page(backend, call, want)
    return responses.listing(call, found, metadata=metadata, kind=want)


async def page(backend: Backend, call: Call, want: Accepted) -> tuple[list[Entry], dict[str, Any]]:
    """The objects that a list shows, and its metadata: as many as `limit` and `continue` say."""
    check_list_options(call.query, watch=False)
    chosen = selection(call)
    limit = max(0, integer(call.query, "limit"))
    rv, entries = await _state(backend, call, limit)
    found = [entry for entry in entries if chosen.matches(entry)]
    metadata: dict[str, Any] = {"resourceVersion": str(rv)}
    if call.resource.crd is not None and want.shape == "object":
        metadata["continue"] = ""
    if limit and len(found) > limit:
        remaining = len(found) - limit
        found = found[:limit]
        metadata["continue"] = _Page(rv, (found[-1].namespace, found[-1].name)).token()
        if chosen.everything:
            metadata["remainingItemCount"] = remaining
    return found, metadata
