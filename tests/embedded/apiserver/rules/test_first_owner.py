"""The quick way to the first owner's fields gives what the general one gives."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import labkit
from labkit.embedded.apiserver.rules import fieldsets, first_owner, managed_fields
from labkit.embedded.apiserver.rules.schemas import Schemas

PACKAGE = Path(labkit.__file__).parent
MANIFESTS = (
    PACKAGE / "data" / "emojivoto.yml",
    PACKAGE / "embedded" / "data" / "bootstrap.yaml",
    PACKAGE / "embedded" / "data" / "components.yaml",
)
ODD: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {}},
    {"apiVersion": "v1", "kind": "Secret", "metadata": {}, "stringData": {"b": "c", "a": ""}},
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "labels": {}, "finalizers": ["a/b"]},
        "spec": {
            "nodeSelector": {"a": "b"},
            "containers": [
                {"name": "b", "env": [], "ports": [{"containerPort": 1}, {"containerPort": 1}]},
                {"name": "a", "resources": {"limits": {"cpu": 1}}, "command": ["x"]},
            ],
        },
    },
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"ownerReferences": [{"uid": "1", "name": "o"}]},
        "spec": {
            "template": {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}},
            "selector": {},
        },
        "status": {"replicas": 1},
    },
]
DOCUMENTS = [d for file in MANIFESTS for d in yaml.safe_load_all(file.read_text()) if d] + ODD


@pytest.mark.parametrize("subresource", ["", "status"])
def test_the_first_owner_has_the_same_fields_either_way(subresource: str) -> None:
    for document in DOCUMENTS:
        group, _, version = document["apiVersion"].rpartition("/")
        schema = Schemas.load().for_kind(group, version, document["kind"])
        assert schema is not None, document["kind"]
        ignored = managed_fields.ignored_fields(schema, subresource)
        changed, _ = fieldsets.compare({"metadata": {}}, document, schema)
        expected = fieldsets.encode(fieldsets.without(changed, ignored))
        found = first_owner.wire_of_new(document, schema, ignored)
        assert json.dumps(found) == json.dumps(expected), document["kind"]
