"""`linkerd viz tap`: requests as they happen, as lines or as JSON, until it is stopped.

The tap component does the selecting; this translates its events. Deliberately absent: `-o
jsonpath` and label selectors.
"""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from labkit.embedded.linkerd.cluster import Cluster
from labkit.embedded.linkerd.output import out, out_json
from labkit.embedded.linkerd.portforward import http_response, viz_pod
from labkit.embedded.linkerd.resources import one, text
from labkit.errors import LabkitError

Event = Mapping[str, Any]
_PORT = 8088
_GRPC_CODES = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound",
    "AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted",
    "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated",
)  # fmt: skip


def tap_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `viz tap`."""
    parser.add_argument("resource", nargs="+", metavar="RESOURCE")
    parser.add_argument("-n", "--namespace", default="")
    parser.add_argument("--to", default="")
    parser.add_argument("--to-namespace", default="")
    parser.add_argument("--max-rps", type=float, default=100.0)
    parser.add_argument("--scheme", default="")
    parser.add_argument("--method", default="")
    parser.add_argument("--authority", default="")
    parser.add_argument("--path", default="")
    parser.add_argument("-o", "--output", choices=["", "wide", "json"], default="")


def tap(options: argparse.Namespace) -> int:
    """`linkerd viz tap RESOURCE`: streams until stopped."""
    resource = one(options.resource)
    cluster = Cluster.of(options)
    query = {
        "namespace": options.namespace or cluster.endpoint.namespace,
        "resource": text(resource),
        "to": text(one(options.to.split())) if options.to else "",
        "to_namespace": options.to_namespace,
        "max_rps": f"{options.max_rps:g}",
        "scheme": options.scheme,
        "method": options.method,
        "authority": options.authority,
        "path": options.path,
    }
    target = ("linkerd-viz", viz_pod(cluster, "tap"), _PORT)
    with http_response(cluster, target, "/tap", query, timeout=None) as response:
        if response.status != 200:
            raise LabkitError(_refusal(response.read()))
        while line := response.readline():
            if line.strip():
                _show(json.loads(line), options.output)
    return 0


def _refusal(content: bytes) -> str:
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace")


def _show(event: Event, output: str) -> None:
    if output == "json":
        out_json(event)
        return
    line = line_of(event)
    if line:
        out(line + (_wide(event) if output == "wide" else ""))


def line_of(event: Event) -> str:
    """An event as Linkerd's tap writes it, empty for an event of no known kind."""
    inbound = event.get("proxyDirection") == "INBOUND"
    # Two spaces follow `proxy=in`: the word is padded to the width of `out`.
    flow = (
        f"proxy={'in ' if inbound else 'out'} src={_address(event.get('source'))} "
        f"dst={_address(event.get('destination'))} tls={_peer(event).get('tls', '')}"
    )
    if body := event.get("requestInitEvent"):
        return (
            f"req id={_id(body)} {flow} :method={body.get('method', '')} "
            f":authority={body.get('authority', '')} :path={body.get('path', '')}"
        )
    if body := event.get("responseInitEvent"):
        latency = _micros(body.get("sinceRequestInit"))
        return f"rsp id={_id(body)} {flow} :status={body.get('httpStatus', 0)} latency={latency}µs"
    if body := event.get("responseEndEvent"):
        return (
            f"end id={_id(body)} {flow}{_end(body)} "
            f"duration={_micros(body.get('sinceResponseInit'))}µs "
            f"response-length={body.get('responseBytes', 0)}B"
        )
    return ""


def _end(body: Mapping[str, Any]) -> str:
    if body.get("resetErrorCode") is not None:
        return f" reset-error={body['resetErrorCode']}"
    code = body.get("grpcStatusCode")
    if code is None:
        return ""
    known = 0 <= code < len(_GRPC_CODES)
    return f" grpc-status={_GRPC_CODES[code] if known else f'Code({code})'}"


def _peer(event: Event) -> Mapping[str, str]:
    side = "source" if event.get("proxyDirection") == "INBOUND" else "destination"
    metadata: Mapping[str, str] = (event.get(side) or {}).get("metadata") or {}
    return metadata


def _id(body: Mapping[str, Any]) -> str:
    number = body.get("id") or {}
    return f"{number.get('base', 0)}:{number.get('stream', 0)}"


def _address(side: Mapping[str, Any] | None) -> str:
    side = side or {}
    address = str(side.get("ip", ""))
    return f"{f'[{address}]' if ':' in address else address}:{side.get('port', 0)}"


def _micros(duration: Mapping[str, Any] | None) -> int:
    duration = duration or {}
    return int(duration.get("seconds", 0)) * 1_000_000 + int(duration.get("nanos", 0)) // 1000


def _wide(event: Event) -> str:
    words: list[str] = []
    for prefix, side in (("src", "source"), ("dst", "destination")):
        metadata = (event.get(side) or {}).get("metadata") or {}
        words += [f"{prefix}_{key}={value}" for key, value in sorted(metadata.items())]
    route = event.get("routeMeta") or {}
    words += [f"rt_{key}={value}" for key, value in route.items()]
    return "".join(f" {word}" for word in words)
