"""An object on its way in: options, decoding, defaults, owners of fields, validation.

The steps that create, replace, patch and apply have in common; `writing` puts them in order.
"""

import json
from typing import Any

from labkit.embedded.apiserver import objects, status, strategies
from labkit.embedded.apiserver.backend import Backend, now
from labkit.embedded.apiserver.requests import Call, decode, read_body
from labkit.embedded.apiserver.rules import (
    conforming,
    decoding,
    defaulting,
    managed_fields,
    validation,
)
from labkit.embedded.apiserver.store import Object

_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}


def check_options(call: Call) -> None:
    """422 for bad dryRun, fieldValidation and force parameters."""
    query, kind = call.query, _OPTIONS.get(call.verb, "DeleteOptions")
    check_dry_run(query.getall("dryRun", []), kind)
    validation_mode = query.get("fieldValidation", "")
    if validation_mode not in ("", "Ignore", "Warn", "Strict"):
        raise status.invalid_options(
            kind,
            "fieldValidation",
            "FieldValueNotSupported",
            f'Unsupported value: "{validation_mode}": supported values: "Ignore", "Strict", "Warn"',
        )
    manager = query.get("fieldManager", "")
    if len(manager) > 128:
        raise status.invalid_options(
            kind, "fieldManager", "FieldValueTooLong", "Too long: may not be more than 128 bytes"
        )
    for at, sign in enumerate(manager):
        if not sign.isprintable():
            message = (
                f"Invalid value: {json.dumps(manager)}: invalid character U+{ord(sign):04X} "
                f"(at position {at})"
            )
            raise status.invalid_options(kind, "fieldManager", "FieldValueInvalid", message)


def check_dry_run(values: list[Any], kind: str) -> None:
    """422 unless every value is All."""
    if any(value != "All" for value in values):
        listed = json.dumps(values)
        raise status.invalid_options(
            kind,
            "dryRun",
            "FieldValueNotSupported",
            f'Unsupported value: {listed}: supported values: "All"',
        )


def schema_of(backend: Backend, call: Call) -> Any:
    """The schema of the resource's kind, or None."""
    resource = call.resource
    return backend.schemas.for_kind(resource.group, resource.version, resource.kind)


async def read_object(call: Call) -> Object:
    """The object in the body of a create or update."""
    body = await read_body(call.request)
    return await decode(body, media_type=call.request.content_type, kind=call.resource.kind)


def typed(backend: Backend, obj: Object, group: str, version: str, kind: str) -> Object:
    """The object of a request that is not stored, its types checked (400)."""
    schema = backend.schemas.for_kind(group, version, kind)
    problem = decoding.decode_check({**obj, "kind": kind}, schema)
    if problem is not None:
        raise status.bad_request(
            f'{kind} in version "{version}" cannot be handled as a {kind}: {problem}'
        )
    return obj


def clean(backend: Backend, call: Call, obj: Object, *, patch: bool = False) -> Object:
    """Types checked (400), unknown fields reported and removed, nulls gone."""
    schema, resource = schema_of(backend, call), call.resource
    if schema is None:
        return obj
    call.conforms = resource.crd is None and conforming.conforms(obj, schema)
    if call.conforms:
        return objects.without_empty(obj, keep_nulls=True)
    checked = obj
    if resource.crd is not None:  # its own schema is checked by validation; metadata is typed
        checked = {"kind": obj["kind"], "metadata": obj["metadata"]}
    problem = decoding.decode_check(checked, schema)
    if problem is not None:
        raise status.bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a'
            f" {resource.kind}: {problem}"
        )
    unknown = decoding.unknown_fields(obj, schema)
    mode = call.query.get("fieldValidation") or "Warn"
    if unknown and mode == "Strict":
        listed = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise strict_error(call, obj, f"strict decoding error: {listed}", patch=patch)
    if unknown and mode == "Warn":
        call.warnings += [f'unknown field "{path}"' for path in unknown]
    if unknown or resource.crd is not None:
        obj = decoding.prune(obj, schema)
    return objects.without_empty(obj, keep_nulls=resource.crd is not None)


def with_defaults(backend: Backend, call: Call, obj: Object, *, own: bool = False) -> Object:
    """The object with the defaults of its kind, from rules or from its definition's schema.

    It is a copy, unless the object is the caller's `own` and may be changed.
    """
    if call.resource.crd is None:
        fill = defaulting.fill_defaults if own else defaulting.apply_defaults
        return fill(obj, conforms=call.conforms)
    filled: Object = decoding.default_from_schema(obj, schema_of(backend, call))
    return filled


def with_owners(backend: Backend, call: Call, obj: Object, live: Object | None) -> Object:
    """The object with managedFields brought up to date; the main endpoint never owns status."""
    hidden: Object = {}
    seen = live
    if not strategies.keeps_status(call.resource) and not call.subresource:
        hidden = {"status": obj["status"]} if "status" in obj else {}
        obj = {key: value for key, value in obj.items() if key != "status"}
        if live is not None:
            seen = {key: value for key, value in live.items() if key != "status"}
    tracked = managed_fields.track_update(
        seen,
        obj,
        manager=call.manager,
        schema=schema_of(backend, call),
        subresource=call.subresource,
        now=now(),
    )
    return tracked | hidden


def strict_error(call: Call, obj: Object, problem: str, *, patch: bool) -> status.ApiError:
    """The refusal of unknown fields: 400, or 422 for a patch."""
    resource = call.resource
    if not patch:
        return status.bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a'
            f" {resource.kind}: {problem}"
        )
    text = json.dumps(json.dumps(obj, separators=(",", ":"), sort_keys=True))
    cause = {
        "reason": "FieldValueInvalid",
        "message": f"Invalid value: {text}: {problem}",
        "field": "patch",
    }
    return status.invalid("", "", [cause])


def validate(backend: Backend, call: Call, obj: Object, old: Object | None) -> None:
    """422 with every cause when the object breaks rules of its kind."""
    resource = call.resource
    causes = validation.validate(
        obj, old=old, schema=schema_of(backend, call), conforms=call.conforms
    )
    if causes:
        found = [
            {"reason": cause.reason, "message": cause.message, "field": cause.field}
            for cause in causes
        ]
        name = str(obj["metadata"].get("name") or "")
        raise status.invalid(resource.kind, name, found, resource.group)
