"""Reads objects in Kubernetes' protobuf encoding, which `kubectl create` and `auth` send.

Answers go out as JSON (every client accepts it), so there is no encoder. Field numbers come from
packaged data (see `generate_wire`). Custom resources have no protobuf form.
"""

import base64
import datetime as dt
import functools
import gzip
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic_core

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
DATA = Path(__file__).with_name("data") / "wire.json.gz"
MAX_DEPTH = 60
ENVELOPE_TYPE, ENVELOPE_RAW = 1, 2


class WireError(ValueError):
    """A body that is no object in protobuf."""


Field = tuple[str, str, bool]


@functools.cache
def messages() -> dict[str, dict[int, Field]]:
    """Returns message -> field number -> (JSON name, kind, omitted when empty)."""
    table = json.loads(gzip.decompress(DATA.read_bytes()))
    return {
        name: {number: (json_name, kind, bool(omit)) for number, json_name, kind, omit in fields}
        for name, fields in table.items()
    }


def decode(body: bytes) -> dict[str, Any]:
    """Returns the object of a request body.

    Raises:
        WireError: the body is damaged, or its kind has no protobuf form here.
    """
    if not body.startswith(MAGIC):
        raise WireError("provided data does not appear to be a protobuf message, expected prefix")
    try:
        return _object(body[len(MAGIC) :])
    except UnicodeDecodeError as problem:
        raise WireError("string field contains invalid UTF-8") from problem


def _object(body: bytes) -> dict[str, Any]:
    version = kind = ""
    raw = b""
    for number, value in _fields(body):
        if number == ENVELOPE_TYPE and isinstance(value, bytes):
            texts = {n: v.decode() for n, v in _fields(value) if isinstance(v, bytes)}
            version, kind = texts.get(1, ""), texts.get(2, "")
        elif number == ENVELOPE_RAW and isinstance(value, bytes):
            raw = value
    name = _message_of(version, kind)
    if name is None:
        raise WireError(f'no kind "{kind}" is registered for version "{version}" in protobuf')
    return {"apiVersion": version, "kind": kind, **_message(raw, name, 0)}


def _message_of(version: str, kind: str) -> str | None:
    group, _, short = version.rpartition("/")
    for name in (f"{group.split('.')[0] or 'core'}/{short}.{kind}", f"meta/v1.{kind}"):
        if name in messages():
            return name
    return None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError("unexpected EOF in protobuf")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value - (1 << 64) if value >> 63 else value
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            if at + size > len(data):
                raise WireError("unexpected EOF in protobuf")
            yield number, struct.unpack_from("<d" if wire == 1 else "<f", data, at)[0]
            at += size
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise WireError("unexpected EOF in protobuf")
            yield number, data[at : at + size]
            at += size
        else:
            raise WireError(f"illegal wire type {wire} in protobuf")


def _message(data: bytes, name: str, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise WireError("protobuf message is nested too deeply")
    result: dict[str, Any] = {}
    known = messages().get(name, {})
    for number, value in _fields(data):
        if number not in known:
            continue
        json_name, kind, omit = known[number]
        pointer, kind = kind.startswith("*"), kind.removeprefix("*")
        if not json_name:
            result |= _value(value, kind, depth)
        elif kind.startswith("["):
            result.setdefault(json_name, []).append(_value(value, kind[1:].lstrip("*"), depth))
        elif kind.startswith("{"):
            key, item = _entry(_bytes(value), kind[1:], depth)
            result.setdefault(json_name, {})[key] = item
        else:
            found = _value(value, kind, depth)
            if pointer or not _empty(found, omit=omit):
                result[json_name] = found
    return result


def _empty(value: Any, *, omit: bool) -> bool:
    """Go writes fields that are not pointers even when they are empty."""
    if value is None or value == {}:
        return True
    return omit and value in ("", 0, False, 0.0, [])


def _bytes(value: float | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise WireError("proto: wrong wireType")
    return value


def _entry(data: bytes, kind: str, depth: int) -> tuple[str, Any]:
    parts = dict(_fields(data))
    key = _bytes(parts.get(1, b"")).decode()
    default = 0 if kind in ("i", "b", "d") else b""
    return key, _value(parts.get(2, default), kind, depth)


def _value(value: float | bytes, kind: str, depth: int) -> Any:
    if kind == "i":
        return value if isinstance(value, int) else 0
    if kind == "b":
        return bool(value)
    if kind == "d":
        return float(value) if not isinstance(value, bytes) else 0.0
    data = _bytes(value)
    if kind == "s":
        return data.decode()
    if kind == "y":
        return base64.b64encode(data).decode()
    if kind.startswith("m"):
        return _message(data, kind[1:], depth + 1)
    if kind.startswith("("):
        return [_value(item, kind[1:], depth + 1) for number, item in _fields(data) if number == 1]
    return _special(data, kind)


def _special(data: bytes, kind: str) -> Any:
    parts = dict(_fields(data))
    if kind == "!text":
        return _bytes(parts.get(1, b"")).decode() or None
    if kind == "!raw":
        return _json(_bytes(parts.get(1, b"")))
    if kind == "!intorstring":
        text = _bytes(parts.get(3, b"")).decode()
        return text if parts.get(1) == 1 else _number(parts, 2)
    if kind == "!duration":
        return f"{_number(parts, 1) / 1e9:g}s"
    if not data:
        return None
    seconds, nanos = _number(parts, 1), _number(parts, 2)
    try:
        time = dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (ValueError, OverflowError, OSError) as problem:
        raise WireError("time out of range") from problem
    if kind == "!microtime":
        return time.strftime("%Y-%m-%dT%H:%M:%S") + f".{nanos // 1000:06d}Z"
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(parts: dict[int, Any], field: int) -> int:
    value = parts.get(field, 0)
    if not isinstance(value, int):
        raise WireError("proto: wrong wireType")
    return value


def _json(data: bytes) -> Any:
    if not data:
        return None
    try:
        return pydantic_core.from_json(data, allow_inf_nan=False)
    except ValueError as problem:
        raise WireError("raw extension holds no JSON") from problem
