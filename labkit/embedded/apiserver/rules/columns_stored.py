"""The columns of kinds that are stored only: volumes, quotas, requests for certificates."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules.ages import human_duration
from labkit.embedded.apiserver.rules.cells import Object, count, get, value
from labkit.embedded.apiserver.rules.column import AGE, NAME, Column

ACCESS = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
UNSET = "<unset>"


def access_modes(path: str) -> Any:
    """The modes at a path, once each, in the order that kubectl prints them in."""

    def cell(obj: Object, _: dt.datetime) -> str:
        given = get(obj, path, ())
        return ",".join(short for mode, short in ACCESS.items() if mode in given)

    return cell


def _claim(volume: Object, _: dt.datetime) -> str:
    claim = get(volume, "spec.claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


def _phase(obj: Object, _: dt.datetime) -> str:
    deleting = "deletionTimestamp" in obj["metadata"]
    return "Terminating" if deleting else str(get(obj, "status.phase", ""))


def _quota(limits: bool) -> Any:  # noqa: FBT001 - one of two columns
    def cell(quota: Object, _: dt.datetime) -> str:
        hard, used = get(quota, "status.hard", {}), get(quota, "status.used", {})
        return ", ".join(
            f"{name}: {used.get(name, '0')}/{hard[name]}"
            for name in sorted(hard)
            if name.startswith("limits") == limits
        )

    return cell


def _condition(request: Object, _: dt.datetime) -> str:
    found = {c.get("type") for c in get(request, "status.conditions", ())}
    words = [word for word in ("Approved", "Denied", "Failed") if word in found]
    issued = ["Issued"] if get(request, "status.certificate") else []
    return ",".join([*words, *issued]) or "Pending"


def _duration(request: Object, _: dt.datetime) -> str:
    seconds = get(request, "spec.expirationSeconds")
    return "<none>" if seconds is None else human_duration(seconds)


def _parameters(path: str) -> Any:
    def cell(obj: Object, _: dt.datetime) -> str:
        found = get(obj, path)
        return "/".join(str(part) for part in found.values() if part) if found else UNSET

    return cell


STORED: Mapping[str, tuple[Column, ...]] = {
    "PersistentVolume": (
        NAME,
        Column("Capacity", "spec.capacity", value("spec.capacity.storage")),
        Column("Access Modes", "spec.accessModes", access_modes("spec.accessModes")),
        Column(
            "Reclaim Policy",
            "spec.persistentVolumeReclaimPolicy",
            value("spec.persistentVolumeReclaimPolicy"),
        ),
        Column("Status", "status.phase", _phase),
        Column("Claim", "spec.claimRef", _claim),
        Column("StorageClass", "StorageClass of the pv", value("spec.storageClassName")),
        Column(
            "VolumeAttributesClass",
            "spec.volumeAttributesClassName",
            value("spec.volumeAttributesClassName", UNSET),
        ),
        Column("Reason", "status.reason", value("status.reason")),
        AGE,
        Column("VolumeMode", "spec.volumeMode", value("spec.volumeMode", UNSET), priority=1),
    ),
    "ResourceQuota": (
        NAME,
        Column(
            "Request",
            "Request represents a minimum amount of cpu/memory that a container may consume.",
            _quota(limits=False),
        ),
        Column(
            "Limit",
            "Limits control the maximum amount of cpu/memory that a container may use "
            "independent of contention on the node.",
            _quota(limits=True),
        ),
        AGE,
    ),
    "CertificateSigningRequest.certificates.k8s.io": (
        NAME,
        AGE,
        Column("SignerName", "spec.signerName", value("spec.signerName", "<none>")),
        Column("Requestor", "spec.request", value("spec.username")),
        Column("RequestedDuration", "spec.expirationSeconds", _duration),
        Column("Condition", "status.conditions", _condition),
    ),
    "RuntimeClass.node.k8s.io": (NAME, Column("Handler", "handler", value("handler")), AGE),
    "CSINode.storage.k8s.io": (
        NAME,
        Column(
            "Drivers",
            "Drivers indicates the number of CSI drivers registered on the node",
            count("spec.drivers"),
            "integer",
        ),
        AGE,
    ),
    "ValidatingAdmissionPolicy.admissionregistration.k8s.io": (
        NAME,
        Column(
            "Validations",
            "Validations indicates the number of validation rules defined in this configuration",
            count("spec.validations"),
            "integer",
        ),
        Column(
            "ParamKind",
            "ParamKind specifies the kind of resources used to parameterize this policy",
            _parameters("spec.paramKind"),
        ),
        AGE,
    ),
    "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io": (
        NAME,
        Column(
            "PolicyName",
            "PolicyName indicates the policy definition which the policy binding binded to",
            value("spec.policyName"),
        ),
        Column(
            "ParamRef",
            "ParamRef indicates the param resource which sets the configration param",
            _parameters("spec.paramRef"),
        ),
        AGE,
    ),
}
