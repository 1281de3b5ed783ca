"""Names for raw JSON and for Envoy's type URLs.

Envoy's configuration is protobuf in JSON form; it is passed through as dicts, because typed
models of thousands of messages would hide more than they check. Envoy itself is the validator.
"""

from typing import Any

Json = dict[str, Any]

_PREFIX = "type.googleapis.com/"


def typed(type_name: str, **fields: Any) -> Json:
    """A protobuf `Any`: `typed("envoy.config.cluster.v3.Cluster", name="x")`."""
    return {"@type": _PREFIX + type_name, **fields}


LISTENERS = "listeners"
CLUSTERS = "clusters"
ROUTES = "routes"
SECRETS = "secrets"

TYPE_NAMES = {
    LISTENERS: "envoy.config.listener.v3.Listener",
    CLUSTERS: "envoy.config.cluster.v3.Cluster",
    ROUTES: "envoy.config.route.v3.RouteConfiguration",
    SECRETS: "envoy.extensions.transport_sockets.tls.v3.Secret",
}
"""Kind, as in `POST /v3/discovery:<kind>`, to the protobuf message it carries."""

TYPE_URLS = {kind: _PREFIX + name for kind, name in TYPE_NAMES.items()}
