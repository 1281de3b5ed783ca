"""HTTPRoutes of services: which requests go to which backends, and in what shares.

Pure: dicts of the Kubernetes API in, frozen values out. Both groups that Linkerd reads are read,
`policy.linkerd.io` and `gateway.networking.k8s.io`. Deliberately absent: filters, time-outs,
retries, and GRPCRoutes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.embedded.envoy import routes
from labkit.embedded.envoy.types import Json

Object = Mapping[str, Any]

SOURCES = (
    ("policy.linkerd.io/v1beta3", "httproutes"),
    ("gateway.networking.k8s.io/v1", "httproutes"),
)
"""API version and plural of what is read."""


@dataclass(frozen=True)
class Rule:
    """One rule of a route.

    Attributes:
        labels: which route it is: `route_group`, `route_kind`, `route_namespace`, `route_name`.
        matches: which requests, as Envoy says it; any of them.
        backends: key of a target (`namespace/service/port`) and its weight.
    """

    labels: Mapping[str, str]
    matches: tuple[Json, ...]
    backends: tuple[tuple[str, int], ...] = field(default=())


def rules_by_parent(items: Iterable[Object]) -> dict[tuple[str, str, int | None], tuple[Rule, ...]]:
    """Rules by parent: namespace, service and port (None: every port); the oldest route wins."""
    found: dict[tuple[str, str, int | None], tuple[Rule, ...]] = {}
    for item in sorted(items, key=_age):
        namespace = item["metadata"]["namespace"]
        spec = item.get("spec") or {}
        rules = tuple(_rule(item, rule, namespace) for rule in spec.get("rules") or ())
        for parent in spec.get("parentRefs") or ():
            if parent.get("kind", "Service") == "Service" and rules:
                port = parent.get("port")
                key = (parent.get("namespace") or namespace, str(parent["name"]), port)
                found.setdefault(key, rules)
    return found


def _age(item: Object) -> tuple[str, str, str]:
    metadata = item["metadata"]
    return metadata.get("creationTimestamp") or "", metadata["namespace"], metadata["name"]


def _rule(item: Object, rule: Object, namespace: str) -> Rule:
    labels = {
        "route_group": str(item.get("apiVersion", "")).partition("/")[0],
        "route_kind": "HTTPRoute",
        "route_namespace": namespace,
        "route_name": item["metadata"]["name"],
    }
    backends = tuple(
        (
            f"{ref.get('namespace') or namespace}/{ref['name']}/{ref.get('port')}",
            int(ref.get("weight", 1)),
        )
        for ref in rule.get("backendRefs") or ()
    )
    matches = tuple(_match(match) for match in rule.get("matches") or ()) or (routes.ANY,)
    return Rule(labels, matches, backends)


def _match(match: Object) -> Json:
    path = match.get("path") or {}
    value = str(path.get("value") or "/")
    kind = path.get("type") or "PathPrefix"
    result: Json = {"path": value} if kind == "Exact" else {"prefix": value}
    if kind == "RegularExpression":
        result = {"safe_regex": {"regex": value}}
    elif kind == "PathPrefix" and value.rstrip("/"):
        result = {"path_separated_prefix": value.rstrip("/")}
    headers = [
        {"name": header["name"], "string_match": _text(header)}
        for header in match.get("headers") or ()
    ]
    if match.get("method"):
        headers.append({"name": ":method", "string_match": {"exact": match["method"]}})
    parameters = [
        {"name": one["name"], "string_match": _text(one)} for one in match.get("queryParams") or ()
    ]
    result |= {"headers": headers} if headers else {}
    return result | ({"query_parameters": parameters} if parameters else {})


def _text(match: Object) -> Json:
    if match.get("type") == "RegularExpression":
        return {"safe_regex": {"regex": match["value"]}}
    return {"exact": match["value"]}
