"""Linkerd's metrics and tap events from lines of the access log."""

from prometheus_client.parser import text_string_to_metric_families

from labkit.embedded.mesh.access_log import Entry
from labkit.embedded.mesh.metrics import LATENCY_BOUNDS_MS, ProxyMetrics
from labkit.embedded.mesh.requests import requests_of
from labkit.embedded.mesh.tap_events import events_of

ROUTE = {
    "authority": "voting-svc.emojivoto.svc.cluster.local:8080",
    "dst_service": "voting-svc",
    "dst_namespace": "emojivoto",
    "dst_port": "8080",
}
HOST = {"target_addr": "10.244.0.9:8080", "dst_pod": "voting-1"}


def line(**fields) -> Entry:
    values = {
        "dir": "out",
        "ts": "1795390268.272748",
        "method": "GET",
        "scheme": "http",
        "authority": "voting-svc.emojivoto:8080",
        "path": "/",
        "status": 200,
        "flags": "-",
        "ms": 9,
        "first_us": 5999,
        "last_us": 9100,
        "bytes": 12,
        "src": "127.0.0.1:40000",
        "cluster": "emojivoto/voting-svc/8080",
        "route": ROUTE,
        "host": HOST,
        "server_id": "voting",
    }
    return Entry({key: value for key, value in (values | fields).items() if value is not None})


def samples(metrics: ProxyMetrics, name: str, counters=None) -> list[tuple[dict, float]]:
    text = metrics.render(counters or {}, {})
    families = text_string_to_metric_families(text)
    return [(s.labels, s.value) for f in families for s in f.samples if s.name == name]


def classification(**fields) -> dict[str, str]:
    metrics = ProxyMetrics("10.244.0.5")
    metrics.observe(line(**fields))
    ((labels, _),) = samples(metrics, "response_total")
    return labels


def test_a_scrape_shows_what_was_counted_after_the_last_one() -> None:
    metrics = ProxyMetrics("10.244.0.5")
    seen = []
    for _ in range(2):
        metrics.observe(line())
        names = ("response_total", "response_latency_ms_count", "response_latency_ms_sum")
        seen.append([samples(metrics, name)[0][1] for name in names])
    assert seen == [[1, 1, 5], [2, 2, 10]]
    buckets = {
        labels["le"]: value for labels, value in samples(metrics, "response_latency_ms_bucket")
    }
    assert (buckets["4"], buckets["5"], buckets["+Inf"]) == (0, 2, 2)


def test_the_bounds_are_linkerds() -> None:
    assert LATENCY_BOUNDS_MS[:7] == (1, 2, 3, 4, 5, 10, 20)
    assert LATENCY_BOUNDS_MS[-1] == 50_000
    assert len(LATENCY_BOUNDS_MS) == 25


def test_latency_is_the_first_byte_in_whole_milliseconds_and_exact() -> None:
    metrics = ProxyMetrics("10.244.0.5")
    for microseconds in (999, 1_000, 1_999, 101_000, 100_000, 60_000_000):
        metrics.observe(line(first_us=microseconds))
    ((_, total),) = samples(metrics, "response_latency_ms_sum")
    assert total == 0 + 1 + 1 + 101 + 100 + 60_000
    buckets = {
        labels["le"]: value for labels, value in samples(metrics, "response_latency_ms_bucket")
    }
    assert buckets["1"] == 3
    assert buckets["100"] == 4
    assert buckets["200"] == 5
    assert buckets["50000"] == 5
    assert buckets["+Inf"] == 6


def test_http_5xx_fails_and_4xx_does_not() -> None:
    assert classification(status=503)["classification"] == "failure"
    assert classification(status=404)["classification"] == "success"


def test_grpc_is_classified_by_its_status() -> None:
    grpc = {"ct": "application/grpc+proto", "grpc": "2"}
    labels = classification(**grpc)
    assert (labels["classification"], labels["grpc_status"]) == ("failure", "2")
    assert classification(**grpc | {"grpc": "5"})["classification"] == "success"
    assert classification(**grpc | {"grpc": None})["classification"] == "success"
    assert classification(grpc="2")["grpc_status"] == ""


def test_a_client_that_leaves_is_no_success_and_has_no_latency() -> None:
    metrics = ProxyMetrics("10.244.0.5")
    metrics.observe(line(status=0, flags="DC", first_us=None))
    ((labels, _),) = samples(metrics, "response_total")
    assert labels["classification"] == "failure"
    assert labels["status_code"] == ""
    assert samples(metrics, "response_latency_ms_count") == []


def test_a_request_nobody_answers_is_an_error_not_a_response() -> None:
    metrics = ProxyMetrics("10.244.0.5")
    metrics.observe(line(status=504, flags="-", host=None, cluster=None, server_id=None))
    assert samples(metrics, "response_total") == []
    assert samples(metrics, "outbound_http_errors_total") == [({"error": "failfast"}, 1)]
    ((labels, _),) = samples(metrics, "outbound_http_route_request_statuses_total")
    assert labels["error"] == "FAIL_FAST"


def test_plain_text_has_a_reason_and_no_identity() -> None:
    labels = classification(server_id=None)
    assert labels["tls"] == "no_identity"
    assert labels["no_tls_reason"] == "not_provided_by_service_discovery"
    assert "server_id" not in labels


def test_a_failed_connection_to_a_meshed_endpoint_still_counts_as_secured() -> None:
    labels = classification(
        server_id=None, status=502, flags="UF", host=HOST | {"identity": "voting"}
    )
    assert labels["tls"] == "true"
    assert labels["server_id"] == "voting"
    assert labels["error"] == "i/o"


def test_connections_and_bytes_come_from_envoys_counters() -> None:
    metrics = ProxyMetrics("10.244.0.5")
    metrics.observe(line())
    cluster = "cluster.emojivoto/voting-svc/8080."
    counters = {
        f"{cluster}upstream_cx_total": 3,
        f"{cluster}upstream_cx_active": 1,
        f"{cluster}upstream_cx_rx_bytes_total": 700,
        "cluster.emojivoto/unused/80.upstream_cx_total": 0,
        "listener.in/8080.downstream_cx_total": 5,
        "listener.in/8080.worker_0.downstream_cx_total": 5,
        "listener.outbound.downstream_cx_active": 2,
        "http.in/8080.downstream_cx_rx_bytes_total": 12,
    }
    opened = samples(metrics, "tcp_open_total", counters)
    assert {(labels["peer"], labels["direction"]): value for labels, value in opened} == {
        ("dst", "outbound"): 3,
        ("src", "inbound"): 5,
    }
    assert len(opened) == 2
    assert opened[0][0]["dst_service"] == "voting-svc"


def test_a_tunnel_counts_as_connection_not_as_request() -> None:
    metrics = ProxyMetrics("10.244.0.5")
    assert metrics.observe(line(method="CONNECT")) == ()
    assert samples(metrics, "request_total") == []
    counters = {"cluster.emojivoto/voting-svc/8080.upstream_cx_total": 1}
    assert samples(metrics, "tcp_open_total", counters)[0][1] == 1


def test_label_values_are_escaped() -> None:
    metrics = ProxyMetrics("10.244.0.5")
    metrics.observe(line(route=ROUTE | {"authority": 'a"b\\c'}))
    ((labels, _),) = samples(metrics, "request_total")
    assert labels["authority"] == 'a"b\\c'


def test_a_gateways_line_counts_in_both_directions() -> None:
    found = list(
        requests_of(line(dir="gw", port="4143", client_id="bot", node="10.124.0.2"), "10.245.0.3")
    )
    inbound, outbound = found
    assert dict(inbound.labels)["srv_name"] == "linkerd-gateway"
    assert inbound.source == "10.124.0.2:40000"
    assert inbound.destination == "10.245.0.3:4143"
    assert dict(outbound.labels)["dst_service"] == "voting-svc"


def test_durations_are_split_and_zero_fields_left_out() -> None:
    (request,) = requests_of(line(first_us=1_500_000, last_us=1_500_000), "10.244.0.5")
    _, response, end = events_of(request, 1)
    assert response["responseInitEvent"]["sinceRequestInit"] == {
        "seconds": 1,
        "nanos": 500_000_000,
    }
    assert end["responseEndEvent"]["sinceResponseInit"] == {}


def test_an_aborted_request_has_no_response_event() -> None:
    (request,) = requests_of(line(status=0, flags="DC"), "10.244.0.5")
    kinds = [kind for event in events_of(request, 1) for kind in event if kind.endswith("Event")]
    assert kinds == ["requestInitEvent", "responseEndEvent"]
