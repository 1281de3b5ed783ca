"""create and replace: from the request's body to the stored object.

One pipeline for every kind: decode, place, defaults, owners of fields, admission, validation,
store. Webhooks may take time; when somebody else wrote in the meantime, a patch starts again and
a replace with a resourceVersion is refused.
"""

import dataclasses
from collections.abc import Callable

from aiohttp import web

from labkit.embedded.apiserver import admission, objects, preparing, responses, status, strategies
from labkit.embedded.apiserver.accepting import accepted
from labkit.embedded.apiserver.authorization import require
from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.conversion import convert, to_storage
from labkit.embedded.apiserver.reading import find
from labkit.embedded.apiserver.requests import Call
from labkit.embedded.apiserver.store import Entry, Object

_ATTEMPTS = 5


async def create(backend: Backend, call: Call) -> web.Response:
    """POST to a collection."""
    obj = await _read(backend, call)
    version = str(obj["metadata"].get("resourceVersion") or "0")
    if version.isdecimal() and int(version) and not call.dry_run:
        text = "resourceVersion should not be set on objects to be created"
        raise status.ApiError(500, text, reason="")
    made = await insert(backend, call, obj, operation="Update")
    return responses.one(call, made, code=201)


async def _read(backend: Backend, call: Call) -> Object:
    """The object of the body, of the right kind and in the right place."""
    accepted(call.request)
    preparing.check_options(call)
    obj = await preparing.read_object(call)
    if call.resource.crd is not None and not obj.get("kind"):  # no Go type to take it from
        raise status.bad_request("Object 'Kind' is missing in 'object has no kind field '")
    strategies.set_type(obj, call)
    strategies.set_place(obj, call)
    return preparing.clean(backend, call, obj)


async def insert(
    backend: Backend, call: Call, obj: Object, *, operation: str, owned: Object | None = None
) -> Object:
    """Create a decoded object; returns it as stored (or as it would be, for a dry run).

    Args:
        backend: the server.
        call: the request.
        obj: the object; it may be changed.
        operation: `Update`, or `Apply` when `owned` carries the managedFields already.
        owned: the result of a server-side apply.
    """
    resource = call.resource
    call.name = call.name or str(obj["metadata"].get("name") or "")
    admission.check_namespace(backend, call)
    namespace = call.namespace if resource.namespaced else ""

    def is_taken(name: str) -> bool:
        return backend.store.get(resource.storage, namespace, name) is not None

    strategies.prepare_create(obj, resource, call.user, is_taken=is_taken)
    obj = preparing.with_defaults(backend, call, obj, own=True)
    if operation == "Update":  # before admission: nobody owns what admission adds
        obj = preparing.with_owners(backend, call, obj, None)
    elif owned is not None:
        obj["metadata"]["managedFields"] = owned["metadata"].get("managedFields", [])
    mutated = await admission.mutate(backend, call, obj, None)
    if mutated is not obj:  # a webhook adds what has defaults, too
        call.conforms = False
        obj = preparing.with_defaults(backend, call, mutated)
    call.name = call.name or str(obj["metadata"].get("name") or "")
    if "name" in obj["metadata"]:
        _refuse_existing(backend, call, obj)
    preparing.validate(backend, call, obj, None)
    await admission.validating(backend, call, obj, None)
    _refuse_existing(backend, call, obj)
    admission.check_namespace(backend, call)
    admission.allocate(backend, call, obj, None)
    if call.dry_run:
        return obj
    entry = backend.store.put(resource.storage, to_storage(objects.ordered(obj), resource))
    call.stored = entry
    admission.stored(backend, call, entry)
    return convert(entry.obj, resource)


def authorize_create(backend: Backend, call: Call) -> None:
    """403 unless the user may create: a PUT or apply of something missing is a create, too."""
    require(backend.authorizer, call.user, dataclasses.replace(call.attributes, verb="create"))


def _refuse_existing(backend: Backend, call: Call, obj: Object) -> None:
    resource, metadata = call.resource, obj["metadata"]
    name = str(metadata.get("name", ""))
    found = backend.store.get(resource.storage, str(metadata.get("namespace", "")), name)
    if found is not None:
        deleting = "deletionTimestamp" in found.obj["metadata"]
        raise status.already_exists(resource.plural, name, resource.group, deleting=deleting)


async def update(backend: Backend, call: Call) -> web.Response:
    """PUT of an object or its status."""
    obj = await _read(backend, call)
    resource = call.resource
    namespace = call.namespace if resource.namespaced else ""
    if backend.store.get(resource.storage, namespace, call.name) is None:
        creates = strategies.creates_on_update(resource) and not call.subresource
        if not creates or obj["metadata"].get("uid"):
            raise call.not_found()
        authorize_create(backend, call)
        return responses.one(call, await insert(backend, call, obj, operation="Update"), code=201)
    given = str(obj["metadata"].get("resourceVersion") or "")
    if not given and strategies.needs_version(resource):
        cause = {
            "reason": "FieldValueInvalid",
            "message": "Invalid value: 0: must be specified for an update",
            "field": "metadata.resourceVersion",
        }
        kind = resource.plural if resource.crd is not None else resource.kind
        raise status.invalid(kind, call.name, [cause], resource.group)
    return await replace(backend, call, lambda _live: objects.thaw(obj))


async def replace(
    backend: Backend,
    call: Call,
    change: Callable[[Object], Object],
    *,
    operation: str = "Update",
) -> web.Response:
    """Store what `change` makes of the live object; again when somebody else was faster."""
    for attempt in range(_ATTEMPTS):
        entry = find(backend, call)
        live = convert(entry.obj, call.resource)
        new = change(live)
        given = str(new["metadata"].get("resourceVersion") or "")
        _check_identity(call, new, live, given)
        saved = await save(backend, call, new, live, entry, operation=operation)
        if saved is not None:
            return responses.one(call, saved)
        if (
            given and given != str(live["metadata"]["resourceVersion"])
        ) or attempt + 1 == _ATTEMPTS:
            break
    raise status.modified(call.plural, call.name, call.group)


def _check_identity(call: Call, new: Object, live: Object, version: str) -> None:
    metadata = live["metadata"]
    uid = new["metadata"].get("uid") or metadata["uid"]
    if version and version != metadata["resourceVersion"]:
        raise status.modified(call.plural, call.name, call.group)
    if uid != metadata["uid"]:
        key = "/".join(part for part in (call.plural, call.namespace, call.name) if part)
        raise status.conflict(
            call.plural,
            call.name,
            f"StorageError: invalid object, Code: 4, Key: /registry/{key}, ResourceVersion: 0,"
            f" AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object"
            f" meta: {metadata['uid']}",
            call.group,
        )


async def save(
    backend: Backend,
    call: Call,
    new: Object,
    live: Object,
    entry: Entry,
    *,
    operation: str = "Update",
) -> Object | None:
    """The update pipeline; returns what is stored now, or None when somebody else wrote first."""
    resource = call.resource
    new = strategies.prepare_update(new, live, call)
    new = preparing.with_defaults(backend, call, new)
    if operation == "Update":
        new = preparing.with_owners(backend, call, new, live)
    mutated = await admission.mutate(backend, call, new, live)
    call.conforms = call.conforms and mutated is new
    new = mutated
    strategies.check_finalizers(new, live, resource)
    preparing.validate(backend, call, new, live)
    await admission.validating(backend, call, new, live)
    if backend.store.get(resource.storage, entry.namespace, entry.name) is not entry:
        return None
    admission.allocate(backend, call, new, live)
    if objects.same(new, live):
        call.stored = entry
        return live
    if call.dry_run:
        return new
    final = to_storage(objects.ordered(new), resource)
    if "deletionTimestamp" in new["metadata"] and is_finished(new, resource.storage):
        backend.store.remove(resource.storage, entry.namespace, entry.name, final)
        admission.removed(backend, call, entry)
        return new
    saved = call.stored = backend.store.put(resource.storage, final)
    admission.stored(backend, call, saved)
    return convert(saved.obj, resource)


def is_finished(obj: Object, storage: str) -> bool:
    """Whether nothing holds back the removal of an object that is being deleted."""
    metadata = obj["metadata"]
    if metadata.get("finalizers"):
        return False
    if storage == "namespaces" and (obj.get("spec") or {}).get("finalizers"):
        return False
    return not (storage == "pods" and metadata.get("deletionGracePeriodSeconds", 0) > 0)
