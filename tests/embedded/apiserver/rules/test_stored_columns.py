"""Printed columns of kinds that nobody here acts upon: volumes, quotas, certificates, policies."""

import datetime as dt
from typing import Any

import pytest

from labkit.embedded.apiserver.rules.columns import COLUMNS
from labkit.embedded.apiserver.rules.tables import table

NOW = dt.datetime(2026, 11, 23, 1, 0, 0, tzinfo=dt.UTC)
MADE = "2026-11-23T00:00:00Z"
CERTIFICATES = "CertificateSigningRequest.certificates.k8s.io"
POLICY = "ValidatingAdmissionPolicy.admissionregistration.k8s.io"


def printed(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    """The cells of one object by the name of their column."""
    metadata = {"name": "x", "creationTimestamp": MADE, **obj.pop("metadata", {})}
    heads, rows = table(kind, [{"metadata": metadata, **obj}], now=NOW)
    return dict(zip([head["name"] for head in heads], rows[0]["cells"], strict=True))


def test_a_volume_shows_its_size_its_claim_and_how_it_is_reached():
    found = printed(
        "PersistentVolume",
        {
            "spec": {
                "capacity": {"storage": "5Gi"},
                "accessModes": ["ReadWriteMany", "ReadWriteOnce", "ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": "a", "name": "data"},
                "storageClassName": "slow",
                "volumeMode": "Filesystem",
            },
            "status": {"phase": "Bound", "reason": "because"},
        },
    )
    assert found == {
        "Name": "x",
        "Capacity": "5Gi",
        "Access Modes": "RWO,RWX",
        "Reclaim Policy": "Retain",
        "Status": "Bound",
        "Claim": "a/data",
        "StorageClass": "slow",
        "VolumeAttributesClass": "<unset>",
        "Reason": "because",
        "Age": "60m",
        "VolumeMode": "Filesystem",
    }


def test_a_volume_that_goes_is_terminating_and_one_without_a_claim_shows_none():
    metadata = {"deletionTimestamp": MADE}
    found = printed("PersistentVolume", {"metadata": metadata, "status": {"phase": "Available"}})
    assert (found["Status"], found["Claim"]) == ("Terminating", "")
    assert found["VolumeMode"] == "<unset>"


def test_a_quota_shows_requests_and_limits_apart_with_what_is_used():
    status = {
        "hard": {"pods": "10", "requests.cpu": "1", "limits.cpu": "2", "limits.memory": "1Gi"},
        "used": {"pods": "3", "limits.cpu": "500m"},
    }
    found = printed("ResourceQuota", {"status": status})
    assert found["Request"] == "pods: 3/10, requests.cpu: 0/1"
    assert found["Limit"] == "limits.cpu: 500m/2, limits.memory: 0/1Gi"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({}, "Pending"),
        ({"conditions": [{"type": "Approved"}]}, "Approved"),
        ({"conditions": [{"type": "Approved"}], "certificate": "eA=="}, "Approved,Issued"),
        ({"conditions": [{"type": "Denied"}]}, "Denied"),
        ({"conditions": [{"type": "Failed"}, {"type": "Approved"}]}, "Approved,Failed"),
    ],
)
def test_a_request_for_a_certificate_shows_what_was_decided(status, text):
    assert printed(CERTIFICATES, {"spec": {}, "status": status})["Condition"] == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "<none>"),
        (600, "10m"),
        (3600, "60m"),
        (7200, "120m"),
        (10800, "3h"),
        (86400, "24h"),
        (100 * 86400, "100d"),
    ],
)
def test_a_request_for_a_certificate_shows_how_long_it_shall_hold(seconds, text):
    spec = {"signerName": "a/b", "username": "me", "expirationSeconds": seconds}
    found = printed(CERTIFICATES, {"spec": {k: v for k, v in spec.items() if v is not None}})
    assert (found["SignerName"], found["Requestor"]) == ("a/b", "me")
    assert found["RequestedDuration"] == text


def test_policies_show_their_rules_and_parameters():
    spec = {"validations": [{}, {}], "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}
    found = printed(POLICY, {"spec": spec})
    assert (found["Validations"], found["ParamKind"]) == (2, "v1/ConfigMap")
    assert printed(POLICY, {"spec": {}})["ParamKind"] == "<unset>"
    binding = POLICY.replace("Policy", "PolicyBinding", 1)
    found = printed(binding, {"spec": {"policyName": "p", "paramRef": {"name": "n"}}})
    assert found["PolicyName"] == "p"


def test_other_stored_kinds_show_one_thing():
    assert printed("RuntimeClass.node.k8s.io", {"handler": "runc"})["Handler"] == "runc"
    drivers = {"spec": {"drivers": [{"name": "a"}, {"name": "b"}]}}
    assert printed("CSINode.storage.k8s.io", drivers)["Drivers"] == 2


def test_columns_of_every_kind_have_a_name_of_their_own():
    for kind, columns in COLUMNS.items():
        names = [column.name for column in columns]
        assert len(set(names)) == len(names), kind
