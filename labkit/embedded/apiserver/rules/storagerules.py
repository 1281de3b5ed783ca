"""What Kubernetes demands of volumes, claims to them, and classes of storage."""

from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules import names
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.quantities import amount, canonical
from labkit.embedded.apiserver.rules.schedulingrules import label_selector

Object = Mapping[str, Any]
ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
RECLAIM = ("Delete", "Recycle", "Retain")
BINDING = ("Immediate", "WaitForFirstConsumer")
POSITIVE = "must be greater than zero"
CLAIM_FIELDS = ("resources", "volumeName", "volumeAttributesClassName", "storageClassName")
VOLUME_FIELDS = {
    "capacity",
    "accessModes",
    "claimRef",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "mountOptions",
    "volumeMode",
    "nodeAffinity",
    "volumeAttributesClassName",
}


def _access_modes(given: Any, path: str, problems: Problems) -> None:
    if not given:
        problems.required(path, "at least 1 access mode is required")
    for mode in given or ():
        if mode not in ACCESS_MODES:
            problems.unsupported(path, mode, ACCESS_MODES)
    if given and "ReadWriteOncePod" in given and len(given) > 1:
        detail = "may not use ReadWriteOncePod with other access modes"
        problems.forbidden(path, detail)


def claim_spec(spec: Object, path: str, problems: Problems) -> None:
    """Access modes, size, class."""
    _access_modes(spec.get("accessModes"), f"{path}.accessModes", problems)
    label_selector(spec.get("selector"), f"{path}.selector", problems)
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        problems.required(f"{path}.resources[storage]")
    elif amount(requests["storage"]) <= 0:
        field = f"{path}.resources[storage]"
        problems.invalid(field, canonical(requests["storage"]), POSITIVE)
    name = spec.get("storageClassName")
    if name and (wrong := names.dns_subdomain(name)):
        problems.invalid(f"{path}.storageClassName", name, *wrong)
    mode = spec.get("volumeMode")
    if mode is not None and mode not in VOLUME_MODES:
        problems.unsupported(f"{path}.volumeMode", mode, VOLUME_MODES)


def claim(obj: Object, old: Object | None, problems: Problems) -> None:
    """A PersistentVolumeClaim; it may only grow."""
    spec = obj.get("spec") or {}
    claim_spec(spec, "spec", problems)
    if old is None:
        return
    before = old.get("spec") or {}
    kept = {*spec, *before} - set(CLAIM_FIELDS)
    if any(spec.get(key) != before.get(key) for key in kept) or _moved(spec, before):
        detail = (
            "spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims"
        )
        problems.forbidden("spec", detail)
        return
    wanted, had = _size(spec), _size(before)
    bound = (old.get("status") or {}).get("phase") == "Bound"
    if wanted < had:
        detail = "field can not be less than status.capacity"
        problems.forbidden("spec.resources.requests.storage", detail)
    elif wanted != had and not bound:
        detail = (
            "spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims"
        )
        problems.forbidden("spec", detail)


def _moved(spec: Object, before: Object) -> bool:
    return any(
        before.get(key) and spec.get(key) != before.get(key)
        for key in ("volumeName", "storageClassName")
    )


def _size(spec: Object) -> Any:
    return amount(((spec.get("resources") or {}).get("requests") or {}).get("storage", 0))


def volume(obj: Object, old: Object | None, problems: Problems) -> None:
    """A PersistentVolume: one source, which stays."""
    spec = obj.get("spec") or {}
    _access_modes(spec.get("accessModes"), "spec.accessModes", problems)
    capacity = spec.get("capacity") or {}
    if not capacity:
        problems.required("spec.capacity")
    elif set(capacity) != {"storage"}:
        problems.unsupported("spec.capacity", capacity, ("storage",))
    for name, value in sorted(capacity.items()):
        if amount(value) <= 0:
            problems.invalid(f"spec.capacity[{name}]", canonical(value), POSITIVE)
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy and policy not in RECLAIM:
        problems.unsupported("spec.persistentVolumeReclaimPolicy", policy, RECLAIM)
    sources = sorted(key for key in spec if key not in VOLUME_FIELDS and spec[key] is not None)
    for extra in sources[1:]:
        problems.forbidden(f"spec.{extra}", "may not specify more than 1 volume type")
    if not sources:
        problems.required("spec", "must specify a volume type")
    if old is not None:
        before = old.get("spec") or {}
        if any(spec.get(key) != before.get(key) for key in {*spec, *before} - VOLUME_FIELDS):
            detail = "spec.persistentvolumesource is immutable after creation"
            problems.forbidden("spec.persistentvolumesource", detail)
        problems.immutable("spec.volumeMode", spec.get("volumeMode"), before.get("volumeMode"))


def storage_class(obj: Object, old: Object | None, problems: Problems) -> None:
    """A StorageClass; nearly nothing of it changes."""
    provisioner = obj.get("provisioner") or ""
    if not provisioner:
        problems.required("provisioner")
    else:
        wrong = names.qualified_name(provisioner.lower())
        problems.invalid("provisioner", provisioner, *wrong)
    for field, known in (("reclaimPolicy", ("Delete", "Retain")), ("volumeBindingMode", BINDING)):
        value = obj.get(field)
        if value and value not in known:
            problems.unsupported(field, value, known)
    if old is None:
        return
    if (obj.get("parameters") or {}) != (old.get("parameters") or {}):
        problems.forbidden("parameters", "updates to parameters are forbidden.")
    if provisioner != old.get("provisioner"):
        problems.forbidden("provisioner", "updates to provisioner are forbidden.")
    if obj.get("reclaimPolicy") != old.get("reclaimPolicy"):
        problems.forbidden("reclaimPolicy", "updates to reclaimPolicy are forbidden.")
    problems.immutable(
        "volumeBindingMode", obj.get("volumeBindingMode"), old.get("volumeBindingMode")
    )
