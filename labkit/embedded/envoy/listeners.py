"""Listeners, their filter chains, and the HTTP connection manager.

Traps that are settled here: `enable_reuse_port` is off (a second Envoy on the same port would
silently share the traffic), idle streams are not cut (watches and taps are long), and the
client's own address headers are left alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labkit.embedded.envoy import addresses
from labkit.embedded.envoy.clusters import METADATA
from labkit.embedded.envoy.types import Json, typed
from labkit.embedded.envoy.xds_source import rest

_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def json_access_log(path: str, fields: Mapping[str, Any]) -> Json:
    """One JSON object per line; operators that have no value are left out."""
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": typed(
            "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            path=path,
            log_format={"json_format": dict(fields), "omit_empty_values": True},
        ),
    }


def header_to_metadata(header: str, key: str) -> Json:
    """The HTTP filter that moves a request header into `%DYNAMIC_METADATA(labkit:key)%`."""
    rule = {
        "header": header,
        "on_header_present": {"metadata_namespace": METADATA, "key": key, "type": "STRING"},
        "remove": True,
    }
    return {
        "name": "envoy.filters.http.header_to_metadata",
        "typed_config": typed(
            "envoy.extensions.filters.http.header_to_metadata.v3.Config", request_rules=[rule]
        ),
    }


def allow_identities(patterns: Iterable[str]) -> Json:
    """The HTTP filter that answers 403 unless the client's certificate has one of some names.

    Args:
        patterns: DNS names; `*.x` means any that ends so. None at all refuses everybody.
    """
    principals = [
        {"authenticated": {"principal_name": _pattern(pattern)}} for pattern in sorted(patterns)
    ]
    policies = {"identities": {"permissions": [{"any": True}], "principals": principals}}
    return {
        "name": "envoy.filters.http.rbac",
        "typed_config": typed(
            "envoy.extensions.filters.http.rbac.v3.RBAC",
            rules={"action": "ALLOW", "policies": policies if principals else {}},
        ),
    }


def _pattern(text: str) -> Json:
    return {"suffix": text[1:]} if text.startswith("*") else {"exact": text}


def _router() -> Json:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": typed(
            "envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True
        ),
    }


def error_answers(errors: Mapping[str, int], header: str) -> Json:
    """Replace Envoy's own 503 by other codes, with a header that tells the reason.

    Args:
        errors: response flag (`UF`, `UC`, `UH`, …) to status code.
        header: name of the header that holds the reason.
    """
    mappers = [
        {
            "filter": {"response_flag_filter": {"flags": [flag]}},
            "status_code": status,
            "headers_to_add": [
                {
                    "header": {"key": header, "value": f"{flag} %RESPONSE_CODE_DETAILS%"},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            ],
        }
        for flag, status in errors.items()
    ]
    return {"mappers": mappers}


def http_manager(
    stat_prefix: str,
    *,
    routes: Json | None = None,
    route_name: str = "",
    xds_cluster: str = "",
    access_log: Sequence[Json] = (),
    filters: Sequence[Json] = (),
    local_reply: Json | None = None,
) -> Json:
    """The network filter that speaks HTTP/1 and HTTP/2, absolute-form and CONNECT included.

    Args:
        stat_prefix: prefix of its counters.
        routes: a route configuration inline, or:
        route_name: the name of one to be fetched from `xds_cluster`.
        xds_cluster: static cluster of the xDS server.
        access_log: its request logs.
        filters: HTTP filters before the router.
        local_reply: see `error_answers`.
    """
    config = typed(
        _HCM,
        stat_prefix=stat_prefix,
        codec_type="AUTO",
        use_remote_address=False,
        skip_xff_append=True,
        preserve_external_request_id=True,
        stream_idle_timeout="0s",
        server_header_transformation="PASS_THROUGH",
        http_protocol_options={"allow_absolute_url": True},
        http2_protocol_options={"allow_connect": True},
        upgrade_configs=[{"upgrade_type": "CONNECT"}, {"upgrade_type": "websocket"}],
        access_log=list(access_log),
        http_filters=[*filters, _router()],
    )
    if routes is not None:
        inline = {name: value for name, value in routes.items() if name != "@type"}
        config["route_config"] = inline
    else:
        config["rds"] = {"route_config_name": route_name, "config_source": rest(xds_cluster)}
    if local_reply is not None:
        config["local_reply_config"] = local_reply
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def tcp_proxy(stat_prefix: str, cluster: str) -> Json:
    """The network filter that passes bytes on unread."""
    return {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": typed(
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            stat_prefix=stat_prefix,
            cluster=cluster,
            idle_timeout="0s",
        ),
    }


def filter_chain(
    filters: Sequence[Json], *, match: Json | None = None, tls: Json | None = None
) -> Json:
    """One way to treat a connection; chosen by `match` on what the TLS inspector saw."""
    chain: Json = {"filters": list(filters)}
    if match is not None:
        chain["filter_chain_match"] = match
    if tls is not None:
        chain["transport_socket"] = tls
    return chain


def listener(
    name: str,
    socket: str,
    chains: Sequence[Json],
    *,
    inspect_tls: bool = False,
    access_log: Sequence[Json] = (),
) -> Json:
    """A listener on HOST:PORT.

    Args:
        name: unique within the Envoy, also the prefix of its counters.
        socket: HOST:PORT to bind, exclusively.
        chains: its filter chains.
        inspect_tls: look at the first bytes, so that chains can match TLS or plaintext.
        access_log: one line per connection: the only place that shows refused handshakes.
    """
    result = typed(
        "envoy.config.listener.v3.Listener",
        name=name,
        address=addresses.tcp(socket),
        stat_prefix=name,
        enable_reuse_port=False,
        filter_chains=list(chains),
    )
    if inspect_tls:
        result["listener_filters"] = [
            {
                "name": "envoy.filters.listener.tls_inspector",
                "typed_config": typed(
                    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
                ),
            }
        ]
        # A client that says nothing is waited for; the chain is chosen by its first bytes.
        result["listener_filters_timeout"] = "10s"
    if access_log:
        result["access_log"] = list(access_log)
    return result
