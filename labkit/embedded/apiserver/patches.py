"""patch: the four formats, and server-side apply."""

from typing import Any

from aiohttp import web

from labkit.embedded.apiserver import documents, objects, responses, status, strategies
from labkit.embedded.apiserver.accepting import accepted
from labkit.embedded.apiserver.backend import Backend, now
from labkit.embedded.apiserver.preparing import check_options, clean, schema_of, strict_error
from labkit.embedded.apiserver.requests import Call, parse_yaml, read_body
from labkit.embedded.apiserver.rules import applying, managed_fields, patching
from labkit.embedded.apiserver.store import Object
from labkit.embedded.apiserver.writing import authorize_create, insert, replace

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)


async def patch(backend: Backend, call: Call) -> web.Response:
    """PATCH of an object or its status, in any of the four formats."""
    accepted(call.request)
    media_type = call.request.content_type
    if media_type not in _PATCH_TYPES or (
        media_type == STRATEGIC_PATCH and call.resource.crd is not None
    ):
        raise _unknown_patch(call)
    check_options(call)
    if media_type == APPLY_PATCH:
        return await apply(backend, call)
    if call.query.get("force") is not None:
        raise status.invalid_options(
            "PatchOptions",
            "force",
            "FieldValueForbidden",
            "Forbidden: may not be specified for non-apply patch",
        )
    document = _patch_document(await read_body(call.request))
    return await replace(backend, call, lambda live: patched(backend, call, live, document))


def _unknown_patch(call: Call) -> status.ApiError:
    if call.request.content_type == STRATEGIC_PATCH:
        return status.unsupported_media(f"{JSON_PATCH}, {MERGE_PATCH}, {APPLY_PATCH}")
    return status.unsupported_media()


def _patch_document(body: bytes) -> Any:
    try:
        return documents.from_json(body)
    except ValueError as error:
        raise status.bad_request(f"error decoding patch: {error}") from error


async def merged_document(call: Call, current: Object) -> Object:
    """A JSON or merge patch applied to a view of an object (scale)."""
    document = _patch_document(await read_body(call.request))
    try:
        if call.request.content_type == JSON_PATCH:
            return patching.apply_json_patch(current, document)
        result: Object = patching.apply_merge_patch(current, document)
    except patching.PatchError as error:
        raise patch_error(error) from error
    return result


def patched(backend: Backend, call: Call, live: Object, document: Any) -> Object:
    """The live object with a JSON, merge or strategic patch applied, cleaned and checked."""
    before = objects.thaw(live)
    try:
        match call.request.content_type:
            case "application/json-patch+json":
                new = patching.apply_json_patch(before, document)
            case "application/merge-patch+json":
                new = patching.apply_merge_patch(before, document)
            case _:
                new = patching.apply_strategic_patch(before, document, schema_of(backend, call))
    except patching.PatchError as error:
        raise patch_error(error) from error
    if not isinstance(new, dict) or not isinstance(new.get("metadata"), dict):
        raise status.bad_request("error decoding patch: the result is not an object")
    if (new.get("kind"), new.get("apiVersion")) != (live["kind"], live["apiVersion"]):
        raise strict_error(call, new, "the kind of an object cannot be changed", patch=True)
    strategies.set_place(new, call)
    return clean(backend, call, new, patch=True)


def patch_error(error: patching.PatchError) -> status.ApiError:
    """The Status of a patch that does not fit."""
    reason = error.reason or None
    details: dict[str, Any] | None = None
    if isinstance(error, managed_fields.ApplyConflict):
        details = {"causes": error.causes}
    elif error.status == 422:
        details = {}
    return status.ApiError(
        error.status,
        error.message,
        reason=reason if reason is not None else ("" if error.status == 500 else None),
        details=details,
    )


async def apply(backend: Backend, call: Call) -> web.Response:
    """PATCH with application/apply-patch+yaml: server-side apply."""
    manager = call.query.get("fieldManager", "")
    if not manager:
        raise status.invalid_options(
            "PatchOptions",
            "fieldManager",
            "FieldValueRequired",
            "Required value: is required for apply patch",
        )
    applied = await parse_yaml(await read_body(call.request), call.resource.kind)
    _check_applied(call, applied)
    namespace = call.namespace if call.resource.namespaced else ""
    if backend.store.get(call.resource.storage, namespace, call.name) is None:
        if call.subresource:
            raise call.not_found()
        authorize_create(backend, call)
        merged = _applied(backend, call, None, applied)
        if uid := applied["metadata"].get("uid"):
            why = (
                f"uid mismatch: the provided object specified uid {uid}, and no existing object "
                "was found"
            )
            raise status.conflict(call.plural, call.name, why, call.group)
        merged = clean(backend, call, objects.thaw(merged))
        strategies.set_place(merged, call)
        made = await insert(backend, call, merged, operation="Apply", owned=merged)
        return responses.one(call, made, code=201)
    return await replace(
        backend,
        call,
        lambda live: objects.thaw(_applied(backend, call, live, applied)),
        operation="Apply",
    )


def _check_applied(call: Call, applied: Object) -> None:
    kind, version = applied.get("kind"), applied.get("apiVersion")
    resource = call.resource
    if (kind, version) != (resource.kind, resource.api_version):
        group, _, short = str(version or "").rpartition("/")
        raise status.bad_request(f"invalid object type: {group}/{short}, Kind={kind or ''}")
    if applied.get("metadata") is None:
        applied["metadata"] = {}
    strategies.set_type(applied, call)
    strategies.set_place(applied, call)
    if applied["metadata"].get("managedFields"):
        raise status.bad_request("metadata.managedFields must be nil")


def _applied(backend: Backend, call: Call, live: Object | None, applied: Object) -> Object:
    try:
        return applying.server_side_apply(
            live,
            applied,
            manager=call.query.get("fieldManager", ""),
            force=call.flag("force"),
            schema=schema_of(backend, call),
            subresource=call.subresource,
            now=now(),
        )
    except patching.PatchError as error:
        raise patch_error(error) from error
