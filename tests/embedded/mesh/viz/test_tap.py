"""The tap container: pods' streams merged, filtered and labelled."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from labkit.embedded.kube import KubeClient
from labkit.embedded.mesh.viz import tap
from labkit.embedded.mesh.viz.resources import Resource
from labkit.embedded.mesh.viz.tap_filter import TapFilter, TapMatch, hydrate
from labkit.embedded.serving import served

Start = Callable[[Any, int], Awaitable[str]]


def request_events(stream: int, path: str = "/api/list", **more: Any) -> list[dict[str, Any]]:
    """The three events of an outbound request to the gateway."""
    number = {"base": 0, "stream": stream}
    common = {
        "source": {"ip": "10.244.0.5", "port": 4000, "metadata": {}},
        "destination": {
            "ip": "198.51.100.7",
            "port": 4143,
            "metadata": {"tls": "true", "service": "web-svc-east", "namespace": "emojivoto"},
        },
        "routeMeta": None,
        "proxyDirection": "OUTBOUND",
        **more,
    }
    init = {"id": number, "method": "GET", "scheme": "http", "authority": "web", "path": path}
    answer = {"id": number, "sinceRequestInit": {"nanos": 5}, "httpStatus": 200}
    return [
        {**common, "requestInitEvent": init},
        {**common, "responseInitEvent": answer},
        {**common, "responseEndEvent": {"id": number, "responseBytes": 2}},
    ]


@dataclass
class ProxyTap:
    """A proxy's tap listener; events put into the queue are streamed."""

    socket: str = ""
    queue: asyncio.Queue[list[dict[str, Any]]] = field(default_factory=asyncio.Queue)
    listeners: int = 0


@pytest.fixture
async def proxy() -> AsyncIterator[ProxyTap]:
    state = ProxyTap()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        state.listeners += 1
        while request.transport is not None and not request.transport.is_closing():
            try:
                events = await asyncio.wait_for(state.queue.get(), 0.05)
            except TimeoutError:
                continue
            text = "".join(json.dumps(event) + "\n" for event in events)
            await response.write(text.encode())
        state.listeners -= 1
        return response

    app = web.Application()
    app.router.add_get("/tap", stream)
    async with served(app, ["127.0.0.1:0"]) as (socket,):
        state.socket = socket
        yield state


@pytest.fixture
async def api(
    kube: KubeClient, container: Any, proxy: ProxyTap, start: Start, helpers: type
) -> str:
    pod = helpers.make_pod("vote-bot-1", deployment="vote-bot", sockets={"4190": proxy.socket})
    await helpers.create_pod(kube, pod)
    plain = helpers.make_pod("old-1", deployment="old", ip="10.244.0.6", tappable=False)
    await helpers.create_pod(kube, plain)
    return await start(tap.run, tap.PORT)


async def read(
    session: aiohttp.ClientSession, api: str, proxy: ProxyTap, count: int, **query: str
) -> list[dict[str, Any]]:
    """Start a tap, let the proxy report five requests, and read some lines."""
    parameters = {"namespace": "emojivoto", "resource": "deploy/vote-bot", **query}
    async with session.get(f"{api}/tap", params=parameters) as response:
        assert response.status == 200
        async with asyncio.timeout(5):
            while not proxy.listeners:
                await asyncio.sleep(0.01)
            for stream in range(5):
                path = "/api/vote?choice=:joy:" if stream == 3 else "/api/list"
                await proxy.queue.put(request_events(stream, path))
            return [json.loads(await response.content.readline()) for _ in range(count)]


async def test_events_are_streamed_as_json_lines(
    api: str, proxy: ProxyTap, session: aiohttp.ClientSession
) -> None:
    events = await read(session, api, proxy, 15)
    assert events[0]["requestInitEvent"]["path"] == "/api/list"
    assert events[0]["destination"]["metadata"]["tls"] == "true"
    assert [next(k for k in e if k.endswith("Event")) for e in events[:3]] == [
        "requestInitEvent",
        "responseInitEvent",
        "responseEndEvent",
    ]


async def test_metadata_of_pods_is_added_by_address(
    api: str, proxy: ProxyTap, session: aiohttp.ClientSession
) -> None:
    (event,) = await read(session, api, proxy, 1)
    metadata = event["source"]["metadata"]
    assert metadata["deployment"] == "vote-bot"
    assert metadata["pod"] == "vote-bot-1"
    assert metadata["namespace"] == "emojivoto"


async def test_a_path_filter_keeps_all_events_of_the_matching_request(
    api: str, proxy: ProxyTap, session: aiohttp.ClientSession
) -> None:
    events = await read(session, api, proxy, 3, path="/api/vote")
    assert events[0]["requestInitEvent"]["path"] == "/api/vote?choice=:joy:"
    assert events[1]["responseInitEvent"]["id"]["stream"] == 3
    assert events[2]["responseEndEvent"]["id"]["stream"] == 3


async def test_the_proxys_stream_ends_with_the_client(
    api: str, proxy: ProxyTap, session: aiohttp.ClientSession, helpers: type
) -> None:
    await read(session, api, proxy, 3)

    async def left() -> bool:
        return proxy.listeners == 0

    await helpers.until(left)


async def test_a_pod_older_than_viz_is_named_with_the_way_out(
    api: str, session: aiohttp.ClientSession
) -> None:
    query = {"namespace": "emojivoto", "resource": "deploy/old"}
    async with session.get(f"{api}/tap", params=query) as response:
        assert response.status == 404
        text = (await response.json())["error"]
    assert "tap not enabled" in text
    assert "old-1" in text
    assert "restart" in text


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"resource": "deploy/nobody"}, 404, "no pods found for deployment/nobody"),
        ({"resource": "widget/x"}, 400, "widget"),
        ({"resource": "deploy/vote-bot", "max_rps": "-1"}, 400, "max_rps"),
        ({"resource": "deploy/vote-bot", "to": "gadget/x"}, 400, "gadget"),
    ],
)
async def test_bad_requests_are_refused_with_a_reason(
    api: str, session: aiohttp.ClientSession, query: dict[str, str], status: int, said: str
) -> None:
    async with session.get(f"{api}/tap", params={"namespace": "emojivoto", **query}) as response:
        assert response.status == status
        assert said in (await response.json())["error"]


def admitted(match: TapMatch, *events: dict[str, Any], rate: float = 100) -> list[bool]:
    tap_filter = TapFilter(match, rate_limit=rate, clock=lambda: 5.0)
    return [tap_filter.admits(event) for event in events]


def test_the_rate_limit_counts_requests_and_keeps_them_whole() -> None:
    events = [event for stream in range(4) for event in request_events(stream)]
    assert admitted(TapMatch(), *events, rate=2) == [True] * 6 + [False] * 6


def test_a_destination_filter_wants_outbound_requests_to_it() -> None:
    to = TapMatch(to=Resource("service", "web-svc-east"), to_namespace="emojivoto")
    (first, *_) = request_events(1)
    inbound = {**first, "proxyDirection": "INBOUND"}
    elsewhere = request_events(1, destination={"ip": "1.2.3.4", "port": 1, "metadata": {}})[0]
    assert admitted(to, first, inbound, elsewhere) == [True, False, False]
    assert admitted(TapMatch(to=Resource("namespace", "emojivoto")), first) == [True]


def test_method_scheme_and_authority_are_compared() -> None:
    (first, *_) = request_events(1)
    assert admitted(TapMatch(method="get", scheme="HTTP", authority="web"), first) == [True]
    assert admitted(TapMatch(method="POST"), first) == [False]
    assert admitted(TapMatch(authority="other"), first) == [False]


def test_what_the_proxy_knew_is_not_overwritten() -> None:
    event = request_events(1)[0]
    hydrate(event, lambda _address: {"namespace": "other", "pod": "p"})
    assert event["destination"]["metadata"]["namespace"] == "emojivoto"
    assert event["destination"]["metadata"]["pod"] == "p"
