"""Tap events become requests."""

import json

from labkit.clients.linkerd_values import JsonStream
from labkit.clients.tap import TapJoiner

SOURCE = {"ip": "10.244.0.6", "port": 40000, "metadata": None}
GATEWAY = "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"
DESTINATION = {
    "ip": "198.51.100.10",
    "port": 4143,
    "metadata": {"tls": "true", "server_id": GATEWAY, "target_cluster": "east"},
}


def event(name: str, stream: int = 1, *, direction: str = "OUTBOUND", **body):
    return {
        "source": SOURCE,
        "destination": DESTINATION,
        "routeMeta": None,
        "proxyDirection": direction,
        name: {"id": {"base": 3, "stream": stream}, **body},
    }


def request(stream: int = 1, **options):
    body = {"method": "GET", "scheme": "", "authority": "web-svc:80", "path": "/api/list"}
    return event("requestInitEvent", stream, **{**body, **options})


RESPONSE = {"sinceRequestInit": {"nanos": 148_123_999}, "httpStatus": 200}
END = {
    "sinceRequestInit": {"seconds": 1, "nanos": 5000},
    "sinceResponseInit": {},
    "responseBytes": 4536,
    "grpcStatusCode": 0,
}


def joined(*events):
    joiner = TapJoiner()
    for item in events:
        joiner.add(item)
    return joiner.requests()


def test_three_events_are_one_request_with_times_in_microseconds():
    (found,) = joined(
        request(), event("responseInitEvent", **RESPONSE), event("responseEndEvent", **END)
    )
    assert (found.direction, found.status, found.path) == ("outbound", 200, "/api/list")
    assert (found.latency_us, found.duration_us) == (148_123, 1_000_005)
    assert (found.source, found.destination) == ("10.244.0.6:40000", "198.51.100.10:4143")
    assert found.is_tls
    assert found.complete
    assert found.server_id == GATEWAY
    assert found.metadata["target_cluster"] == "east"


def test_requests_interleave():
    first, second = joined(
        request(1),
        request(2, path="/api/vote"),
        event("responseInitEvent", 2, **RESPONSE),
        event("responseEndEvent", 2, **END),
        event("responseEndEvent", 1, **END),
    )
    assert (first.path, second.path) == ("/api/vote", "/api/list")
    assert second.status is None


def test_the_same_number_on_both_sides_of_a_proxy_is_two_requests():
    found = joined(request(), request(direction="INBOUND"))
    assert {item.direction for item in found} == {"outbound", "inbound"}


def test_on_the_inbound_side_the_peer_is_the_source():
    inbound = request(direction="INBOUND")
    inbound["source"] = {**SOURCE, "metadata": {"tls": "no_tls_from_remote"}}
    (found,) = joined(inbound)
    assert (found.tls, found.server_id, found.is_tls) == ("no_tls_from_remote", "", False)


def test_a_request_that_began_before_the_sample_is_dropped():
    assert joined(event("responseInitEvent", **RESPONSE), event("responseEndEvent", **END)) == ()


def test_a_request_without_an_end_is_kept_as_incomplete():
    (found,) = joined(request())
    assert not found.complete
    assert found.latency_us is None


def test_a_stream_cut_anywhere_yields_the_same_values():
    values = [request(), {"path": "µ"}, event("responseEndEvent", **END)]
    text = "\n".join(json.dumps(value, indent=2, ensure_ascii=False) for value in values).encode()
    for size in (1, 7, len(text)):
        stream = JsonStream()
        pieces = (text[i : i + size] for i in range(0, len(text), size))
        assert [value for piece in pieces for value in stream.feed(piece)] == values


def test_words_between_values_are_skipped():
    assert list(JsonStream().feed(b'warning: slow\n{"a": 1}\nnull\n[2]')) == [{"a": 1}, [2]]


def test_headers_of_a_request_are_kept_with_names_in_small_letters():
    headers = [{"name": "X-Vegeta-Seq", "valueStr": "17"}, {"name": "odd"}]
    (found,) = joined(request(headers=headers))
    assert found.headers == {"x-vegeta-seq": "17", "odd": ""}
