"""Tap events as lines, field by field as Linkerd writes them."""

from labkit.embedded.linkerd.tap import line_of

IDENTITY = "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"


def event(name: str, body: dict, *, direction: str = "OUTBOUND") -> dict:
    return {
        "source": {"ip": "10.244.0.6", "port": 40000, "metadata": None},
        "destination": {
            "ip": "198.51.100.10",
            "port": 4143,
            "metadata": {"tls": "true", "server_id": IDENTITY},
        },
        "proxyDirection": direction,
        name: {"id": {"base": 3, "stream": 7}, **body},
    }


def test_the_start_of_a_request():
    body = {"method": "GET", "scheme": "", "authority": "web-svc:80", "path": "/api/list"}
    assert line_of(event("requestInitEvent", body)) == (
        "req id=3:7 proxy=out src=10.244.0.6:40000 dst=198.51.100.10:4143 tls=true "
        ":method=GET :authority=web-svc:80 :path=/api/list"
    )


def test_the_start_of_a_response_has_its_latency_in_microseconds():
    body = {"sinceRequestInit": {"seconds": 1, "nanos": 148_123_456}, "httpStatus": 200}
    assert line_of(event("responseInitEvent", body)) == (
        "rsp id=3:7 proxy=out src=10.244.0.6:40000 dst=198.51.100.10:4143 tls=true "
        ":status=200 latency=1148123µs"
    )


def test_the_end_counts_from_the_start_of_the_response():
    body = {
        "sinceRequestInit": {"nanos": 148_000_000},
        "sinceResponseInit": {"nanos": 51_000},
        "responseBytes": 4536,
        "grpcStatusCode": 2,
    }
    assert line_of(event("responseEndEvent", body)) == (
        "end id=3:7 proxy=out src=10.244.0.6:40000 dst=198.51.100.10:4143 tls=true "
        "grpc-status=Unknown duration=51µs response-length=4536B"
    )


def test_a_reset_takes_the_place_of_the_grpc_status():
    body = {"resetErrorCode": 8, "grpcStatusCode": 0, "responseBytes": 0}
    assert " tls=true reset-error=8 duration=0µs" in line_of(event("responseEndEvent", body))


def test_inbound_is_padded_and_the_peer_is_the_source():
    body = {"method": "GET", "authority": "a", "path": "/"}
    line = line_of(event("requestInitEvent", body, direction="INBOUND"))
    assert "proxy=in  src=" in line
    assert " tls= " in line


def test_addresses_of_ipv6_are_bracketed_and_unknown_events_are_silent():
    item = event("requestInitEvent", {})
    item["source"] = {"ip": "fd00::1", "port": 1}
    assert "src=[fd00::1]:1 " in line_of(item)
    assert line_of({"proxyDirection": "INBOUND"}) == ""
