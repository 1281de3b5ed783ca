"""What volumes, claims and classes of storage are refused for, and what of them may change."""

import pytest

from tests.support.validated import wrong

CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
VOLUME = {
    "accessModes": ["ReadWriteOnce"],
    "capacity": {"storage": "1Gi"},
    "hostPath": {"path": "/data"},
}
CLASS = {"provisioner": "a.b/c", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}
SEALED = (
    "Forbidden: spec is immutable after creation except resources.requests and"
    " volumeAttributesClassName for bound claims"
)


@pytest.mark.parametrize(
    ("fields", "place", "text"),
    [
        ({"accessModes": []}, "spec.accessModes", "at least 1 access mode is required"),
        ({"accessModes": ["Odd"]}, "spec.accessModes", 'Unsupported value: "Odd"'),
        (
            {"accessModes": ["ReadWriteOncePod", "ReadWriteOnce"]},
            "spec.accessModes",
            "may not use ReadWriteOncePod with other access modes",
        ),
        (
            {"resources": {"requests": {"storage": "0"}}},
            "spec.resources[storage]",
            'Invalid value: "0": must be greater than zero',
        ),
        ({"storageClassName": "A"}, "spec.storageClassName", "a lowercase RFC 1123 subdomain"),
        ({"volumeMode": "Odd"}, "spec.volumeMode", 'Unsupported value: "Odd"'),
    ],
)
def test_a_claim_is_refused_for(fields, place, text):
    ((found, message),) = wrong("v1", "PersistentVolumeClaim", spec={**CLAIM, **fields})
    assert found == place
    assert text in message


@pytest.mark.parametrize(
    ("size", "phase", "causes"),
    [
        ("2Gi", "Bound", []),
        ("2Gi", "Pending", [("spec", SEALED)]),
        (
            "1Mi",
            "Bound",
            [
                (
                    "spec.resources.requests.storage",
                    "Forbidden: field can not be less than status.capacity",
                )
            ],
        ),
    ],
)
def test_a_bound_claim_grows_and_nothing_else(size, phase, causes):
    old = {"spec": CLAIM, "status": {"phase": phase}}
    spec = {**CLAIM, "resources": {"requests": {"storage": size}}}
    assert wrong("v1", "PersistentVolumeClaim", old=old, spec=spec) == causes
    other = {**CLAIM, "accessModes": ["ReadOnlyMany"]}
    assert wrong("v1", "PersistentVolumeClaim", old=old, spec=other) == [("spec", SEALED)]


@pytest.mark.parametrize(
    ("fields", "place", "text"),
    [
        ({"capacity": {}}, "spec.capacity", "Required value"),
        ({"capacity": {"storage": "-1"}}, "spec.capacity[storage]", "must be greater than zero"),
        (
            {"persistentVolumeReclaimPolicy": "Odd"},
            "spec.persistentVolumeReclaimPolicy",
            'Unsupported value: "Odd"',
        ),
        (
            {"nfs": {"server": "a", "path": "/"}},
            "spec.nfs",
            "may not specify more than 1 volume type",
        ),
        ({"hostPath": None}, "spec", "must specify a volume type"),
    ],
)
def test_a_volume_is_refused_for(fields, place, text):
    ((found, message),) = wrong("v1", "PersistentVolume", spec={**VOLUME, **fields})
    assert found == place
    assert text in message


def test_the_source_of_a_volume_stays():
    spec = {**VOLUME, "hostPath": {"path": "/other"}}
    assert wrong("v1", "PersistentVolume", old={"spec": VOLUME}, spec=spec) == [
        (
            "spec.persistentvolumesource",
            "Forbidden: spec.persistentvolumesource is immutable after creation",
        )
    ]


@pytest.mark.parametrize(
    ("fields", "causes"),
    [
        ({}, []),
        (
            {"parameters": {"a": "b"}},
            [("parameters", "Forbidden: updates to parameters are forbidden.")],
        ),
        (
            {"provisioner": "a.b/d"},
            [("provisioner", "Forbidden: updates to provisioner are forbidden.")],
        ),
        (
            {"reclaimPolicy": "Retain"},
            [("reclaimPolicy", "Forbidden: updates to reclaimPolicy are forbidden.")],
        ),
        (
            {"volumeBindingMode": "WaitForFirstConsumer"},
            [("volumeBindingMode", 'Invalid value: "WaitForFirstConsumer": field is immutable')],
        ),
        ({"allowVolumeExpansion": True}, []),
    ],
)
def test_nearly_nothing_of_a_class_changes(fields, causes):
    found = wrong(
        "storage.k8s.io/v1", "StorageClass", old={"parameters": {}, **CLASS}, **{**CLASS, **fields}
    )
    assert found == causes
