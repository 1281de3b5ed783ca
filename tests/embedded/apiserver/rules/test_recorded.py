"""Every creation that a real API server recorded, through decoding, defaults and validation."""

import copy
from collections.abc import Iterator
from typing import Any

from labkit.embedded.apiserver.rules.defaulting import apply_defaults
from labkit.embedded.apiserver.rules.schemas import Schemas
from labkit.embedded.apiserver.rules.tables import table
from labkit.embedded.apiserver.rules.validation import decode_check, validate

ALLOCATION = ("failed to allocate", "provided port", "range of valid ports")
SERVER_FILLED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "nodePort")


def creations(recorded: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yields (where, posted object, answer) of creations of built-in objects with a kind."""
    for scenario in recorded:
        for index, exchange in enumerate(scenario["exchanges"]):
            request, answer = exchange["request"], exchange["response"]
            body = request.get("body")
            if request["method"] != "POST" or not isinstance(body, dict) or "kind" not in body:
                continue
            last = request["path"].split("?")[0].rsplit("/", 1)[-1]
            wanted = body["kind"] != "Binding" and "dryRun" not in request["path"]
            named = last.startswith(body["kind"].lower().rstrip("s"))
            if not (wanted and named and "metadata" in body):
                continue
            yield f"{scenario['name']}/{index}", copy.deepcopy(body), copy.deepcopy(answer)


def schema_of(schemas: Schemas, obj: dict[str, Any]) -> Any:
    group, _, version = obj["apiVersion"].rpartition("/")
    return schemas.for_kind(group, version, obj["kind"])


def missing(filled: Any, expected: Any, path: str = "") -> Iterator[str]:
    """Yields places where a filled-in object has something that the real one has not."""
    if isinstance(filled, dict) and isinstance(expected, dict):
        for key, value in filled.items():
            if value in (None, {}, []) or key in SERVER_FILLED:
                continue
            if key not in expected:
                yield f"{path}.{key}"
            else:
                yield from missing(value, expected[key], f"{path}.{key}")
    elif isinstance(filled, list) and isinstance(expected, list):
        for index, (left, right) in enumerate(zip(filled, expected, strict=False)):
            yield from missing(left, right, f"{path}[{index}]")
    elif "<" not in str(expected) and filled != expected and "Time" not in path:
        yield f"{path}: {filled!r} instead of {expected!r}"


def test_defaults_never_add_what_a_real_server_does_not_add(recorded, schemas) -> None:
    seen = 0
    for where, body, answer in creations(recorded):
        if answer["status"] != 201 or schema_of(schemas, body) is None:
            continue
        filled, expected = apply_defaults(body), answer["body"]
        for obj in (filled, expected):
            obj.pop("status", None)
        assert list(missing(filled, expected)) == [], where
        seen += 1
    assert seen > 80


def test_defaults_add_everything_that_a_real_server_adds_to_workloads(recorded) -> None:
    kinds = {"Deployment", "ReplicaSet", "Secret", "Endpoints", "EndpointSlice", "RoleBinding"}
    for where, body, answer in creations(recorded):
        if answer["status"] != 201 or body["kind"] not in kinds:
            continue
        expected, filled = dict(answer["body"]), apply_defaults(body)
        for obj in (expected, filled):
            obj.pop("metadata")
            obj.pop("status", None)
        assert list(missing(expected, filled)) == [], where


def test_refused_objects_are_refused_with_the_recorded_causes(recorded, schemas) -> None:
    seen = 0
    for where, body, answer in creations(recorded):
        schema = schema_of(schemas, body)
        causes = (answer.get("body") or {}).get("details", {}).get("causes") or []
        generated = "<rand" in str(causes)
        allocated = any(word in str(causes) for word in ALLOCATION)
        if answer["status"] != 422 or schema is None or allocated or generated:
            continue
        namespace = (body.get("metadata") or {}).get("namespace") or _namespace_of(where, recorded)
        obj = apply_defaults({**body, "metadata": {**body["metadata"], "namespace": namespace}})
        found = validate(obj, old=None, schema=schema)
        assert [(c.field, c.reason, c.message) for c in found] == [
            (c["field"], c["reason"], c["message"]) for c in causes
        ], where
        seen += 1
    assert seen > 40


def _namespace_of(where: str, recorded: list[dict[str, Any]]) -> str:
    name, _, index = where.rpartition("/")
    scenario = next(item for item in recorded if item["name"] == name)
    parts = scenario["exchanges"][int(index)]["request"]["path"].split("/")
    return parts[parts.index("namespaces") + 1] if "namespaces" in parts[:-1] else ""


def test_accepted_objects_pass(recorded, schemas) -> None:
    for where, body, answer in creations(recorded):
        schema = schema_of(schemas, body)
        if answer["status"] != 201 or schema is None:
            continue
        metadata = {"namespace": _namespace_of(where, recorded), **body["metadata"]}
        metadata.setdefault("name", "generated")
        assert decode_check(body, schema) is None, where
        assert validate(apply_defaults({**body, "metadata": metadata}), schema=schema) == [], where


def test_wrong_types_cannot_be_decoded(recorded, schemas) -> None:
    seen = 0
    for where, body, answer in creations(recorded):
        message = str((answer.get("body") or {}).get("message"))
        if answer["status"] == 400 and ("json:" in message or "quantities" in message):
            assert decode_check(body, schema_of(schemas, body)) is not None, where
            seen += 1
    assert seen >= 3


def test_printed_columns_are_the_recorded_ones(recorded) -> None:
    kinds = {
        "pods": "Pod",
        "services": "Service",
        "endpoints": "Endpoints",
        "deployments": "Deployment.apps",
        "configmaps": "ConfigMap",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "endpointslices": "EndpointSlice.discovery.k8s.io",
        "events": "Event",
        "nodes": "Node",
        "leases": "Lease.coordination.k8s.io",
        "replicasets": "ReplicaSet.apps",
    }
    seen = set()
    for scenario in recorded:
        for exchange in scenario["exchanges"]:
            body = exchange["response"].get("body")
            if not isinstance(body, dict) or not body.get("columnDefinitions"):
                continue
            path = exchange["request"]["path"].split("?")[0].split("/")
            plural = next((part for part in reversed(path) if part in kinds), None)
            if plural is not None:
                assert table(kinds[plural], [])[0] == body["columnDefinitions"], path
                seen.add(plural)
    assert len(seen) >= 10
