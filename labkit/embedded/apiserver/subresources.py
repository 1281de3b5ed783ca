"""scale, binding, eviction and finalize: small views that change an object in one way."""

import json
from typing import Any

from aiohttp import web

from labkit.embedded.apiserver import (
    deleting,
    objects,
    patches,
    preparing,
    responses,
    status,
    writing,
)
from labkit.embedded.apiserver.backend import Backend, now
from labkit.embedded.apiserver.reading import find
from labkit.embedded.apiserver.requests import Call, part
from labkit.embedded.apiserver.rules import selectors
from labkit.embedded.apiserver.store import Object


def _paths(call: Call) -> tuple[str, str, str]:
    """Where a kind keeps desired replicas, actual replicas and its selector."""
    resource = call.resource
    if resource.crd is None:
        return "spec.replicas", "status.replicas", "spec.selector"
    for version in resource.crd["spec"]["versions"]:
        if version["name"] == resource.version:
            scale = version["subresources"]["scale"]
            return (
                scale["specReplicasPath"].lstrip("."),
                scale["statusReplicasPath"].lstrip("."),
                scale.get("labelSelectorPath", "").lstrip("."),
            )
    raise status.no_such_resource()


def _value(obj: Object, path: str) -> Any:
    value: Any = obj
    for name in path.split(".") if path else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value if path else None


def _scale(call: Call, obj: Object) -> Object:
    spec_path, status_path, selector_path = _paths(call)
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    state: Object = {"replicas": _value(obj, status_path) or 0}
    selector = _value(obj, selector_path)
    if selector:
        state["selector"] = (
            selector if isinstance(selector, str) else selectors.format_selector(selector)
        )
    replicas = _value(obj, spec_path)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": state,
    }


async def scale(backend: Backend, call: Call) -> web.Response:
    """GET, PUT or PATCH of `scale`."""
    entry = find(backend, call)
    if call.verb == "get":
        return responses.document(_scale(call, entry.obj), call=call)
    preparing.check_options(call)
    given = await _wanted_scale(call, _scale(call, entry.obj))
    replicas = part(given, "spec").get("replicas") or 0
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise status.bad_request(
            'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal into Go'
            " struct field ScaleSpec.spec.replicas of type int32"
        )
    if replicas < 0:
        message = f"Invalid value: {replicas}: must be greater than or equal to 0"
        cause = {"reason": "FieldValueInvalid", "message": message, "field": "spec.replicas"}
        raise status.invalid("Scale", call.name, [cause], "autoscaling")
    version = part(given, "metadata").get("resourceVersion")
    live = entry.obj
    if version and version != live["metadata"]["resourceVersion"]:
        raise status.modified(call.plural, call.name, call.group)
    new = objects.thaw(live)
    parts = _paths(call)[0].split(".")
    target = new
    for step in parts[:-1]:
        target = target.setdefault(step, {})
    target[parts[-1]] = replicas
    saved = await writing.save(backend, call, new, live, entry)
    if saved is None:
        raise status.modified(call.plural, call.name, call.group)
    return responses.document(_scale(call, saved), call=call)


async def _wanted_scale(call: Call, current: Object) -> Object:
    if call.verb == "update":
        given = await preparing.read_object(call)
        _named_in_url(call, given)
        return given
    return await patches.merged_document(call, current)


def _named_in_url(call: Call, given: Object) -> None:
    name = part(given, "metadata").get("name") or call.name
    if name != call.name:
        raise status.bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({call.name})"
        )


async def bind(backend: Backend, call: Call) -> web.Response:
    """POST of pods/NAME/binding (or bindings): put a pod on a node."""
    binding = preparing.typed(backend, await preparing.read_object(call), "", "v1", "Binding")
    _same_name(call, binding, "Binding")
    call.name = call.name or str(part(binding, "metadata").get("name") or "")
    call.resource = backend.registry.find("", "v1", "pods") or call.resource
    call.plural, call.subresource = "pods", "binding"
    entry = find(backend, call)
    node = _bound_node(binding)
    pod = objects.thaw(entry.obj)
    current = pod["spec"].get("nodeName")
    if current:
        raise status.conflict(
            "pods/binding", call.name, f'pod {call.name} is already assigned to node "{current}"'
        )
    if "deletionTimestamp" in pod["metadata"]:
        raise status.conflict("pods/binding", call.name, f"pod {call.name} is being deleted")
    if pod["spec"].get("schedulingGates"):
        why = f"pod {call.name} has non-empty .spec.schedulingGates"
        raise status.conflict("pods/binding", call.name, why)
    pod["spec"]["nodeName"] = node
    annotations = part(binding, "metadata").get("annotations") or {}
    if annotations:
        pod["metadata"].setdefault("annotations", {}).update(annotations)
    conditions = pod["status"].setdefault("conditions", [])
    conditions[:] = [c for c in conditions if c["type"] != "PodScheduled"]
    conditions.append(
        {
            "type": "PodScheduled",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": now(),
            "observedGeneration": pod["metadata"].get("generation", 1),
        }
    )
    if not call.dry_run:
        backend.store.put("pods", pod)
    done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    return responses.document(done, code=201, call=call)


def _same_name(call: Call, obj: Object, kind: str) -> None:
    name = part(obj, "metadata").get("name") or call.name
    if call.name and name != call.name:
        raise status.bad_request(f"name in URL does not match name in {kind} object")


def _bound_node(binding: Object) -> str:
    """The node of a Binding; 500 for another target, as the real server answers."""
    target, wrong = part(binding, "target"), []
    if target.get("kind") not in (None, "", "Node"):
        kind = json.dumps(target["kind"])
        wrong.append(f'target.kind: Unsupported value: {kind}: supported values: "Node", "<empty>"')
    if not target.get("name"):
        wrong.append("target.name: Required value")
    if wrong:
        text = wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]"
        raise status.ApiError(500, text, reason="")
    return str(target["name"])


async def evict(backend: Backend, call: Call) -> web.Response:
    """POST of pods/NAME/eviction: a delete that could be refused by a disruption budget."""
    eviction = preparing.typed(
        backend, await preparing.read_object(call), "policy", "v1", "Eviction"
    )
    _same_name(call, eviction, "Eviction")
    entry = find(backend, call)
    options = dict(part(eviction, "deleteOptions"))
    options["dryRun"] = [*(options.get("dryRun") or []), *call.query.getall("dryRun", [])]
    await deleting.delete_entry(backend, call, entry, options)
    done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    return responses.document(done, code=201, call=call)


async def finalize(backend: Backend, call: Call) -> web.Response:
    """PUT of namespaces/NAME/finalize: without the last finalizer the namespace goes."""
    given = await preparing.read_object(call)
    _named_in_url(call, given)
    entry = find(backend, call)
    version = part(given, "metadata").get("resourceVersion")
    if version and version != entry.obj["metadata"]["resourceVersion"]:
        raise status.modified(call.plural, call.name, call.group)
    new = objects.thaw(entry.obj)
    finalizers = part(given, "spec").get("finalizers") or []
    new["spec"] = {"finalizers": finalizers} if finalizers else {}
    preparing.check_options(call)
    if call.dry_run:
        return responses.one(call, new)
    if "deletionTimestamp" in new["metadata"] and writing.is_finished(new, "namespaces"):
        backend.store.remove("namespaces", "", call.name, new)
    else:
        new = backend.store.put("namespaces", new).obj
    return responses.one(call, new)
