"""The start-up file of an Envoy: who it is, where its admin socket and its xDS servers are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from labkit.embedded.envoy.addresses import pipe
from labkit.embedded.envoy.types import Json, typed
from labkit.embedded.envoy.xds_source import rest, server_cluster

KEPT_STATISTICS: Sequence[str] = (
    ".downstream_cx_total",
    ".downstream_cx_active",
    ".downstream_cx_rx_bytes_total",
    ".downstream_cx_tx_bytes_total",
    ".downstream_rq_total",
    ".downstream_rq_active",
    ".upstream_cx_total",
    ".upstream_cx_active",
    ".upstream_cx_rx_bytes_total",
    ".upstream_cx_tx_bytes_total",
    ".upstream_rq_total",
    ".ssl.fail_verify_no_cert",
    ".ssl.fail_verify_error",
    ".ssl.connection_error",
    ".listener_create_failure",
    ".lds.update_rejected",
    ".lds.update_success",
    ".cds.update_rejected",
    ".cds.update_success",
    "server.live",
)
"""Endings of the only counters an Envoy keeps: all of them would cost megabytes."""

_SELDOM = "60s"
_UNHURRIED: Json = {"miss_timeout": _SELDOM, "megamiss_timeout": _SELDOM}
"""Watchdogs count how often a thread was late, by waking it ten times a second. Nobody asks them
here, and on a laptop with twenty proxies that is the better part of what an idle lab costs."""


def bootstrap(
    *,
    node_id: str,
    cluster: str,
    admin_socket: Path,
    xds: Mapping[str, Path],
    dynamic_from: str,
    instance: str,
) -> Json:
    """The configuration file for one Envoy.

    Args:
        node_id: how xDS servers know it.
        cluster: name of the mesh cluster it belongs to.
        admin_socket: unix socket of the admin interface; no port is needed.
        xds: static cluster name to unix socket of an xDS server.
        dynamic_from: which of them serves listeners and clusters.
        instance: differs at every start, so that a server can tell a restart from a rejection.
    """
    return {
        "node": {"id": node_id, "cluster": cluster, "metadata": {"instance": instance}},
        "admin": {"address": pipe(admin_socket)},
        "dynamic_resources": {"lds_config": rest(dynamic_from), "cds_config": rest(dynamic_from)},
        "static_resources": {"clusters": [server_cluster(*item) for item in xds.items()]},
        "watchdogs": {"main_thread_watchdog": _UNHURRIED, "worker_watchdog": _UNHURRIED},
        "stats_flush_on_admin": True,
        "stats_config": {
            "stats_matcher": {
                "inclusion_list": {"patterns": [{"suffix": ending} for ending in KEPT_STATISTICS]}
            }
        },
        "overload_manager": {
            "refresh_interval": _SELDOM,  # of the monitors that poll; this one counts as it goes
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": typed(
                        "envoy.extensions.resource_monitors.downstream_connections.v3."
                        "DownstreamConnectionsConfig",
                        max_active_downstream_connections=20_000,
                    ),
                }
            ],
        },
    }
