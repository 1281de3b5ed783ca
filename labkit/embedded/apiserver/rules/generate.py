"""Makes the packaged schema table from the development dependency `kubernetes-validate`.

That package is 72 MB and holds many Kubernetes versions; a lab needs one version of the kinds it
serves. Run `python -m labkit.embedded.apiserver.rules.generate` after raising the version; the
result is byte-for-byte reproducible. Nothing here runs while a lab runs.
"""

import gzip
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

VERSION = "v1.37.0-local"
"""The folder of kubernetes-validate that the table is made from."""

SERVED = {
    "core": "v1",
    "apps": "v1",
    "batch": "v1",
    "coordination": "v1",
    "discovery": "v1",
    "events": "v1",
    "rbac": "v1",
    "apiextensions": "v1",
    "admissionregistration": "v1",
    "apiregistration": "v1",
    "authentication": "v1",
    "authorization": "v1",
    "policy": "v1",
    "networking": "v1",
    "autoscaling": "v1 v2",
    "storage": "v1",
    "scheduling": "v1",
    "certificates": "v1",
    "flowcontrol": "v1",
    "resource": "v1",
    "node": "v1",
}
"""Short group name in a definition's name -> versions a lab serves."""

META_KINDS = ("DeleteOptions", "Status", "WatchEvent")
DEFAULTS = {
    "io.k8s.api.core.v1.ContainerPort": {"protocol": "TCP"},
    "io.k8s.api.core.v1.ServicePort": {"protocol": "TCP"},
}
"""Defaults of list-map keys: the source omits them, server-side apply needs them."""

OUTPUT = Path(__file__).with_name("data") / "kubernetes.json.gz"


def source_definitions() -> dict[str, dict[str, Any]]:
    """Returns every definition of the source, as kubernetes-validate ships it."""
    import kubernetes_validate

    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / VERSION
    document = json.loads((folder / "_definitions.json").read_text())
    definitions: dict[str, dict[str, Any]] = document["$defs"]
    return definitions


def _is_root(name: str, definition: Mapping[str, Any]) -> bool:
    kinds = definition.get("x-kubernetes-group-version-kind")
    if not kinds:
        return False
    *_, group, version, kind = name.split(".")
    if group == "meta":
        return kind in META_KINDS
    return version in SERVED.get(group, "").split()


def normalise(node: Any) -> Any:
    """Turns one source schema into plain OpenAPI v3: one type each, short references."""
    if isinstance(node, list):
        return [normalise(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node and isinstance(node["$ref"], str):
        out = {"$ref": node["$ref"].rsplit("/", 1)[-1]}
        if "description" in node:
            out["description"] = node["description"]
        return out
    result = {key: normalise(value) for key, value in node.items()}
    kind = node.get("type")
    if isinstance(kind, list):
        result["type"] = next(item for item in kind if item != "null")
    if "oneOf" in node and "properties" not in node:
        result.pop("oneOf")
        result["x-kubernetes-int-or-string"] = True
    result.pop("enum", None) if result.get("enum") in ([], [None]) else None
    return result


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def build() -> dict[str, Any]:
    """Returns the table: the served kinds' definitions and all that they refer to."""
    source = source_definitions()
    wanted = [name for name, definition in source.items() if _is_root(name, definition)]
    result: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name in result or name not in source:
            continue
        definition = normalise(source[name])
        for field in ("apiVersion", "kind"):
            definition.get("properties", {}).get(field, {}).pop("enum", None)
        for field, value in DEFAULTS.get(name, {}).items():
            definition["properties"][field]["default"] = value
        if name.endswith(".Quantity"):
            definition["format"] = "quantity"
        result[name] = definition
        wanted.extend(_references(definition))
    return dict(sorted(result.items()))


def main() -> int:
    """Writes the table beside this module."""
    OUTPUT.parent.mkdir(exist_ok=True)
    text = json.dumps(build(), separators=(",", ":"), sort_keys=True).encode()
    OUTPUT.write_bytes(gzip.compress(text, 9, mtime=0))
    sys.stderr.write(f"{OUTPUT.name}: {len(text)} bytes, {OUTPUT.stat().st_size} compressed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
