"""delete and deletecollection: finalizers, grace periods, propagation, preconditions.

An object that must wait gets a deletionTimestamp; controllers do the rest (garbage collection,
namespace content, stopping pods) and the last finalizer's removal removes it.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from labkit.embedded.apiserver import admission, responses, status, webhooks
from labkit.embedded.apiserver.accepting import accepted
from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.conversion import convert
from labkit.embedded.apiserver.crds import INSTANCES_FINALIZER
from labkit.embedded.apiserver.crds import STORAGE as CRD_STORAGE
from labkit.embedded.apiserver.preparing import check_dry_run, typed
from labkit.embedded.apiserver.reading import find, page
from labkit.embedded.apiserver.requests import Call, decode, read_body
from labkit.embedded.apiserver.store import Entry, Object

_GRACE_S = 30
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_PROPAGATION = ("Foreground", "Background", "Orphan")
_FINALIZER = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}


async def options_of(backend: Backend, call: Call) -> Object:
    """DeleteOptions from the body or, when there is none, from the query."""
    body = await read_body(call.request)
    if body.strip():
        options: Object = await decode(
            body, media_type=call.request.content_type, kind="DeleteOptions"
        )
        if options.get("kind", "DeleteOptions") != "DeleteOptions":
            raise status.bad_request(
                f"decoded object cannot be converted to DeleteOptions: {options.get('kind')}"
            )
        typed(backend, options, "", "v1", "DeleteOptions")
    else:
        options = _options_in_query(call)
    _check(options)
    call.dry = bool(options["dryRun"])
    return options


def _options_in_query(call: Call) -> Object:
    query = call.query
    options: Object = {"dryRun": query.getall("dryRun", [])}
    if "propagationPolicy" in query:
        options["propagationPolicy"] = query["propagationPolicy"]
    if "gracePeriodSeconds" in query:
        text = query["gracePeriodSeconds"]
        if not _INTEGER.fullmatch(text):
            raise status.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        options["gracePeriodSeconds"] = int(text)
    if "orphanDependents" in query:
        options["orphanDependents"] = call.flag("orphanDependents")
    return options


def _check(options: Object) -> None:
    options["dryRun"] = options.get("dryRun") or []
    check_dry_run(options["dryRun"], "DeleteOptions")
    policy = options.get("propagationPolicy")
    if policy is not None and policy not in _PROPAGATION:
        listed = '"Foreground", "Background", "Orphan"'
        raise status.invalid_options(
            "DeleteOptions",
            "propagationPolicy",
            "FieldValueNotSupported",
            f'Unsupported value: "{policy}": supported values: {listed}, "nil"',
        )
    if options.get("orphanDependents") is not None:
        if policy is not None:
            raise status.invalid_options(
                "DeleteOptions",
                "propagationPolicy",
                "FieldValueInvalid",
                f'Invalid value: "{policy}": orphanDependents and deletionPropagation cannot be'
                " both set",
            )
        options["propagationPolicy"] = "Orphan" if options["orphanDependents"] else "Background"


def _check_preconditions(call: Call, options: Object, obj: Object) -> None:
    wanted = options.get("preconditions") or {}
    for field, key in (("UID", "uid"), ("ResourceVersion", "resourceVersion")):
        given, actual = wanted.get(key), obj["metadata"][key]
        if given is None or given == actual:
            continue
        tail = "deleted and then recreated" if key == "uid" else "modified"
        why = (
            f"the {field} in the precondition ({given}) does not match the {field} in record"
            f" ({actual}). The object might have been {tail}"
        )
        raise status.conflict(call.resource.kind, obj["metadata"]["name"], why, call.group)


async def delete(backend: Backend, call: Call) -> web.Response:
    """DELETE of one object."""
    accepted(call.request)
    options = await options_of(backend, call)
    entry = find(backend, call)
    code, obj, gone = await delete_entry(backend, call, entry, options)
    if gone and not call.resource.returns_deleted:
        details: dict[str, Any] = {"name": call.name, "kind": call.plural}
        if call.group:
            details["group"] = call.group
        details["uid"] = obj["metadata"]["uid"]
        return responses.document(status.success(details), code=code, call=call)
    return responses.one(call, obj, code=code)


async def delete_collection(backend: Backend, call: Call) -> web.Response:
    """DELETE of every object that the selectors choose, a page when there is a limit.

    Answers with their list.
    """
    want = accepted(call.request)
    found, metadata = await page(backend, call, want)
    options = await options_of(backend, call)
    for entry in found:
        current = backend.store.get(call.resource.storage, entry.namespace, entry.name)
        if current is not None:
            await delete_entry(backend, call, current, options)
    metadata["resourceVersion"] = str(backend.store.rv)
    return responses.listing(call, found, metadata=metadata, kind=want)


async def delete_entry(
    backend: Backend, call: Call, entry: Entry, options: Object
) -> tuple[int, Object, bool]:
    """Delete one object; returns HTTP status, the object to show, and whether it is gone."""
    resource = call.resource
    obj = convert(entry.obj, resource)
    _check_preconditions(call, options, obj)
    if resource.storage == "namespaces" and entry.name in admission.PROTECTED_NAMESPACES:
        raise status.forbidden("namespaces", entry.name, "this namespace may not be deleted")
    await webhooks.deleting(backend, call, obj)
    changed = mark(obj, entry, options, resource.storage)
    if options["dryRun"]:
        return 200, changed or obj, changed is None
    current = backend.store.get(resource.storage, entry.namespace, entry.name)
    if current is not entry:
        raise status.modified(call.plural, entry.name, call.group)
    if changed is None:
        if resource.storage == "pods":
            entry = backend.store.put("pods", _graceless(entry.obj))
        last = backend.store.remove(resource.storage, entry.namespace, entry.name)
        admission.removed(backend, call, entry)
        return 200, convert(last.obj, resource), True
    if changed["metadata"] != obj["metadata"] or changed.get("status") != obj.get("status"):
        kept = dict(entry.obj)
        kept.update({key: changed[key] for key in ("metadata", "status") if key in changed})
        saved = backend.store.put(resource.storage, kept)
        changed = convert(saved.obj, resource)
        admission.stored(backend, call, saved)
    return 200, changed, False


def _graceless(pod: Object) -> Object:
    """A pod whose grace has ended: watchers see it so once before it goes."""
    metadata = {**pod["metadata"]}
    if "deletionTimestamp" not in metadata and "generation" in metadata:
        metadata["generation"] += 1
    metadata["deletionTimestamp"] = _stamp(0)
    metadata["deletionGracePeriodSeconds"] = 0
    return {**pod, "metadata": metadata}


def _stamp(after_s: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=after_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def mark(obj: Object, entry: Entry, options: Object, storage: str) -> Object | None:
    """The object with its deletion begun, or None when it can go at once."""
    metadata = dict(obj["metadata"])
    finalizers = list(metadata.get("finalizers") or [])
    policy = options.get("propagationPolicy")
    if policy is not None:
        finalizers = [f for f in finalizers if f not in _FINALIZER.values()]
        if policy in _FINALIZER:
            finalizers.append(_FINALIZER[policy])
    if storage == CRD_STORAGE and INSTANCES_FINALIZER not in finalizers:
        finalizers.append(INSTANCES_FINALIZER)
    grace = _grace(obj, options) if storage == "pods" else 0
    waits = bool(finalizers) or grace > 0
    if storage == "namespaces":
        waits = waits or bool((entry.obj.get("spec") or {}).get("finalizers"))
    if not waits:
        return None
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    old_grace = metadata.get("deletionGracePeriodSeconds")
    if "deletionTimestamp" not in metadata or (old_grace is not None and grace < old_grace):
        metadata["deletionTimestamp"] = _stamp(grace)
        if storage not in ("namespaces", CRD_STORAGE):
            metadata["deletionGracePeriodSeconds"] = grace
            if "generation" in metadata and old_grace is None:
                metadata["generation"] += 1
    result = {**obj, "metadata": metadata}
    if storage == "namespaces":
        result["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    return result


def _grace(pod: Object, options: Object) -> int:
    """Seconds that a pod gets; 0 when it is on no node or has ended."""
    spec = pod.get("spec") or {}
    if not spec.get("nodeName") or (pod.get("status") or {}).get("phase") in (
        "Succeeded",
        "Failed",
    ):
        return 0
    given = options.get("gracePeriodSeconds")
    if given is None:
        given = pod["metadata"].get("deletionGracePeriodSeconds")
    if given is None:
        given = spec.get("terminationGracePeriodSeconds", _GRACE_S)
    return max(0, int(given)) if int(given) >= 0 else 1
