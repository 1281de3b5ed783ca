"""A client proxy and a server proxy, mutual TLS between them, all configuration by xDS."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from labkit import certs
from labkit.embedded.envoy import listeners, routes, tls
from labkit.embedded.envoy.clusters import Protocol, Upstream, cluster
from labkit.embedded.envoy.xds import XdsServer

WEB = "web.emojivoto.serviceaccount.identity.linkerd.cluster.local"
BOT = "default.emojivoto.serviceaccount.identity.linkerd.cluster.local"


class Trust:
    """A root and an issuer."""

    def __init__(self) -> None:
        self.root = certs.create_root()
        self.issuer = certs.create_issuer(self.root)

    def secrets(self, name: str) -> list[dict[str, object]]:
        leaf = certs.create_leaf(self.issuer, dns_names=[name])
        return [
            tls.leaf_secret("leaf", chain=leaf.certificate.decode(), key=leaf.key.decode()),
            tls.anchors_secret("anchors", self.root.certificate.decode()),
        ]


@pytest.fixture
def inbound(free_socket: Callable[[], str]) -> str:
    return free_socket()


@pytest.fixture
def outbound(free_socket: Callable[[], str]) -> str:
    return free_socket()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition, at most 20 s; a server that is not there yet is a "not yet"."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError, aiohttp.ClientError):
                if await condition():
                    return
            await asyncio.sleep(0.02)


@pytest.fixture
async def app(free_socket: Callable[[], str]) -> AsyncIterator[str]:
    """An application that tells the authority and headers it saw."""

    async def seen(request: web.Request) -> web.Response:
        return web.json_response({"host": request.host, "headers": dict(request.headers)})

    application = web.Application()
    application.router.add_get("/{any:.*}", seen)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    address = free_socket()
    host, port = address.split(":")
    await web.TCPSite(runner, host, int(port)).start()
    yield address
    await runner.cleanup()


def server_side(
    socket: str, app: str, log: str = "server.access"
) -> dict[str, list[dict[str, object]]]:
    fields = {"client": "%DOWNSTREAM_PEER_DNS_SAN%", "src": "%DYNAMIC_METADATA(labkit:src)%"}
    manager = listeners.http_manager(
        "inbound",
        routes=routes.route_configuration(
            "inbound", [routes.virtual_host("app", ["*"], [routes.forward("app")])]
        ),
        access_log=[listeners.json_access_log(log, fields)],
        filters=[listeners.header_to_metadata("l5d-src", "src")],
    )
    chains = [
        listeners.filter_chain(
            [manager],
            match={"transport_protocol": "tls"},
            tls=tls.downstream_tls(leaf="leaf", anchors="anchors", xds_cluster="xds"),
        ),
        listeners.filter_chain([manager], match={"transport_protocol": "raw_buffer"}),
    ]
    return {
        "listeners": [listeners.listener("inbound", socket, chains, inspect_tls=True)],
        "clusters": [cluster("app", [Upstream(app)])],
        "routes": [],
    }


def client_side(
    socket: str, target: str, *, server_name: str = WEB
) -> dict[str, list[dict[str, object]]]:
    labels = {"dst_service": "web-svc"}
    host = routes.virtual_host(
        "web-svc",
        ["web-svc.emojivoto", "web-svc.emojivoto:80"],
        [
            routes.forward("web", match=routes.CONNECT, labels=labels),
            routes.forward(
                "web",
                authority="web-svc.emojivoto.svc.cluster.local:80",
                labels=labels,
                request_headers={"l5d-src": "10.244.0.9:%DOWNSTREAM_REMOTE_PORT%"},
            ),
        ],
    )
    unknown = routes.virtual_host(
        "unknown", ["*"], [routes.answer(502, "unknown host", headers={"l5d-proxy-error": "x"})]
    )
    fields = {
        "route": "%METADATA(ROUTE:labkit)%",
        "host": "%METADATA(UPSTREAM_HOST:labkit)%",
        "server": "%UPSTREAM_PEER_DNS_SAN%",
        "status": "%RESPONSE_CODE%",
        "ttfb_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:us)%",
    }
    manager = listeners.http_manager(
        "outbound",
        route_name="outbound",
        xds_cluster="xds",
        access_log=[listeners.json_access_log("client.access", fields)],
        local_reply=listeners.error_answers({"UF": 502}, "l5d-proxy-error"),
    )
    transport = tls.upstream_tls(
        server_name=server_name, leaf="leaf", anchors="anchors", xds_cluster="xds"
    )
    return {
        "listeners": [listeners.listener("outbound", socket, [listeners.filter_chain([manager])])],
        "clusters": [
            cluster(
                "web",
                [Upstream(target, labels={"target": "10.244.0.7:8080"}, transport="web")],
                protocol=Protocol.HTTP2,
                transports={"web": transport},
                keepalive=True,
            )
        ],
        "routes": [routes.route_configuration("outbound", [host, unknown])],
    }


async def test_a_request_passes_two_proxies_with_mutual_tls(  # noqa: PLR0917
    run_dir: Path, xds: XdsServer, start_envoy, app, inbound, outbound
) -> None:
    trust = Trust()
    xds.publish("server", server_side(inbound, app) | {"secrets": trust.secrets(WEB)})
    xds.publish("client", client_side(outbound, inbound) | {"secrets": trust.secrets(BOT)})
    server = await start_envoy("server")
    client = await start_envoy("client")
    assert await server.listeners() == {inbound}
    assert await client.listeners() == {outbound}
    async with aiohttp.ClientSession() as http:
        async with http.get(
            "http://web-svc.emojivoto/api/list", proxy=f"http://{outbound}"
        ) as response:
            assert response.status == 200
            seen = await response.json()
        async with http.get("http://nowhere/", proxy=f"http://{outbound}") as response:
            assert response.status == 502
            assert response.headers["l5d-proxy-error"] == "x"
    assert seen["host"] == "web-svc.emojivoto.svc.cluster.local:80"
    assert "l5d-src" not in {name.lower() for name in seen["headers"]}

    async def logged() -> bool:
        return all(
            (run_dir / name).exists() and (run_dir / name).stat().st_size
            for name in ("client.access", "server.access")
        )

    await eventually(logged)
    line = json.loads((run_dir / "client.access").read_text().splitlines()[0])
    assert line["server"] == WEB
    assert line["route"] == {"dst_service": "web-svc"}
    assert line["host"] == {"target": "10.244.0.7:8080"}
    assert line["status"] == 200
    assert line["ttfb_us"] > 0
    line = json.loads((run_dir / "server.access").read_text().splitlines()[0])
    assert line["client"] == BOT
    assert line["src"].startswith("10.244.0.9:")
    counters = await client.counters("cluster.web")
    assert counters["cluster.web.upstream_rq_total"] == 1
    assert counters["cluster.web.upstream_cx_active"] == 1


async def test_polls_without_a_change_count_as_no_failure_and_change_nothing(
    run_dir: Path, xds: XdsServer, start_envoy, app, inbound
) -> None:
    xds.publish("server", server_side(inbound, app) | {"secrets": Trust().secrets(WEB)})
    admin = await start_envoy("server")
    # The server holds polls for a second here: every subscription has then asked twice.
    await asyncio.sleep(1.5)
    counters = await admin.counters("update_(rejected|success)")
    assert counters["listener_manager.lds.update_rejected"] == 0
    assert counters["listener_manager.lds.update_success"] == 1
    assert counters["cluster_manager.cds.update_success"] == 1
    assert (run_dir / "server.log").read_text() == ""


async def test_a_refused_listener_is_noticed_and_the_good_ones_serve(
    xds: XdsServer, start_envoy, app, inbound, outbound
) -> None:
    good, bad = inbound, outbound
    snapshot = server_side(good, app) | {"secrets": Trust().secrets(WEB)}
    broken = listeners.listener("broken", bad, [])
    xds.publish("server", snapshot | {"listeners": [*snapshot["listeners"], broken]})
    admin = await start_envoy("server")

    async def refused() -> bool:
        return ("server", "listeners") in xds.rejected

    await eventually(refused)
    assert await admin.listeners() == {good}
    xds.publish("server", snapshot)

    async def accepted() -> bool:
        return ("server", "listeners") not in xds.rejected

    await eventually(accepted)


async def test_a_taken_port_is_missing_from_the_open_listeners(
    xds: XdsServer, start_envoy, app, inbound
) -> None:
    secrets = {"secrets": Trust().secrets(WEB)}
    xds.publish("first", server_side(inbound, app) | secrets)
    xds.publish("second", server_side(inbound, app, "second.access") | secrets)
    first = await start_envoy("first")
    second = await start_envoy("second")
    assert await first.listeners() == {inbound}
    assert await second.live()
    assert await second.listeners() == set()
