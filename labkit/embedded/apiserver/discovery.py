"""Discovery: which groups, versions and resources there are, in the old and the aggregated form."""

import hashlib
import json
from typing import Any

from aiohttp import web

from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.resources import Registry, Resource, Subresource

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def _resource_entry(resource: Resource) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _sub_entry(resource: Resource, sub: Subresource) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": f"{resource.plural}/{sub.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
    }
    if sub.version:
        entry |= {"group": sub.group, "version": sub.version}
    return entry | {"kind": sub.kind, "verbs": list(sub.verbs)}


def resource_list(registry: Registry, group: str, version: str) -> dict[str, Any]:
    """APIResourceList of a group version."""
    found: dict[str, Any] = {"kind": "APIResourceList"}
    if group:
        found["apiVersion"] = "v1"
    entries = []
    for resource in registry.in_version(group, version):
        entries.append(_resource_entry(resource))
        entries += [_sub_entry(resource, sub) for sub in resource.subresources.values()]
    found["groupVersion"] = f"{group}/{version}" if group else version
    return found | {"resources": sorted(entries, key=lambda entry: str(entry["name"]))}


def group_entry(group: str, versions: list[str]) -> dict[str, Any]:
    """One group of an APIGroupList."""
    found = [{"groupVersion": f"{group}/{v}", "version": v} for v in versions]
    return {"name": group, "versions": found, "preferredVersion": found[0]}


def group_list(registry: Registry) -> dict[str, Any]:
    """APIGroupList."""
    groups = [group_entry(g, versions) for g, versions in registry.groups().items() if g]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _aggregated_resource(resource: Resource) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": _response_kind(resource, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    subresources = [
        {
            "subresource": sub.name,
            "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind}
            if sub.version
            else _response_kind(resource, sub.kind),
            "verbs": list(sub.verbs),
        }
        for sub in sorted(resource.subresources.values(), key=lambda sub: sub.name)
    ]
    if subresources:
        entry["subresources"] = subresources
    return entry


def _response_kind(resource: Resource, kind: str) -> dict[str, str]:
    if resource.crd is not None:
        return {"group": resource.group, "version": resource.version, "kind": kind}
    return {"group": "", "version": "", "kind": kind}


def aggregated(registry: Registry, *, core: bool) -> dict[str, Any]:
    """APIGroupDiscoveryList of the core group, or of all others."""
    items = []
    for group, versions in registry.groups().items():
        if bool(group) == core:
            continue
        items.append(
            {
                "metadata": {"name": group} if group else {},
                "versions": [
                    {
                        "version": version,
                        "resources": [
                            _aggregated_resource(r) for r in registry.in_version(group, version)
                        ],
                        "freshness": "Current",
                    }
                    for version in versions
                ],
            }
        )
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _wants_aggregated(request: web.BaseRequest) -> bool:
    for clause in request.headers.get("Accept", "").split(","):
        parts = [part.strip() for part in clause.split(";")]
        if parts[0] == "application/json":
            return "as=APIGroupDiscoveryList" in parts and "v=v2" in parts
    return False


def respond(backend: Backend, request: web.BaseRequest) -> web.Response | None:
    """The answer to a discovery path, or None when the path is another one."""
    parts = [part for part in request.path.split("/") if part]
    registry = backend.registry
    if len(parts) == 1 and _wants_aggregated(request):
        return _with_etag(request, aggregated(registry, core=parts[0] == "api"))
    match parts:
        case ["api"]:
            address = f"{backend.config.host}:{backend.config.port or ''}".rstrip(":")
            return _json(
                {
                    "kind": "APIVersions",
                    "versions": ["v1"],
                    "serverAddressByClientCIDRs": [
                        {"clientCIDR": "0.0.0.0/0", "serverAddress": address}
                    ],
                }
            )
        case ["apis"]:
            return _json(group_list(registry))
        case ["apis", group] if registry.has_group(group):
            entry = group_entry(group, registry.groups()[group])
            return _json({"kind": "APIGroup", "apiVersion": "v1", **entry})
        case ["api", version] if registry.has_version("", version):
            return _json(resource_list(registry, "", version))
        case ["apis", group, version] if registry.has_version(group, version):
            return _json(resource_list(registry, group, version))
    return None


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(
        body=json.dumps(value, separators=(",", ":")).encode(), content_type="application/json"
    )


def _with_etag(request: web.BaseRequest, value: dict[str, Any]) -> web.Response:
    body = json.dumps(value, separators=(",", ":")).encode()
    tag = '"' + hashlib.sha256(body).hexdigest().upper() + '"'
    headers = {"ETag": tag, "Vary": "Accept", "Content-Type": _AGGREGATED}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag, "Vary": "Accept"})
    return web.Response(body=body, headers=headers)
