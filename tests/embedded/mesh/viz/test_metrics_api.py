"""metrics-api and web over a real Prometheus component, reached through the pod's egress."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from labkit.embedded.kube import KubeClient, path_of
from labkit.embedded.mesh.viz import metrics_api, prometheus
from labkit.embedded.mesh.viz import web as web_component
from labkit.embedded.serving import served

Start = Callable[[Any, int], Awaitable[str]]
BOT = "vote-bot.emojivoto.serviceaccount.identity.linkerd.cluster.local"
WEB = "web.emojivoto.serviceaccount.identity.linkerd.cluster.local"


def web_metrics(step: int) -> str:
    """The proxy of web: nine of ten responses succeed, in 50 ms."""
    labels = f'direction="inbound",tls="true",client_id="{BOT}"'
    return "\n".join(
        [
            f'response_total{{{labels},classification="success"}} {9 * step}',
            f'response_total{{{labels},classification="failure"}} {step}',
            f'response_latency_ms_bucket{{{labels},le="40"}} 0',
            f'response_latency_ms_bucket{{{labels},le="50"}} {10 * step}',
            f'response_latency_ms_bucket{{{labels},le="+Inf"}} {10 * step}',
            f'tcp_open_connections{{{labels},peer="src"}} 3',
            "",
        ]
    )


def bot_metrics(step: int) -> str:
    labels = (
        'direction="outbound",tls="true",dst_namespace="emojivoto",dst_deployment="web",'
        f'dst_service="web-svc",authority="web-svc.emojivoto.svc.cluster.local",server_id="{WEB}"'
    )
    return f'response_total{{{labels},classification="success"}} {5 * step}\n'


def mirror_metrics(_step: int) -> str:
    own = 'target_cluster_name="east"'
    return f"gateway_alive{{{own}}} 1\ngateway_enabled{{{own}}} 1\ngateway_latency{{{own}}} 146\n"


def exposition(text: Callable[[int], str]) -> web.Application:
    step = 0

    async def metrics(_request: web.Request) -> web.Response:
        nonlocal step
        step += 1
        return web.Response(text=text(step))

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    return app


@pytest.fixture
async def sources() -> AsyncIterator[dict[str, str]]:
    """Sockets that serve the metrics above; every scrape sees ten more requests."""
    texts = {"web": web_metrics, "bot": bot_metrics, "mirror": mirror_metrics}
    async with AsyncExitStack() as stack:
        yield {
            name: (await stack.enter_async_context(served(exposition(text), ["127.0.0.1:0"])))[0]
            for name, text in texts.items()
        }


@pytest.fixture
async def api(
    container: Any,
    kube: KubeClient,
    sources: dict[str, str],
    start: Start,
    helpers: type,
) -> str:
    """Base URL of metrics-api; Prometheus has begun to scrape two pods and a service mirror."""
    file = container.root / prometheus.CONFIGURATION
    file.parent.mkdir(parents=True)
    file.write_text("global:\n  scrape_interval: 200ms\n")
    pods = [
        helpers.make_pod(sockets={"4191": sources["web"]}),
        helpers.make_pod(
            "vote-bot-1", deployment="vote-bot", ip="10.244.0.7", sockets={"4191": sources["bot"]}
        ),
        helpers.make_pod("idle-1", deployment="idle", ip="10.244.0.8"),
        helpers.make_pod(
            "controller-1",
            deployment="controller-east",
            namespace="linkerd-viz",
            ip="10.244.0.9",
            app_sockets={"9999": sources["mirror"]},
            labels={"component": "controller"},
        ),
    ]
    pods[0]["spec"]["serviceAccountName"] = "web"
    pods[1]["spec"]["serviceAccountName"] = "vote-bot"
    for name in ("web", "vote-bot"):
        account = {"metadata": {"name": name}}
        await kube.create(path_of("v1", "serviceaccounts", "emojivoto"), account)
    for pod in pods:
        await helpers.create_pod(kube, pod)
    mirrored = {
        "metadata": {
            "name": "web-svc-east",
            "labels": {
                "mirror.linkerd.io/mirrored-service": "true",
                "mirror.linkerd.io/cluster-name": "east",
            },
        },
        "spec": {"ports": [{"name": "http", "port": 80}]},
    }
    await kube.create(path_of("v1", "services", "emojivoto"), mirrored)
    await start(prometheus.run, prometheus.PORT)
    return await start(metrics_api.run, metrics_api.PORT)


async def ask(session: aiohttp.ClientSession, url: str, **query: str) -> Any:
    async with session.get(url, params=query) as response:
        return await response.json()


async def rows_with_traffic(
    session: aiohttp.ClientSession, api: str, helpers: type, **query: str
) -> dict[str, dict[str, Any]]:
    async def rows() -> Any:
        found = await ask(session, f"{api}/api/stat", **query)
        return found if any(row["rps"] for row in found) else None

    return {row["name"]: row for row in await helpers.until(rows)}


async def test_stat_gives_success_rate_and_latency_of_deployments(
    api: str, session: aiohttp.ClientSession, helpers: type
) -> None:
    rows = await rows_with_traffic(session, api, helpers, namespace="emojivoto", resource="deploy")
    assert rows["web"]["success"] == pytest.approx(0.9)
    assert 40 < rows["web"]["latency_ms_p50"] <= 50
    assert rows["web"]["kind"] == "deployment"
    assert (rows["web"]["meshed_pods"], rows["web"]["running_pods"]) == (1, 1)
    assert rows["web"]["tcp_open_connections"] == 3
    assert rows["idle"]["rps"] is None
    assert rows["idle"]["success"] is None


async def test_stat_to_shows_the_clients_view(
    api: str, session: aiohttp.ClientSession, helpers: type
) -> None:
    query = {"namespace": "emojivoto", "resource": "deploy/vote-bot", "to": "svc/web-svc"}
    rows = await rows_with_traffic(session, api, helpers, **query)
    assert rows.keys() == {"vote-bot"}
    assert rows["vote-bot"]["success"] == 1


async def test_stat_of_services_and_from_use_outbound_traffic(
    api: str, session: aiohttp.ClientSession, helpers: type
) -> None:
    rows = await rows_with_traffic(session, api, helpers, namespace="emojivoto", resource="svc")
    assert rows.keys() == {"web-svc"}
    query = {"namespace": "emojivoto", "resource": "deploy", "from": "deploy/vote-bot"}
    assert (await rows_with_traffic(session, api, helpers, **query)).keys() == {"web"}


async def test_edges_name_both_identities(
    api: str, session: aiohttp.ClientSession, helpers: type
) -> None:
    async def edge() -> Any:
        found = await ask(session, f"{api}/api/edges", namespace="emojivoto", resource="deploy")
        return found if found and found[0]["client_id"] else None

    assert await helpers.until(edge) == [
        {
            "src": "vote-bot",
            "src_namespace": "emojivoto",
            "dst": "web",
            "dst_namespace": "emojivoto",
            "client_id": "vote-bot.emojivoto",
            "server_id": "web.emojivoto",
            "no_tls_reason": "",
        }
    ]


async def test_gateways_count_mirrored_services(
    api: str, session: aiohttp.ClientSession, helpers: type
) -> None:
    async def gateways() -> Any:
        return await ask(session, f"{api}/api/gateways")

    assert await helpers.until(gateways) == [
        {"clusterName": "east", "alive": True, "numberOfServices": 1, "latency": 146}
    ]


async def test_the_page_shows_deployments_and_gateways_without_scripts(
    api: str, session: aiohttp.ClientSession, start: Start, helpers: type
) -> None:
    await rows_with_traffic(session, api, helpers)
    page = await start(web_component.run, web_component.PORT)

    async def complete() -> Any:
        async with session.get(page) as response:
            text = await response.text()
            return text if response.status == 200 and "146" in text else None

    text = await helpers.until(complete)
    assert "<td>web</td>" in text
    namespaces = text.partition("<h2>Namespaces</h2>")[2].partition("<h2>Deployments</h2>")[0]
    assert "<td>emojivoto</td><td class=n>" in namespaces
    assert "90.00%" in namespaces
    assert "90.00%" in text
    assert "<script" not in text
    assert "http-equiv" in text
    async with session.get(page, headers={"Host": "evil.example"}) as response:
        assert response.status == 400


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"resource": "widget"}, "widget"),
        ({"window": "5s"}, "at least 15s"),
        ({"window": "soon"}, "soon"),
    ],
)
async def test_bad_requests_are_refused(
    api: str, session: aiohttp.ClientSession, query: dict[str, str], said: str
) -> None:
    async with session.get(f"{api}/api/stat", params=query) as response:
        assert response.status == 400
        assert said in (await response.json())["error"]


async def test_without_prometheus_the_answer_is_503_with_a_reason(
    start: Start, session: aiohttp.ClientSession
) -> None:
    api = await start(metrics_api.run, metrics_api.PORT)
    async with session.get(f"{api}/api/stat") as response:
        assert response.status == 503
        assert "prometheus does not answer" in (await response.json())["error"]
