"""Transport sockets with certificates from SDS, and the secrets themselves.

TLS 1.3 only and without session resumption: every connection is a full handshake, so that a
refused certificate is always refused, and a new connection always costs the same round trips.
No ALPN is offered: both sides of a connection between proxies are configured, and a raw TCP
tunnel can then use the same listener (HTTP versions are told apart by their preface).
"""

from labkit.embedded.envoy.types import Json, typed
from labkit.embedded.envoy.xds_source import rest

_TLS = "envoy.extensions.transport_sockets.tls.v3"
_PARAMETERS = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}


def _secret(name: str, xds_cluster: str) -> Json:
    return {"name": name, "sds_config": rest(xds_cluster)}


def upstream_tls(*, server_name: str, leaf: str, anchors: str, xds_cluster: str) -> Json:
    """Client side of mutual TLS: shows `leaf`, insists on the DNS name `server_name`.

    Args:
        server_name: the DNS SAN the server must have; also sent as SNI.
        leaf: name of the SDS secret with the own certificate and key.
        anchors: name of the SDS secret with the trust anchors.
        xds_cluster: the static cluster that serves the secrets.
    """
    names = [{"san_type": "DNS", "matcher": {"exact": server_name}}]
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            f"{_TLS}.UpstreamTlsContext",
            sni=server_name,
            max_session_keys=0,
            common_tls_context={
                "tls_params": _PARAMETERS,
                "tls_certificate_sds_secret_configs": [_secret(leaf, xds_cluster)],
                "combined_validation_context": {
                    "default_validation_context": {"match_typed_subject_alt_names": names},
                    "validation_context_sds_secret_config": _secret(anchors, xds_cluster),
                },
            },
        ),
    }


def downstream_tls(*, leaf: str, anchors: str, xds_cluster: str) -> Json:
    """Server side of mutual TLS: a client certificate under the anchors is required."""
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            f"{_TLS}.DownstreamTlsContext",
            require_client_certificate=True,
            disable_stateless_session_resumption=True,
            common_tls_context={
                "tls_params": _PARAMETERS,
                "tls_certificate_sds_secret_configs": [_secret(leaf, xds_cluster)],
                "validation_context_sds_secret_config": _secret(anchors, xds_cluster),
            },
        ),
    }


def leaf_secret(name: str, *, chain: str, key: str) -> Json:
    """The secret of an own certificate: PEM inline, so that chain and key change together."""
    return typed(
        f"{_TLS}.Secret",
        name=name,
        tls_certificate={
            "certificate_chain": {"inline_string": chain},
            "private_key": {"inline_string": key},
        },
    )


def anchors_secret(name: str, bundle: str) -> Json:
    """The secret of the trust anchors, one or more certificates in PEM."""
    return typed(
        f"{_TLS}.Secret",
        name=name,
        validation_context={"trusted_ca": {"inline_string": bundle}},
    )
