"""Where an Envoy gets a resource from: REST long-poll against a static cluster.

Not files: each file subscription takes one of the 128 inotify instances a user has by default,
and Envoy aborts beyond that. Long-poll has no such limit and works the same on macOS.
"""

from pathlib import Path

from labkit.embedded.envoy.addresses import pipe
from labkit.embedded.envoy.types import Json

REQUEST_TIMEOUT_S = 600
"""How long Envoy waits for an answer; well above the server's hold time of 300 s."""

REFRESH_DELAY_S = 0.05
"""Pause between two polls. Only consecutive changes see it; it keeps a missing server cheap."""


def rest(cluster: str) -> Json:
    """The config source that polls the xDS server behind a static cluster."""
    return {
        "resource_api_version": "V3",
        "initial_fetch_timeout": "0s",
        "api_config_source": {
            "api_type": "REST",
            "transport_api_version": "V3",
            "cluster_names": [cluster],
            "refresh_delay": f"{REFRESH_DELAY_S}s",
            "request_timeout": f"{REQUEST_TIMEOUT_S}s",
        },
    }


def server_cluster(name: str, socket: Path) -> Json:
    """The static cluster that leads to an xDS server on a unix socket."""
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": pipe(socket)}}]}],
        },
    }
