"""Which representation of an answer the client wants: the Accept header, read as Kubernetes does.

A clause that asks for a shape that is not known here is passed over for the next one. Binary
answers (protobuf) are not written: a client that would take JSON as well gets that.
"""

from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from labkit.embedded.apiserver import status

Shape = Literal["object", "table", "metadata"]

_MEDIA = ("*/*", "application/*", "application/json", "application/yaml")
_SHAPES: dict[str, Shape] = {
    "Table": "table",
    "PartialObjectMetadata": "metadata",
    "PartialObjectMetadataList": "metadata",
}


@dataclass(frozen=True)
class Accepted:
    """What the client wants: shape, and JSON or YAML; metadata of one object or of a list."""

    shape: Shape = "object"
    yaml: bool = False
    version: str = "v1"
    listed: bool = False


def accepted(request: web.BaseRequest) -> Accepted:
    """The first representation in Accept that is written here; 406 when there is none."""
    header = request.headers.get("Accept", "")
    if header in ("", "application/json", "*/*"):
        return Accepted()
    known = False
    for media, options in _clauses(header):
        if media not in _MEDIA:
            continue
        known = True
        wants_yaml = media == "application/yaml"
        if not options.keys() & {"as", "v", "g"}:
            return Accepted(yaml=wants_yaml)
        version, shape = options.get("v", ""), options.get("as", "")
        right = version in ("v1", "v1beta1") and options.get("g") == "meta.k8s.io"
        if right and shape in _SHAPES:
            return Accepted(_SHAPES[shape], wants_yaml, version, shape.endswith("List"))
    raise status.not_convertible() if known else status.not_acceptable()


def _clauses(header: str) -> list[tuple[str, dict[str, str]]]:
    """What an Accept header names, the most wanted first."""
    found: list[tuple[str, dict[str, str]]] = []
    for clause in header.split(","):
        media, *parameters = [part.strip() for part in clause.split(";")]
        options = dict(part.split("=", 1) for part in parameters if "=" in part)
        at = len(found)
        while at and _precedes(media, options, *found[at - 1]):
            at -= 1
        found.insert(at, (media, options))
    return found


def _precedes(
    media: str, options: dict[str, str], other: str, others_options: dict[str, str]
) -> bool:
    """Whether a clause is wanted more than the one before it: by weight, or less vague."""
    if _weight(options) > _weight(others_options):
        return True
    vague, others = media.split("/"), other.split("/")
    return any(a != "*" and b == "*" for a, b in zip(vague, others, strict=False))


def _weight(options: dict[str, str]) -> float:
    try:
        return float(options.get("q", 1))
    except ValueError:
        return 1.0
