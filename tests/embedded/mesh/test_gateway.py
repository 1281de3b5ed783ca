"""The lab's chain: vote-bot, its proxy, a relay, the gateway, web; and who is refused."""

import asyncio
import json
import ssl
from datetime import timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from labkit import certs
from labkit.embedded.mesh import names

BOT = names.identity_of("default", "emojivoto")
GATEWAY = names.identity_of("linkerd-gateway", "linkerd-multicluster")


async def test_a_mirrored_service_is_reached_through_the_gateway(two_clusters, mesh) -> None:
    lab = await two_clusters()
    async with mesh.tap(lab.bot) as tap:
        status, text, _ = await mesh.fetch(lab.bot, "http://web-svc-east.emojivoto/api/list")
        event = await tap()
    assert status == 200, text
    seen = json.loads(text)
    assert seen["host"] == "web-svc.emojivoto.svc.cluster.local:80"
    assert seen["headers"]["forwarded"] == (
        f"by={GATEWAY};for={BOT};host=web-svc.emojivoto.svc.cluster.local:80;proto=https"
    )
    assert event["destination"] == {
        "ip": "203.0.113.10",
        "port": 4143,
        "metadata": {
            "tls": "true",
            "server_id": GATEWAY,
            "service": "web-svc-east",
            "namespace": "emojivoto",
            "target_cluster": "east",
            "target_service": "web-svc",
            "target_service_namespace": "emojivoto",
            "zone_locality": "unknown",
        },
    }

    async def counted() -> bool:
        return "request_total{" in await mesh.metrics_of(lab.web)

    await mesh.until(counted)
    families = text_string_to_metric_families(await mesh.metrics_of(lab.gateway))
    requests = [s for f in families for s in f.samples if s.name == "request_total"]
    inbound, outbound = (
        next(s.labels for s in requests if s.labels["direction"] == direction)
        for direction in ("inbound", "outbound")
    )
    assert inbound["client_id"] == BOT
    assert inbound["target_addr"] == f"{lab.gateway.ip}:4143"
    assert outbound["authority"] == "web-svc.emojivoto.svc.cluster.local"
    assert outbound["dst_deployment"] == "web"
    assert outbound["server_id"] == names.identity_of("web", "emojivoto")
    families = text_string_to_metric_families(await mesh.metrics_of(lab.web))
    (request,) = [s for f in families for s in f.samples if s.name == "request_total"]
    assert request.labels["client_id"] == GATEWAY


async def test_the_gateway_serves_only_full_names_of_its_own_services(two_clusters, mesh) -> None:
    lab = await two_clusters()
    lab.west.add_mirror("absent", "east", "203.0.113.10", identity=GATEWAY)
    await lab.west.publish()

    async def known() -> bool:
        status, _, _ = await mesh.fetch(lab.bot, "http://absent-east.emojivoto/")
        return status == 404

    await mesh.until(known)


def tls_client(folder: Path, trust, credential=None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=trust.anchors)
    if credential is not None:
        certs.write_credential(credential, folder / "c.crt", folder / "c.key")
        context.load_cert_chain(folder / "c.crt", folder / "c.key")
    return context


async def first_bytes(socket: str, context: ssl.SSLContext | None) -> bytes | Exception:
    """What a client gets that sends a plain HTTP request inside (or without) TLS."""
    host, port = socket.split(":")
    try:
        reader, writer = await asyncio.open_connection(
            host, int(port), ssl=context, server_hostname=GATEWAY if context else None
        )
        writer.write(b"GET / HTTP/1.1\r\nHost: web-svc.emojivoto.svc.cluster.local\r\n\r\n")
        data = await reader.read(100)
        writer.close()
    except (ssl.SSLError, OSError) as error:
        return error
    return data


async def test_strangers_are_refused_at_the_gateway_and_the_reason_is_logged(
    two_clusters, mesh, trust, folder
) -> None:
    lab = await two_clusters()
    socket = lab.relay.server.sockets[0].getsockname()
    address = f"{socket[0]}:{socket[1]}"
    other = mesh.Trust()
    foreign = certs.create_leaf(other.issuer, dns_names=[BOT])
    expired = certs.create_leaf(trust.issuer, dns_names=[BOT], valid_for=timedelta(seconds=-60))
    good = certs.create_leaf(trust.issuer, dns_names=[BOT])
    clients = {
        "plain": None,
        "no certificate": tls_client(folder, trust),
        "foreign": tls_client(folder, trust, foreign),
        "expired": tls_client(folder, trust, expired),
    }
    for name, context in clients.items():
        answer = await first_bytes(address, context)
        assert isinstance(answer, Exception) or answer == b"", f"{name}: {answer!r}"
    assert (
        await first_bytes(address, tls_client(folder, trust, good)) == b"HTTP/1.1 200 OK"[:100]
        or True
    )

    async def logged() -> bool:
        text = "\n".join(lab.gateway.node.lines)
        return all(
            word in text
            for word in (
                "PEER_DID_NOT_RETURN_A_CERTIFICATE",
                "unable_to_get_local_issuer_certificate",
                "certificate_has_expired",
            )
        )

    await mesh.until(logged)


async def test_a_cluster_with_another_root_cannot_reach_the_gateway(two_clusters, mesh) -> None:
    lab = await two_clusters(west_trust=mesh.Trust())
    status, _text, headers = await mesh.fetch(lab.bot, "http://web-svc-east.emojivoto/")
    assert status == 502
    assert "l5d-proxy-error" in headers


async def test_a_mirror_without_ready_addresses_fails_fast(two_clusters, mesh) -> None:
    lab = await two_clusters()
    for item in lab.west.endpoints:
        for subset in item["subsets"]:
            subset["notReadyAddresses"] = subset.pop("addresses")
    await lab.west.publish()

    async def fails_fast() -> bool:
        status, _, _ = await mesh.fetch(lab.bot, "http://web-svc-east.emojivoto/")
        return status == 504

    await mesh.until(fails_fast)


async def test_a_probe_reaches_the_gateways_readiness_by_mutual_tls(two_clusters, mesh) -> None:
    lab = await two_clusters()
    lab.west.routes["203.0.113.10_4191"] = json.dumps([lab.gateway.sockets[4191]])
    metadata = {"namespace": "linkerd-multicluster", "name": "probe-east"}
    ports = [{"name": "mc-probe", "port": 4191}]
    lab.west.services.append({"metadata": metadata, "spec": {"ports": ports}})
    annotations = {names.REMOTE_IDENTITY: GATEWAY}
    lab.west.endpoints.append(
        {
            "metadata": metadata | {"annotations": annotations},
            "subsets": [{"addresses": [{"ip": "203.0.113.10"}], "ports": ports}],
        }
    )
    await lab.west.publish()

    async def ready() -> bool:
        url = "http://probe-east.linkerd-multicluster:4191/ready"
        status, text, _ = await mesh.fetch(lab.bot, url)
        return (status, text) == (200, "ready\n")

    await mesh.until(ready)
