"""The prometheus container: a pod's metrics, scraped and answered over HTTP."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from labkit.embedded.kube import KubeClient, path_of
from labkit.embedded.mesh.viz import prometheus
from labkit.embedded.mesh.viz.prometheus_api import format_value
from labkit.embedded.serving import served

CONFIG = "global:\n  scrape_interval: 200ms\n"
Start = Callable[[Any, int], Awaitable[str]]


@pytest.fixture
async def proxy() -> AsyncIterator[str]:
    """A proxy's admin port: ten requests between two scrapes."""
    count = 0

    async def metrics(_request: web.Request) -> web.Response:
        nonlocal count
        count += 10
        return web.Response(text=f'response_total{{classification="success"}} {count}\n')

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    async with served(app, ["127.0.0.1:0"]) as (socket,):
        yield socket


@pytest.fixture
async def api(container: Any, kube: KubeClient, proxy: str, start: Start, helpers: type) -> str:
    """Base URL of a Prometheus with one target."""
    file = container.root / prometheus.CONFIGURATION
    file.parent.mkdir(parents=True)
    file.write_text(CONFIG)
    await helpers.create_pod(kube, helpers.make_pod(sockets={"4191": proxy}))
    return await start(prometheus.run, prometheus.PORT)


async def ask(session: aiohttp.ClientSession, url: str, **query: str) -> Any:
    async with session.get(url, params=query) as response:
        return (await response.json())["data"]


async def test_increase_and_rate_are_answered_over_scraped_data(
    api: str, session: aiohttp.ClientSession, helpers: type
) -> None:
    query = 'sum by (deployment) (increase(response_total{classification="success"}[1m]))'

    async def answered() -> Any:
        return (await ask(session, f"{api}/api/v1/query", query=query))["result"]

    (sample,) = await helpers.until(answered)
    assert sample["metric"] == {"deployment": "web"}
    assert float(sample["value"][1]) > 0
    rates = await ask(session, f"{api}/api/v1/query", query="rate(response_total[30s])")
    assert float(rates["result"][0]["value"][1]) > 0


async def test_a_range_query_may_be_posted(
    api: str, session: aiohttp.ClientSession, helpers: type
) -> None:
    now = time.time()
    form = {"query": "up", "start": str(now), "end": str(now + 2), "step": "1"}

    async def answered() -> Any:
        async with session.post(f"{api}/api/v1/query_range", data=form) as response:
            return (await response.json())["data"]["result"]

    (series,) = await helpers.until(answered)
    assert series["metric"]["pod"] == "web-1"


async def test_targets_show_virtual_address_and_health(
    api: str, session: aiohttp.ClientSession, helpers: type
) -> None:
    async def healthy() -> Any:
        targets = (await ask(session, f"{api}/api/v1/targets"))["activeTargets"]
        return targets if targets and targets[0]["health"] == "up" else None

    (target,) = await helpers.until(healthy)
    assert target["labels"]["instance"] == "10.244.0.5:4191"
    assert target["scrapePool"] == "linkerd-proxy"


async def test_a_deleted_pod_is_no_target_and_its_series_end(
    api: str, kube: KubeClient, session: aiohttp.ClientSession, helpers: type
) -> None:
    async def values() -> Any:
        return (await ask(session, f"{api}/api/v1/query", query="response_total"))["result"]

    await helpers.until(values)
    path = path_of("v1", "pods", "emojivoto", "web-1")
    await kube.delete(path, {"gracePeriodSeconds": 0})

    async def gone() -> bool:
        return not await values()

    await helpers.until(gone)


async def test_readiness_and_build_information_are_served(
    api: str, session: aiohttp.ClientSession
) -> None:
    for path in ("/-/ready", "/-/healthy"):
        async with session.get(api + path) as response:
            assert response.status == 200
    assert (await ask(session, f"{api}/api/v1/status/buildinfo"))["version"] == "2.55.1"


async def test_without_the_mounted_file_the_config_map_is_read(
    container: Any, kube: KubeClient
) -> None:
    body = {"metadata": {"name": "prometheus-config"}, "data": {"prometheus.yml": CONFIG}}
    await kube.create(path_of("v1", "configmaps", "linkerd-viz"), body)
    configuration = prometheus.Configuration(container.root / prometheus.CONFIGURATION)
    assert configuration.interval_s() == 10
    await configuration.load(kube, "linkerd-viz")
    assert configuration.interval_s() == 0.2


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("max_over_time(rate(up[1m])[5m:1m])", "subqueries"),
        ("predict_linear(up[1m], 5)", "predict_linear() is not supported"),
        ('count_values("x", up)', "count_values is not supported"),
        ("up{", "parse error"),
        ("a atan2 b", "atan2 is not supported"),
        ('label_replace(up, "a", "b", "c", "d")', "not supported"),
        ('up{x=~"("}', "parse error"),
    ],
)
async def test_what_is_not_supported_is_a_clear_400(
    golden_api: str, session: aiohttp.ClientSession, query: str, said: str
) -> None:
    async with session.get(f"{golden_api}/api/v1/query", params={"query": query}) as response:
        body = await response.json()
        assert response.status == 400
    assert body["status"] == "error"
    assert body["errorType"] == "bad_data"
    assert said in body["error"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1"),
        (0.1, "0.1"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers_are_printed_as_prometheus_prints_them(number: float, text: str) -> None:
    assert format_value(number) == text
