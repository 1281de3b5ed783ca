"""OpenAPI v3 documents: what kubectl reads for apply, diff, explain and field validation.

One document per group version, made of the served resources and the packaged schemas. Response
bodies and most parameters of the real documents are left out: no client of a lab reads them.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from labkit.embedded.apiserver.rules.schemas import OBJECT_META, Schema, Schemas, definitions
from labkit.embedded.apiserver.rules.values import clone

VERSION = "v1.36.2"
REFERENCE = "#/components/schemas/"
STATUS = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
WRITES = {"post": "create", "put": "update", "patch": "patch", "delete": "delete"}
STRATEGIC = "application/strategic-merge-patch+json"
BODIES = {
    "post": ("application/json",),
    "put": ("application/json",),
    "patch": (
        "application/json-patch+json",
        "application/merge-patch+json",
        STRATEGIC,
        "application/apply-patch+yaml",
    ),
}
QUERY = {
    "dryRun": ("string", "When present, indicates that modifications should not be persisted."),
    "fieldManager": ("string", "The name associated with the actor that is making these changes."),
    "fieldValidation": ("string", "What to do with unknown or duplicate fields."),
    "force": ("boolean", "Take over fields that other managers own (apply patches only)."),
}


class Served(Protocol):
    """What this module needs to know of a resource."""

    @property
    def plural(self) -> str: ...  # noqa: D102 - see the class
    @property
    def kind(self) -> str: ...  # noqa: D102 - see the class
    @property
    def namespaced(self) -> bool: ...  # noqa: D102 - see the class
    @property
    def verbs(self) -> Sequence[str]: ...  # noqa: D102 - see the class


def openapi_v3_index(
    groups: Mapping[str, Iterable[str]], schemas: Schemas | None = None
) -> dict[str, Any]:
    """Returns the list of documents; clients cache each under its hash.

    Args:
        groups: versions of each group; "" is the core group.
        schemas: the schemas served, so that a changed custom resource changes the hash.
    """
    paths = {}
    for group in sorted(groups):
        for version in sorted(groups[group]):
            name = f"apis/{group}/{version}" if group else f"api/{version}"
            state = schemas.fingerprint(group, version) if schemas else ""
            digest = hashlib.sha512(f"{VERSION}/{name}/{state}".encode()).hexdigest().upper()
            paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}
    return {"paths": paths}


def openapi_v3_document(
    group: str, version: str, resources: Iterable[Served], schemas: Schemas
) -> dict[str, Any]:
    """Returns the document of one group version.

    Args:
        group: API group, "" for the core group.
        version: its version.
        resources: the resources served in it, custom ones included.
        schemas: where their schemas come from.
    """
    components: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    for resource in resources:
        name = _component(group, version, resource.kind, schemas, components)
        if name is None:
            continue
        kind = {"group": group, "version": version, "kind": resource.kind}
        scope = "/namespaces/{namespace}" if resource.namespaced else ""
        base = f"{root}{scope}/{resource.plural}"
        strategic = not schemas.is_custom(group, version, resource.kind)
        paths[base] = _operations(("get", "post"), resource, kind, name)
        paths[f"{base}/{{name}}"] = _operations(
            ("get", "put", "patch", "delete"), resource, kind, name
        )
        patch = paths[f"{base}/{{name}}"].get("patch")
        if patch and not strategic:
            del patch["requestBody"]["content"][STRATEGIC]
        _add_list(group, version, resource.kind, name, components)
    _add_definitions(components, [STATUS, "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"])
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths,
        "components": {"schemas": components},
    }


def document_bytes(document: Mapping[str, Any]) -> bytes:
    """Returns the JSON of a document; keep it, documents are large and do not change."""
    return json.dumps(document, separators=(",", ":")).encode()


def openapi_v2_document(groups: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Returns a Swagger 2.0 document: the schemas of all kinds and the groups' roots as paths.

    Old clients look for definitions only; everything else is in the v3 documents.
    """
    text = json.dumps(definitions().raw).replace('"$ref": "io.', '"$ref": "#/definitions/io.')
    roots = [
        f"/apis/{group}/{version}/" if group else f"/api/{version}/"
        for group, versions in groups.items()
        for version in versions
    ]
    empty = {"get": {"responses": {"200": {"description": "OK"}}}}
    header = {"in": "header", "name": "authorization", "type": "apiKey"}
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": dict.fromkeys(sorted(roots), empty),
        "definitions": json.loads(text),
        "parameters": {},
        "securityDefinitions": {"BearerToken": header},
        "security": [{"BearerToken": []}],
    }


def openapi_v2_protobuf() -> bytes:
    """Returns the smallest valid Swagger document in protobuf (title and version, no paths)."""
    info = b"".join(_protobuf_text(n, t) for n, t in ((1, "Kubernetes"), (2, VERSION)))
    return _protobuf_text(1, "2.0") + bytes((0x12, len(info))) + info


def _protobuf_text(field: int, text: str) -> bytes:
    data = text.encode()
    return bytes((field << 3 | 2, len(data))) + data


def _operations(
    methods: Sequence[str], resource: Served, kind: dict[str, str], name: str
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    collection = "post" in methods
    for method in methods:
        action = WRITES.get(method) or ("list" if collection else "get")
        if action not in resource.verbs:
            continue
        names = {"update": "put", "create": "post"}
        operation: dict[str, Any] = {
            "tags": [kind["group"] or "core"],
            "operationId": f"{action}{kind['version'].title()}{resource.kind}",
            "x-kubernetes-action": names.get(action, action),
            "x-kubernetes-group-version-kind": kind,
            "responses": {"200": {"description": "OK"}},
        }
        if method in BODIES:
            operation["parameters"] = _parameters(force=method == "patch")
            schema = {"$ref": REFERENCE + name} if method != "patch" else {"type": "object"}
            content = {media: {"schema": schema} for media in BODIES[method]}
            operation["requestBody"] = {"required": True, "content": content}
        elif method == "delete":
            operation["parameters"] = _parameters(force=False)[:1]
        result[method] = operation
    return result


def _parameters(*, force: bool) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "description": about,
            "schema": {"type": kind, "uniqueItems": True},
        }
        for name, (kind, about) in QUERY.items()
        if force or name != "force"
    ]


def _component(
    group: str, version: str, kind: str, schemas: Schemas, components: dict[str, Any]
) -> str | None:
    """Adds the schema of a kind and all that it refers to; returns its name."""
    if schemas.is_custom(group, version, kind):
        name = ".".join([*reversed(group.split(".")), version, kind])
        schema = schemas.for_kind(group, version, kind) or {}
        components[name] = _published(schema, {"group": group, "version": version, "kind": kind})
        _add_definitions(components, [OBJECT_META])
        return name
    found = definitions().names.get((group, version, kind))
    if found is not None:
        _add_definitions(components, [found])
    return found


def _published(schema: Schema, kind: dict[str, str]) -> Schema:
    """A custom resource's schema as it is published: metadata by reference, no private marks."""
    result = {
        key: clone(value)
        for key, value in schema.items()
        if not key.startswith("x-labkit") and key != "properties"
    }
    properties = {
        key: clone(value)
        for key, value in (schema.get("properties") or {}).items()
        if key != "metadata"
    }
    meta = definitions().raw
    base = meta.get("io.k8s.api.core.v1.ConfigMap", {}).get("properties", {})
    properties |= {
        key: _rewrite(base[key]) for key in ("apiVersion", "kind", "metadata") if key in base
    }
    return {**result, "properties": properties, "x-kubernetes-group-version-kind": [kind]}


def _add_list(group: str, version: str, kind: str, name: str, components: dict[str, Any]) -> None:
    known = definitions().names.get((group, version, f"{kind}List"))
    if known is not None:
        _add_definitions(components, [known])
        return
    _add_definitions(components, [LIST_META])
    components[f"{name}List"] = {
        "type": "object",
        "description": f"{kind}List is a list of {kind}",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"$ref": REFERENCE + LIST_META},
            "items": {"type": "array", "items": {"$ref": REFERENCE + name}},
        },
        "x-kubernetes-group-version-kind": [
            {"group": group, "version": version, "kind": f"{kind}List"}
        ],
    }


def _add_definitions(components: dict[str, Any], names: Iterable[str]) -> None:
    wanted = list(names)
    while wanted:
        name = wanted.pop()
        raw = definitions().raw.get(name)
        if raw is None or name in components:
            continue
        components[name] = _rewrite(raw)
        wanted.extend(_references(raw))


def _rewrite(node: Any) -> Any:
    """Turns short references into OpenAPI's; a described reference becomes an allOf."""
    if isinstance(node, list):
        return [_rewrite(item) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        reference = {"$ref": REFERENCE + node["$ref"]}
        if "description" not in node:
            return reference
        return {"description": node["description"], "allOf": [reference]}
    result = {key: _rewrite(value) for key, value in node.items()}
    if result.pop("x-kubernetes-int-or-string", False):
        result |= {"type": "string", "format": result.get("format", "int-or-string")}
    return result


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
