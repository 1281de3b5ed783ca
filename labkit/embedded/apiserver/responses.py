"""How answers look: JSON or YAML, whole objects, tables, or metadata only.

Objects go out as they are stored whenever possible (bytes, not dicts); everything else is built
from the dicts.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from labkit.embedded.apiserver import status
from labkit.embedded.apiserver.accepting import Accepted, accepted
from labkit.embedded.apiserver.backend import now
from labkit.embedded.apiserver.conversion import convert
from labkit.embedded.apiserver.requests import Call
from labkit.embedded.apiserver.resources import Resource
from labkit.embedded.apiserver.rules import tables
from labkit.embedded.apiserver.store import Entry, Object
from labkit.embedded.encoding import to_json

_SLICE = 2**17
"""Bytes of a list that are sent at once."""


class _Dumper(yaml.SafeDumper):
    """YAML as Go writes it: double quotes where quotes are needed, no aliases."""

    def choose_scalar_style(self) -> str:
        style = str(super().choose_scalar_style() or "")
        return '"' if style == "'" else style

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML asks
        return True


def warning_headers(call: Call | None) -> list[tuple[str, str]]:
    """The Warning headers of an answer."""
    if call is None:
        return []
    texts = list(call.warnings)
    if call.resource is not None:  # a refusal may come before the resource is looked up
        texts += call.resource.deprecation
    return [
        ("Warning", '299 - "' + _printable(text).replace("\\", "\\\\").replace('"', '\\"') + '"')
        for text in dict.fromkeys(texts)
    ]


def _printable(text: str) -> str:
    """The text without control characters, which a header cannot hold."""
    return "".join(c if c.isprintable() else " " for c in text)


def raw(body: bytes, *, code: int = 200, call: Call | None = None) -> web.Response:
    """An answer that is JSON already."""
    return _answer(body, code=code, call=call)


def _answer(body: bytes | Payload, *, code: int = 200, call: Call | None) -> web.Response:
    response = web.Response(body=body, status=code, content_type="application/json")
    for name, value in warning_headers(call):
        response.headers.add(name, value)
    return response


def document(
    value: Any, *, code: int = 200, call: Call | None = None, as_yaml: bool = False
) -> web.Response:
    """An answer from a dict."""
    if as_yaml:
        response = web.Response(
            body=yaml.dump(value, Dumper=_Dumper, default_flow_style=False, width=2**20).encode(),
            status=code,
            content_type="application/yaml",
        )
        for name, header in warning_headers(call):
            response.headers.add(name, header)
        return response
    return raw(to_json(value), code=code, call=call)


def one(call: Call, obj: Object, *, code: int = 200, kind: Accepted | None = None) -> web.Response:
    """One object in the representation that the client wants."""
    want = kind or accepted(call.request)
    if want == Accepted() and call.stored is not None and call.stored.parsed is obj:
        return raw(call.stored.raw, code=code, call=call)
    if want.shape == "object":
        return document(obj, code=code, call=call, as_yaml=want.yaml)
    if want.shape == "metadata":
        if want.listed:
            wanted = "PartialObjectMetadataList, but the requested object is not a list"
            raise status.other_shape(f"you requested {wanted} (*{call.resource.go_type})")
        return document(partial(obj, want.version), code=code, call=call, as_yaml=want.yaml)
    table = as_table(call, [obj], version=want.version)
    table["metadata"] = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
    return document(table, code=code, call=call, as_yaml=want.yaml)


def stored(call: Call, entry: Entry, *, code: int = 200) -> web.Response:
    """One stored object in the representation that the client wants."""
    want = accepted(call.request)
    resource = call.resource
    if want == Accepted() and resource.api_version == resource.storage_version:
        return raw(entry.raw, code=code, call=call)
    return one(call, convert(entry.obj, resource), code=code, kind=want)


def partial(obj: Object, version: str = "v1") -> Object:
    """The metadata of an object, as an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": obj["metadata"],
    }


def as_table(call: Call, objects: Sequence[Object], *, version: str = "v1") -> Object:
    """The Table of objects, with the columns of their kind."""
    resource = call.resource
    columns, rows = tables.table(
        table_key(resource), list(objects), columns_of_crd=crd_columns(resource), now=now()
    )
    include = call.query.get("includeObject", "Metadata")
    if include not in ("None", "Metadata", "Object"):
        raise status.bad_request(
            "Unable to convert to Table as requested: includeObject: Invalid value: "
            f"\"{include}\": must be 'Metadata', 'Object', 'None', or empty"
        )
    for row, obj in zip(rows, objects, strict=True):
        if include == "None":
            row.pop("object", None)
        else:
            row["object"] = obj if include == "Object" else partial(obj, version)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": {},
        "columnDefinitions": columns,
        "rows": rows,
    }


def table_key(resource: Resource) -> str:
    """How the tables know a kind: `Pod`, `Deployment.apps`."""
    return f"{resource.kind}.{resource.group}" if resource.group else resource.kind


def crd_columns(resource: Resource) -> list[dict[str, Any]] | None:
    """The printer columns of a custom resource; None for a built-in one."""
    if resource.crd is None:
        return None
    for version in resource.crd["spec"]["versions"]:
        if version["name"] == resource.version:
            return list(version.get("additionalPrinterColumns") or [])
    return []


def listing(
    call: Call, entries: Sequence[Entry], *, metadata: dict[str, Any], kind: Accepted
) -> web.Response:
    """A list in the representation that the client wants."""
    resource = call.resource
    if kind == Accepted() and resource.api_version == resource.storage_version:
        return _answer(_List(resource, entries, metadata), call=call)
    objects = [convert(entry.obj, resource) for entry in entries]
    if kind.shape == "table":
        table = as_table(call, objects, version=kind.version)
        table["metadata"] = metadata
        return document(table, call=call, as_yaml=kind.yaml)
    if kind.shape == "metadata":
        if not kind.listed:
            wanted = "PartialObjectMetadata, but the requested object is a list"
            raise status.other_shape(f"you requested {wanted} (*{resource.go_type}List)")
        version = f"meta.k8s.io/{kind.version}"
        found = {"kind": "PartialObjectMetadataList", "apiVersion": version}
        items: Iterable[Object] = [partial(obj, kind.version) for obj in objects]
    else:
        found = {"kind": resource.list_kind, "apiVersion": resource.api_version}
        items = objects
        if resource.crd is None:
            items = [
                {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}
                for obj in objects
            ]
    whole = {**found, "metadata": metadata, "items": list(items)}
    return document(whole, call=call, as_yaml=kind.yaml)


class _List(Payload):
    """The JSON of a list, sent in slices.

    A list of a thousand pods has two megabytes; as one piece it would be copied, and its memory
    taken and given back, at every stage on its way to the socket.
    """

    def __init__(
        self, resource: Resource, entries: Sequence[Entry], metadata: dict[str, Any]
    ) -> None:
        kind = {"kind": resource.list_kind, "apiVersion": resource.api_version}
        head = to_json({**kind, "metadata": metadata})[:-1] + b',"items":['
        items = [e.raw for e in entries] if resource.crd else [e.item for e in entries]
        super().__init__((head, items, b"]}"), content_type="application/json")
        self._size = len(head) + sum(map(len, items)) + max(0, len(items) - 1) + 2

    def _slices(self) -> Iterator[bytes]:
        head, items, tail = self._value
        parts, size = [head], len(head)
        for number, item in enumerate(items):
            if number:
                parts.append(b",")
            parts.append(item)
            size += len(item) + 1
            if size >= _SLICE:
                yield b"".join(parts)
                parts, size = [], 0
        yield b"".join([*parts, tail])

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send it."""
        for part in self._slices():
            await writer.write(part)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The text."""
        return b"".join(self._slices()).decode(encoding, errors)
