"""What happens to an object between the request and the store: who may write which part.

The server owns metadata (uid, times, versions), the main endpoint owns spec, the status endpoint
owns status. Rules about values live in `rules`, rules about other objects in `admission`.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

from labkit.embedded.apiserver import allocation, status
from labkit.embedded.apiserver.backend import new_uid, now
from labkit.embedded.apiserver.requests import Call
from labkit.embedded.apiserver.resources import Resource
from labkit.embedded.apiserver.rules.schemas import Schemas
from labkit.embedded.apiserver.store import Object
from labkit.embedded.apiserver.users import User

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
_NAMES_TRIED = 8
_NAME_LIMIT = 63

_SERVER_OWNED = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "namespace",
    "selfLink",
)
_JOB_UID = "batch.kubernetes.io/controller-uid"
_KEEPS_STATUS_ON_CREATE = {"nodes"}
_STATUS_ENDPOINT_KEEPS_LABELS = {"pods", "nodes", "services", "namespaces"}
"""Kinds whose status endpoint may change labels and annotations, too."""

_CREATE_ON_UPDATE = {
    "endpoints",
    "events",
    "limitranges",
    "coordination.k8s.io/leases",
    "rbac.authorization.k8s.io/roles",
    "rbac.authorization.k8s.io/rolebindings",
    "rbac.authorization.k8s.io/clusterroles",
    "rbac.authorization.k8s.io/clusterrolebindings",
}
_VERSION_REQUIRED = {
    "apiextensions.k8s.io/customresourcedefinitions",
    "apiregistration.k8s.io/apiservices",
    "coordination.k8s.io/leases",
    "policy/poddisruptionbudgets",
    "admissionregistration.k8s.io/mutatingwebhookconfigurations",
    "admissionregistration.k8s.io/validatingwebhookconfigurations",
}


def creates_on_update(resource: Resource) -> bool:
    """Whether a PUT of a missing object creates it."""
    return resource.storage in _CREATE_ON_UPDATE


def needs_version(resource: Resource) -> bool:
    """Whether a PUT without resourceVersion is refused."""
    return resource.crd is not None or resource.storage in _VERSION_REQUIRED


def keeps_status(resource: Resource) -> bool:
    """Whether the main endpoint may write status: there is no status endpoint."""
    if resource.crd is not None or "status" in resource.subresources:
        return "status" not in resource.subresources
    return True


def set_type(obj: Object, call: Call) -> None:
    """Fill in kind and apiVersion; 400 when the object is of another kind."""
    resource = call.resource
    kind, version = obj.get("kind") or resource.kind, obj.get("apiVersion") or resource.api_version
    if not isinstance(kind, str) or not isinstance(version, str):
        raise status.bad_request(
            "couldn't get version/kind; json parse error: kind must be a string"
        )
    if kind == resource.kind and version != resource.api_version:
        raise status.bad_request(
            f"the API version in the data ({version}) does not match the expected API version"
            f" ({resource.api_version})"
        )
    if kind != resource.kind:
        short = version.rpartition("/")[2]
        if resource.crd is not None:
            raise status.bad_request(
                f"the object provided is unrecognized: expected {resource.kind} in"
                f" {resource.api_version}, got {kind} in {version}"
            )
        group = version.rpartition("/")[0]
        why = (
            f"converting ({short}.{kind}) to ({resource.go_type}): unknown conversion"
            if Schemas.load().for_kind(group, short, kind) is not None
            else f'no kind "{kind}" is registered for version "{version}" in scheme'
            ' "pkg/api/legacyscheme/scheme.go:30"'
        )
        raise status.bad_request(
            f'{kind} in version "{short}" cannot be handled as a {resource.kind}: {why}'
        )
    obj["kind"], obj["apiVersion"] = kind, version
    metadata = obj.get("metadata")
    if metadata is None:
        obj["metadata"] = {}
    elif not isinstance(metadata, dict):
        raise status.bad_request(
            f'{kind} in version "{resource.version}" cannot be handled as a {resource.kind}:'
            " json: cannot unmarshal into Go struct field .metadata of type v1.ObjectMeta"
        )


def set_place(obj: Object, call: Call) -> None:
    """Name and namespace must be those of the path; the namespace is filled in."""
    metadata = obj["metadata"]
    if call.name:
        given = metadata.get("name") or ""
        if given and given != call.name:
            raise status.bad_request(
                f"the name of the object ({given}) does not match the name on the URL ({call.name})"
            )
        if not given and call.verb != "create":
            if call.verb == "update":
                raise status.bad_request(
                    f'the name of the object ("") does not match the name on the URL ({call.name})'
                )
            metadata["name"] = call.name
    if not call.resource.namespaced:
        metadata.pop("namespace", None)
        return
    given = metadata.get("namespace") or call.namespace
    if given != call.namespace:
        raise status.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    metadata["namespace"] = call.namespace


def generate_name(prefix: str) -> str:
    """A name from metadata.generateName."""
    letters = random.choices(_SUFFIX_LETTERS, k=_SUFFIX_LENGTH)  # noqa: S311 - no secret
    return prefix[: _NAME_LIMIT - _SUFFIX_LENGTH] + "".join(letters)


def _free_name(prefix: str, is_taken: Callable[[str], bool]) -> str:
    """A generated name; another one, a few times, where somebody has it."""
    for _ in range(_NAMES_TRIED):
        name = generate_name(prefix)
        if not is_taken(name):
            break
    return name


def prepare_create(
    obj: Object, resource: Resource, user: User, *, is_taken: Callable[[str], bool]
) -> None:
    """The server's part of metadata, and the first status."""
    metadata = obj["metadata"]
    for field in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        metadata.pop(field, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = _free_name(str(metadata["generateName"]), is_taken)
    metadata["uid"] = new_uid()
    metadata["creationTimestamp"] = now()
    metadata.pop("generation", None)
    if resource.has_generation or resource.crd is not None:
        metadata["generation"] = 1
    if not keeps_status(resource) and resource.storage not in _KEEPS_STATUS_ON_CREATE:
        obj.pop("status", None)
    match resource.storage:
        case "namespaces":
            labels = metadata.setdefault("labels", {})
            if isinstance(labels, dict) and metadata.get("name"):
                labels["kubernetes.io/metadata.name"] = metadata["name"]
            spec = obj.setdefault("spec", {})
            finalizers = spec.setdefault("finalizers", [])
            if "kubernetes" not in finalizers:
                finalizers.append("kubernetes")
            obj["status"] = {"phase": "Active"}
        case "pods":
            obj["status"] = {"phase": "Pending"}
        case "services":
            obj["status"] = {"loadBalancer": {}}
        case "persistentvolumeclaims" | "persistentvolumes":
            obj["status"] = {"phase": "Pending"}
        case "batch/jobs":
            _select_own_pods(obj)
        case "certificates.k8s.io/certificatesigningrequests":
            _name_requestor(obj, user)


def _name_requestor(request: Object, user: User) -> None:
    """Who asks for a certificate is for the server to say."""
    info = user.info()
    spec = request.setdefault("spec", {})
    for field, value in (
        ("username", info.get("username")),
        ("uid", info.get("uid")),
        ("groups", info.get("groups")),
        ("extra", info.get("extra")),
    ):
        spec.pop(field, None)
        if value:
            spec[field] = value


def _select_own_pods(job: Object) -> None:
    """Selector and labels by which a Job knows its pods, unless it says that it has its own."""
    metadata, spec = job["metadata"], job.get("spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("template"), dict):
        return  # validation will say so
    template = spec["template"].setdefault("metadata", {})
    labels = dict(template.get("labels") or {})
    given = dict(labels)
    if not spec.get("manualSelector"):
        uid, name = metadata["uid"], metadata.get("name")
        for prefix in ("batch.kubernetes.io/", ""):
            labels.setdefault(f"{prefix}controller-uid", uid)
            labels.setdefault(f"{prefix}job-name", name)
        template["labels"] = labels
        matched = spec.setdefault("selector", {}).setdefault("matchLabels", {})
        matched.setdefault(_JOB_UID, labels[_JOB_UID])
    if not metadata.get("labels") and labels:
        metadata["labels"] = given or dict(labels)


def prepare_update(new: Object, old: Object, call: Call) -> Object:
    """The object after an update of the main endpoint or of `status`, as the server lets it be."""
    resource, metadata, before = call.resource, new["metadata"], old["metadata"]
    for field in _SERVER_OWNED:
        if field in before:
            metadata[field] = before[field]
        else:
            metadata.pop(field, None)
    metadata["resourceVersion"] = before["resourceVersion"]
    if call.subresource in ("status", "approval"):
        return _status_update(new, old, resource)
    if not keeps_status(resource):
        _carry(new, old, "status")
    if resource.storage == "services":
        allocation.drop_unused(new, old)
    if resource.storage == "namespaces":
        spec = dict(new.get("spec") or {})
        spec["finalizers"] = (old.get("spec") or {}).get("finalizers", [])
        new["spec"] = spec
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]
    counts = resource.has_generation or resource.crd is not None
    if counts and _beyond_metadata(new, resource) != _beyond_metadata(old, resource):
        metadata["generation"] = before.get("generation", 0) + 1
    return new


def _carry(new: Object, old: Object, field: str) -> None:
    if field in old:
        new[field] = old[field]
    else:
        new.pop(field, None)


def _status_update(new: Object, old: Object, resource: Resource) -> Object:
    metadata: dict[str, Any] = dict(old["metadata"])
    given = new["metadata"]
    if "managedFields" in given:
        metadata["managedFields"] = given["managedFields"]
    if resource.storage in _STATUS_ENDPOINT_KEEPS_LABELS:
        for field in ("labels", "annotations"):
            metadata.pop(field, None)
            if field in given:
                metadata[field] = given[field]
    result = {**old, "metadata": metadata}
    _carry(result, new, "status")
    return result


def _beyond_metadata(obj: Object, resource: Resource) -> Object:
    skipped = {"metadata", "kind", "apiVersion"}
    if resource.crd is None or "status" in resource.subresources:
        skipped.add("status")
    return {key: value for key, value in obj.items() if key not in skipped}


def check_finalizers(new: Object, old: Object, resource: Resource) -> None:
    """422 when finalizers are added to an object that is being deleted."""
    if "deletionTimestamp" not in old["metadata"]:
        return
    before = old["metadata"].get("finalizers") or []
    added: Sequence[str] = [
        name for name in new["metadata"].get("finalizers") or [] if name not in before
    ]
    if added:
        quoted = ", ".join(f'"{name}"' for name in added)
        message = (
            "Forbidden: no new finalizers can be added if the object is being deleted, found new"
            f" finalizers []string{{{quoted}}}"
        )
        cause = {
            "reason": "FieldValueForbidden",
            "message": message,
            "field": "metadata.finalizers",
        }
        raise status.invalid(  # the real server reports it twice, too
            resource.kind, new["metadata"]["name"], [cause, dict(cause)], resource.group
        )
