"""The quick walk may be unsure, but it never accepts what the exact rules would refuse."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.embedded.apiserver.rules import decoding, validation
from labkit.embedded.apiserver.rules.conforming import conforms
from labkit.embedded.apiserver.rules.schemas import Schemas
from labkit.embedded.apiserver.rules.values import has_null

POD = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {
        "name": "a",
        "labels": {"app": "web"},
        "creationTimestamp": "2026-11-25T10:00:00Z",
        "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {"f:a": {}}}}],
    },
    "spec": {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "hostNetwork": False,
        "containers": [
            {
                "name": "main",
                "image": "nginx",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {"limits": {"cpu": 1, "memory": "1Gi"}},
                "readinessProbe": {"httpGet": {"port": "http", "path": "/"}},
            }
        ],
    },
}
SECRET = {"kind": "Secret", "apiVersion": "v1", "metadata": {}, "data": {"key": "aGVsbG8="}}
DEPLOYMENT = {
    "kind": "Deployment",
    "apiVersion": "apps/v1",
    "metadata": {"name": "a", "generation": 2**40},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": POD["spec"]},
    },
}
CRD = {
    "kind": "CustomResourceDefinition",
    "apiVersion": "apiextensions.k8s.io/v1",
    "metadata": {"name": "a.b"},
    "spec": {
        "group": "b",
        "scope": "Namespaced",
        "names": {"plural": "a", "kind": "A"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"x": {"type": "array", "items": {"type": "string"}}},
                    }
                },
            }
        ],
    },
}
GOOD: list[dict[str, Any]] = [POD, SECRET, DEPLOYMENT]
SCALARS = [None, True, 0, -1, 2**31, 1.0, 1.5, "", "x", "1Gi", "~", "2026"]
ODD = st.sampled_from([*SCALARS, [], [None], {}, {"x": None}, {"x": "y"}, ["x"], [{}], {"name": 1}])


def _schema(obj: dict[str, Any]) -> Any:
    group, _, version = obj["apiVersion"].rpartition("/")
    return Schemas.load().for_kind(group, version, obj["kind"])


def _complaints(obj: dict[str, Any]) -> list[Any]:
    """What the exact rules have to say."""
    schema = _schema(obj)
    found: list[Any] = [] if (problem := decoding.decode_check(obj, schema)) is None else [problem]
    found += decoding.unknown_fields(obj, schema)
    found += validation._schema_causes(obj, schema, "", required=False)
    return [*found, "null"] if has_null(obj) else found


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in below:
        found.append((*path, key))
        if isinstance(item, dict | list):
            found += _places(item, (*path, key))
    return found


@pytest.mark.parametrize("obj", GOOD, ids=lambda obj: str(obj["kind"]))
def test_a_good_object_is_accepted_at_once(obj):
    assert conforms(obj, _schema(obj))
    assert not _complaints(obj)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_what_is_accepted_has_nothing_wrong(data):
    obj = copy.deepcopy(data.draw(st.sampled_from([*GOOD, CRD])))
    for _ in range(data.draw(st.integers(1, 2))):
        *way, last = data.draw(st.sampled_from([p for p in _places(obj) if p[0] != "kind"]))
        if way == [] and last == "apiVersion":
            continue
        holder = obj
        for step in way:
            holder = holder[step]
        odd = copy.deepcopy(data.draw(ODD))
        if isinstance(holder, dict) and data.draw(st.booleans()):
            holder["unheardOf"] = odd
        else:
            holder[last] = odd
    if conforms(obj, _schema(obj)):
        assert not _complaints(obj), json.dumps(obj)
