"""Schemas of every kind served: the one source that patches, apply, pruning and explain read.

A schema is a plain OpenAPI v3 dict in which references are already followed (the objects are
shared, and recursive where Kubernetes' types are), so that a rule only walks `properties`,
`items` and `additionalProperties`. Built-in kinds come from packaged data (see `generate`),
custom resources from their CustomResourceDefinition. Values are not checked here.
"""

import functools
import gzip
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

Schema = dict[str, Any]
Key = tuple[str, str, str]

DATA = Path(__file__).with_name("data") / "kubernetes.json.gz"
ENUMS = DATA.with_name("enums.json.gz")
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
ANYTHING: Schema = {"x-kubernetes-preserve-unknown-fields": True}


class Definitions:
    """The packaged definitions: raw (with `$ref`) and linked (references followed)."""

    def __init__(self, raw: dict[str, Schema]) -> None:
        self.raw = raw
        self._linked: dict[str, Schema] = {}
        self.names: dict[Key, str] = {}
        for name, definition in raw.items():
            for gvk in definition.get("x-kubernetes-group-version-kind", ()):
                self.names.setdefault((gvk["group"], gvk["version"], gvk["kind"]), name)

    def linked(self, name: str) -> Schema:
        """Returns the definition with its references followed (a shared, possibly cyclic dict)."""
        known = self._linked.get(name)
        if known is None:
            known = self._linked[name] = {}
            known.update(self._link(self.raw.get(name, ANYTHING)))
        return known

    def description(self, name: str, path: str) -> str:
        """Returns the documentation of a field, e.g. `spec.type`; "" when there is none."""
        node, text = self.raw.get(name, {}), ""
        for part in path.split("."):
            if "items" in node:
                node = self._resolved(node["items"])
            node = (node.get("properties") or {}).get(part) or {}
            text = str(node.get("description", ""))
            node = self._resolved(node)
        return text

    def _resolved(self, node: Schema) -> Schema:
        return self.raw.get(node["$ref"], {}) if "$ref" in node else node

    def _link(self, node: Schema) -> Schema:
        if "$ref" in node:
            return self.linked(node["$ref"])
        result = dict(node)
        if "properties" in node:
            result["properties"] = {k: self._link(v) for k, v in node["properties"].items()}
        for key in ("items", "additionalProperties"):
            if isinstance(node.get(key), dict):
                result[key] = self._link(node[key])
        return result


@functools.cache
def definitions() -> Definitions:
    """Returns the packaged definitions, with enumerations, read once per process."""
    raw: dict[str, Schema] = json.loads(gzip.decompress(DATA.read_bytes()))
    for name, fields in json.loads(gzip.decompress(ENUMS.read_bytes())).items():
        properties = raw.get(name, {}).get("properties", {})
        for field in fields.keys() & properties.keys():
            node = properties[field]
            node = node["items"] if node.get("type") == "array" else node
            if node.get("type") == "string":
                node["enum"] = fields[field]
    return Definitions(raw)


class Schemas:
    """Schema of a kind by group, version and kind; built-in kinds and custom resources."""

    def __init__(self, custom: Mapping[Key, Schema] | None = None) -> None:
        self._custom: dict[Key, Schema] = dict(custom or {})

    @classmethod
    def load(cls) -> "Schemas":
        """Returns the schemas of the built-in kinds; the data is read at the first look-up."""
        return cls()

    def for_kind(self, group: str, version: str, kind: str) -> Schema | None:
        """Returns the schema of a kind, or None when this server does not know it."""
        key = (group, version, kind)
        if key in self._custom:
            return self._custom[key]
        name = definitions().names.get(key)
        return definitions().linked(name) if name else None

    def is_custom(self, group: str, version: str, kind: str) -> bool:
        """Tells whether the kind comes from a CustomResourceDefinition."""
        return (group, version, kind) in self._custom

    def add_crd(self, crd: Mapping[str, Any]) -> None:
        """Adds (or replaces) the kinds that a CustomResourceDefinition declares."""
        spec = crd["spec"]
        for version in spec.get("versions") or ():
            key = (spec["group"], version["name"], spec["names"]["kind"])
            self._custom[key] = custom_schema(version, key)

    def remove_crd(self, crd: Mapping[str, Any]) -> None:
        """Forgets the kinds that a CustomResourceDefinition declared."""
        spec = crd["spec"]
        for key in [k for k in self._custom if k[0] == spec["group"]]:
            if key[2] == spec["names"]["kind"]:
                del self._custom[key]

    def fingerprint(self, group: str, version: str) -> str:
        """Returns a text that changes with the custom resources of a group version."""
        found = {
            key[2]: {
                name: part for name, part in schema["properties"].items() if name != "metadata"
            }
            for key, schema in self._custom.items()
            if key[:2] == (group, version)
        }
        return json.dumps(found, sort_keys=True) if found else ""

    def with_crd(self, crd: Mapping[str, Any]) -> "Schemas":
        """Returns a copy that also knows the kinds of a CustomResourceDefinition."""
        result = Schemas(self._custom)
        result.add_crd(crd)
        return result


def custom_schema(version: Mapping[str, Any], key: Key) -> Schema:
    """Returns the schema of one version of a custom resource, with the fields all objects have."""
    declared = (version.get("schema") or {}).get("openAPIV3Schema") or ANYTHING
    group, name, kind = key
    properties = {
        **(declared.get("properties") or {}),
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": definitions().linked(OBJECT_META),
    }
    gvk = [{"group": group, "version": name, "kind": kind}]
    subresources = version.get("subresources") or {}
    return {
        "type": "object",
        **declared,
        "properties": properties,
        "x-kubernetes-group-version-kind": gvk,
        "x-labkit-custom": True,
        "x-labkit-status": "status" in subresources,
    }
