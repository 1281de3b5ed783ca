"""What Kubernetes demands of the volumes of pods and pod templates."""

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules import names
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.environmentrules import field_ref, resource_ref
from labkit.embedded.apiserver.rules.securityrules import local_path

Object = Mapping[str, Any]
SOURCES = (
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "azureFile",
    "configMap",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
)
"""Kinds of volumes in the order in which the server looks at them."""
_ORDER = {kind: number for number, kind in enumerate(SOURCES)}

REQUIRED = {
    "hostPath": ("path",),
    "secret": ("secretName",),
    "nfs": ("server", "path"),
    "persistentVolumeClaim": ("claimName",),
    "csi": ("driver",),
}
FILE_FIELDS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
FILE_MODE = "must be a number between 0 and 0777 (octal), both inclusive"


def volumes(given: Sequence[Object], path: str, problems: Problems) -> set[str]:
    """Checks volumes and returns the names of the good ones."""
    found: set[str] = set()
    for index, volume in enumerate(given):
        where, name, wrong = f"{path}[{index}]", volume.get("name", ""), Problems()
        _source(volume, where, wrong)
        if not name:
            wrong.required(f"{where}.name")
        else:
            wrong.invalid(f"{where}.name", name, *names.dns_label(name))
        if name in found:
            wrong.duplicate(f"{where}.name", name)
        if not wrong:
            found.add(name)
        problems.extend(wrong)
    return found


def _source(volume: Object, path: str, problems: Problems) -> None:
    given = [kind for kind, source in volume.items() if source is not None and kind in _ORDER]
    kinds = sorted(given, key=_ORDER.__getitem__)
    if not kinds:
        problems.required(path, "must specify a volume type")
        return
    for extra in kinds[1:]:
        problems.forbidden(f"{path}.{extra}", "may not specify more than 1 volume type")
    kind, source = kinds[0], volume[kinds[0]]
    where = f"{path}.{kind}"
    for field in REQUIRED.get(kind, ()):
        if not source.get(field):
            problems.required(f"{where}.{field}")
    if kind == "hostPath" and ".." in str(source.get("path") or "").split("/"):
        problems.invalid(f"{where}.path", source["path"], "must not contain '..'")
    if kind == "configMap" and not source.get("name"):
        problems.required(f"{where}.name")
    if kind in ("secret", "configMap"):
        _mode(source.get("defaultMode"), f"{where}.defaultMode", problems)
        _keys(source.get("items") or (), f"{where}.items", problems)
    if kind == "downwardAPI":
        _mode(source.get("defaultMode"), f"{where}.defaultMode", problems)
        _files(source.get("items") or (), where, problems)
    if kind == "projected":
        _projected(source, where, problems)


def _mode(value: Any, field: str, problems: Problems) -> None:
    if value is not None and not 0 <= value <= 0o777:
        problems.invalid(field, value, FILE_MODE)


def _keys(items: Sequence[Object], path: str, problems: Problems) -> None:
    for index, item in enumerate(items):
        where, file = f"{path}[{index}]", item.get("path") or ""
        if not item.get("key"):
            problems.required(f"{where}.key")
        if not file:
            problems.required(f"{where}.path")
        _file_path(file, f"{where}.path", problems)
        _mode(item.get("mode"), f"{where}.mode", problems)


def _file_path(file: str, field: str, problems: Problems) -> None:
    local_path(file, field, problems)
    if file.startswith("..") and not file.startswith("../"):
        problems.invalid(field, file, "must not start with '..'")


def _files(items: Sequence[Object], path: str, problems: Problems) -> None:
    for item in items:
        file, field = item.get("path") or "", item.get("fieldRef")
        if not file:
            problems.required(f"{path}.path")
        _file_path(file, f"{path}.path", problems)
        if field is not None:
            field_ref(field, f"{path}.fieldRef", FILE_FIELDS, problems)
            if item.get("resourceFieldRef") is not None:
                detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
                problems.invalid(path, "resource", detail)
        elif item.get("resourceFieldRef") is not None:
            where = f"{path}.resourceFieldRef"
            resource_ref(item["resourceFieldRef"], where, problems, volume=True)
        else:
            detail = "one of fieldRef and resourceFieldRef is required"
            problems.required(path, detail)
        _mode(item.get("mode"), f"{path}.mode", problems)


def _projected(source: Object, path: str, problems: Problems) -> None:
    _mode(source.get("defaultMode"), f"{path}.defaultMode", problems)
    for index, part in enumerate(source.get("sources") or ()):
        where = f"{path}.sources[{index}]"
        kinds = [kind for kind, value in part.items() if value is not None]
        for extra in kinds[1:]:
            problems.forbidden(
                f"{where}.{extra}", "may not specify more than 1 volume type per source"
            )
        for kind in ("secret", "configMap"):
            if part.get(kind) is not None:
                if not part[kind].get("name"):
                    problems.required(f"{where}.{kind}.name")
                _keys(part[kind].get("items") or (), f"{where}.{kind}.items", problems)
        if part.get("downwardAPI") is not None:
            _files(part["downwardAPI"].get("items") or (), f"{where}.downwardAPI", problems)
        token = part.get("serviceAccountToken")
        if token is not None:
            place, seconds = f"{where}.serviceAccountToken", token.get("expirationSeconds")
            if seconds is not None and seconds < 600:
                detail = "may not specify a duration less than 10 minutes"
                problems.invalid(f"{place}.expirationSeconds", seconds, detail)
            if not token.get("path"):
                problems.required(f"{place}.path")
            else:
                _file_path(token["path"], f"{place}.path", problems)
