"""Two meshed pods of one cluster."""

import asyncio
import json

from prometheus_client.parser import text_string_to_metric_families

WEB = "web.emojivoto.serviceaccount.identity.linkerd.cluster.local"
BOT = "default.emojivoto.serviceaccount.identity.linkerd.cluster.local"


async def start_two(make_cluster, start_app):
    west = await make_cluster("west")
    web = west.add_pod("web", app={8080: await start_app()}, account="web")
    bot = west.add_pod("vote-bot")
    west.add_service("web-svc", web, 80, 8080)
    await west.publish()
    await asyncio.gather(west.run(web), west.run(bot))
    return west, web, bot


def samples(text: str, name: str) -> list[tuple[dict[str, str], float]]:
    found = []
    for family in text_string_to_metric_families(text):
        found += [(s.labels, s.value) for s in family.samples if s.name == name]
    return found


async def test_a_request_is_carried_by_mutual_tls_and_counted_on_both_sides(
    make_cluster, start_app, mesh
) -> None:
    _, web, bot = await start_two(make_cluster, start_app)
    for host in ("web-svc", "web-svc.emojivoto:80", "10.96.0.10", "web-svc.emojivoto.svc"):
        status, text, _ = await mesh.fetch(bot, f"http://{host}/api/list")
        assert status == 200, text
        seen = json.loads(text)
        assert seen["host"] == host.removesuffix(":80")
        assert "l5d-src" not in seen["headers"]
    await mesh.fetch(bot, "http://web-svc/?status=500")

    async def counted() -> bool:
        found = [samples(await mesh.metrics_of(pod), "request_total") for pod in (web, bot)]
        return all(sum(value for _, value in series) == 5 for series in found)

    await mesh.until(counted)
    out, into = await mesh.metrics_of(bot), await mesh.metrics_of(web)
    ((labels, _),) = samples(out, "request_total")
    assert labels == {
        "direction": "outbound",
        "authority": "web-svc.emojivoto.svc.cluster.local",
        "target_addr": f"{web.ip}:8080",
        "target_ip": web.ip,
        "target_port": "8080",
        "tls": "true",
        "server_id": WEB,
        "dst_service": "web-svc",
        "dst_namespace": "emojivoto",
        "dst_deployment": "web",
        "dst_pod": "web-77f8-abcde",
        "dst_pod_template_hash": "77f8",
        "dst_serviceaccount": "web",
        "dst_zone_locality": "local",
    }
    ((labels, _),) = samples(into, "request_total")
    assert labels["client_id"] == BOT
    assert labels["direction"] == "inbound"
    assert "authority" not in labels
    by_class = {
        (labels["status_code"], labels["classification"]): value
        for labels, value in samples(into, "response_total")
    }
    assert by_class == {("200", "success"): 4, ("500", "failure"): 1}
    counts = samples(out, "response_latency_ms_count")
    assert {labels["status_code"]: value for labels, value in counts} == {"200": 4, "500": 1}
    bounds = [labels["le"] for labels, _ in samples(out, "response_latency_ms_bucket")][:26]
    assert bounds[:6] == ["1", "2", "3", "4", "5", "10"]
    assert bounds[-2:] == ["50000", "+Inf"]
    routes = samples(out, "outbound_http_route_request_statuses_total")
    assert {(r["parent_name"], r["http_status"], value) for r, value in routes} == {
        ("web-svc", "200", 4),
        ("web-svc", "500", 1),
    }


async def test_metrics_equal_envoys_own_counters(make_cluster, start_app, mesh) -> None:
    _west, _web, bot = await start_two(make_cluster, start_app)
    await asyncio.gather(*(mesh.fetch(bot, f"http://web-svc/{n}") for n in range(100)))

    async def counted() -> bool:
        text = await mesh.metrics_of(bot)
        return sum(value for _, value in samples(text, "response_total")) == 100

    await mesh.until(counted)
    async with mesh.admin_of(bot) as admin:
        counters = await admin.counters("emojivoto/web-svc")
    assert counters["cluster.emojivoto/web-svc/80.upstream_rq_total"] == 100
    text = await mesh.metrics_of(bot)
    opened = {labels["peer"]: value for labels, value in samples(text, "tcp_open_total")}
    assert opened["dst"] == counters["cluster.emojivoto/web-svc/80.upstream_cx_total"]
    assert opened["src"] == 100
    histogram = samples(text, "response_latency_ms_bucket")
    assert [value for labels, value in histogram if labels["le"] == "+Inf"] == [100]


async def test_an_unknown_host_answers_502_and_an_empty_service_504(
    make_cluster, start_app, mesh
) -> None:
    west, _, bot = await start_two(make_cluster, start_app)
    west.add_service("empty", None, 80, 8080)
    await west.publish()

    async def answers_504() -> bool:
        status, _text, headers = await mesh.fetch(bot, "http://empty.emojivoto/")
        if status == 504:
            assert "service in fail-fast" in headers["l5d-proxy-error"]
        return status == 504

    await mesh.until(answers_504)
    status, _, headers = await mesh.fetch(bot, "http://nowhere.example/")
    assert status == 502
    assert headers["l5d-proxy-error"] == "no such service, pod or address"


async def test_a_dead_application_answers_502(make_cluster, mesh) -> None:
    west = await make_cluster("west")
    web = west.add_pod("web", app={8080: mesh.free_socket()}, account="web")
    bot = west.add_pod("vote-bot")
    west.add_service("web-svc", web, 80, 8080)
    await west.publish()
    await asyncio.gather(west.run(web), west.run(bot))
    status, _, headers = await mesh.fetch(bot, "http://web-svc/")
    assert status == 502
    assert "l5d-proxy-error" in headers


async def test_short_names_are_those_of_the_clients_namespace(
    make_cluster, start_app, mesh
) -> None:
    west, _web, _bot = await start_two(make_cluster, start_app)
    stranger = west.add_pod("curl", namespace="default")
    await west.publish()
    await west.run(stranger)
    status, _, _ = await mesh.fetch(stranger, "http://web-svc/")
    assert status == 502
    status, _, _ = await mesh.fetch(stranger, "http://web-svc.emojivoto/")
    assert status == 200


async def test_raw_bytes_pass_by_connect(make_cluster, start_app, mesh) -> None:
    west = await make_cluster("west")

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    database = west.add_pod("db", app={5432: address})
    bot = west.add_pod("vote-bot")
    west.add_service("db", database, 5432, 5432)
    await west.publish()
    await asyncio.gather(west.run(database), west.run(bot))
    host, port = bot.egress.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"CONNECT db.emojivoto:5432 HTTP/1.1\r\nHost: db.emojivoto:5432\r\n\r\n")
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(b"hello\n")
    assert await reader.readline() == b"HELLO\n"
    writer.close()
    server.close()


async def test_tap_shows_virtual_addresses_and_labels(make_cluster, start_app, mesh) -> None:
    _, web, bot = await start_two(make_cluster, start_app)
    async with mesh.tap(bot) as outbound, mesh.tap(web) as inbound:
        await mesh.fetch(bot, "http://web-svc/api/list?x=1")
        out = [await outbound() for _ in range(3)]
        into = [await inbound() for _ in range(3)]
    request, response, end = out
    assert request["proxyDirection"] == "OUTBOUND"
    assert request["source"]["ip"] == bot.ip
    assert request["destination"]["ip"] == web.ip
    assert request["destination"]["port"] == 8080
    metadata = request["destination"]["metadata"]
    assert metadata["tls"] == "true"
    assert metadata["server_id"] == WEB
    assert metadata["deployment"] == "web"
    assert metadata["service"] == "web-svc"
    assert request["requestInitEvent"]["path"] == "/api/list?x=1"
    assert response["responseInitEvent"]["httpStatus"] == 200
    assert end["responseEndEvent"]["grpcStatusCode"] == 0
    assert end["responseEndEvent"]["responseBytes"] > 0
    assert into[0]["source"]["ip"] == bot.ip
    assert into[0]["source"]["port"] == request["source"]["port"]
    assert into[0]["source"]["metadata"] == {"tls": "true", "client_id": BOT}
    assert into[0]["destination"] == {"ip": web.ip, "port": 8080, "metadata": {}}
