"""Paths that are no resources: health, version, discovery, OpenAPI."""

import asyncio
import hashlib
import json
from typing import Any

from aiohttp import web

from labkit.embedded.apiserver import discovery, status
from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.rules import openapi

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": "98b35193b2ac7a23a673325f5e9b830ecd5ba406",
    "gitTreeState": "clean",
    "buildDate": "2026-08-21T11:29:11Z",
    "goVersion": "go1.26.4",
    "compiler": "gc",
    "platform": "linux/amd64",
}
_CHECKS = ("ping", "log", "etcd")


async def respond(backend: Backend, request: web.BaseRequest) -> web.StreamResponse:
    """The answer to a path that is no resource; 404 when there is none."""
    parts = [part for part in request.path.split("/") if part]
    head = parts[0] if parts else ""
    if request.method not in ("GET", "HEAD"):
        raise status.method_not_allowed()
    answer: web.StreamResponse | None = None
    match head:
        case "version" if len(parts) == 1:
            answer = _json(VERSION)
        case "healthz" | "livez" | "readyz":
            answer = _health(request, parts)
        case "api" | "apis":
            answer = discovery.respond(backend, request)
            if answer is None and len(parts) == 3 and backend.registry.is_built_in(parts[1]):
                raise status.no_such_resource()
        case "openapi":
            answer = await _openapi(backend, request, parts[1:])
        case "":
            answer = _json(
                {
                    "paths": [
                        "/api",
                        "/api/v1",
                        "/apis",
                        "/healthz",
                        "/livez",
                        "/openapi/v3",
                        "/readyz",
                        "/version",
                    ]
                }
            )
    return answer or web.Response(status=404, text="404 page not found\n")


def _json(value: Any) -> web.Response:
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return web.Response(body=body, content_type="application/json")


def _health(request: web.BaseRequest, parts: list[str]) -> web.Response | None:
    if len(parts) == 2 and parts[1] in _CHECKS:
        return web.Response(text="ok")
    if len(parts) > 1:
        return None
    if "verbose" not in request.query:
        return web.Response(text="ok")
    lines = [f"[+]{check} ok" for check in _CHECKS]
    return web.Response(text="\n".join(lines) + f"\n{parts[0]} check passed\n")


async def _openapi(
    backend: Backend, request: web.BaseRequest, parts: list[str]
) -> web.StreamResponse | None:
    if parts == ["v2"]:
        if "protobuf" in request.headers.get("Accept", ""):
            media = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
            return web.Response(body=openapi.openapi_v2_protobuf(), content_type=media)
        groups = backend.registry.groups()
        body = await asyncio.to_thread(
            lambda: openapi.document_bytes(openapi.openapi_v2_document(groups))
        )
        return web.Response(body=body, content_type="application/json")
    if not parts or parts[0] != "v3":
        return None
    if len(parts) == 1:
        index = openapi.openapi_v3_index(backend.registry.groups(), backend.schemas)
        return web.Response(text=json.dumps(index, separators=(",", ":")))
    path = "/".join(parts[1:])
    if path not in backend.documents:
        match parts[1:]:
            case ["api", version]:
                group = ""
            case ["apis", group, version]:
                pass
            case _:
                return web.Response(status=404, content_type="application/json", body=b"")
        resources = backend.registry.in_version(group, version)
        if not resources:
            return web.Response(status=404, content_type="application/json", body=b"")
        body = await asyncio.to_thread(_document, backend, group, version)
        tag = '"' + hashlib.sha256(body).hexdigest().upper() + '"'
        backend.documents[path] = body, tag
    body, tag = backend.documents[path]
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    return web.Response(body=body, content_type="application/json", headers={"ETag": tag})


def _document(backend: Backend, group: str, version: str) -> bytes:
    resources = backend.registry.in_version(group, version)
    return openapi.document_bytes(
        openapi.openapi_v3_document(group, version, resources, backend.schemas)
    )
