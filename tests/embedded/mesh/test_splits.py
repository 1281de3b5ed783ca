"""HTTPRoutes of a service: shares by weight, carried out by Envoy."""

import asyncio
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from labkit.embedded.mesh.splits import rules_by_parent


def route(name="split", created="2026-01-01T00:00:00Z", *, parent="web-svc", **rule):
    return {
        "apiVersion": "policy.linkerd.io/v1beta3",
        "metadata": {"namespace": "emojivoto", "name": name, "creationTimestamp": created},
        "spec": {"parentRefs": [{"kind": "Service", "name": parent, "port": 80}], "rules": [rule]},
    }


def backend(name, weight=1):
    return {"name": name, "port": 80, "weight": weight}


def test_the_oldest_route_wins():
    old = route("a", backendRefs=[backend("one")])
    new = route("b", "2026-02-01T00:00:00Z", backendRefs=[backend("two")])
    ((rule,),) = rules_by_parent([new, old]).values()
    assert rule.backends == (("emojivoto/one/80", 1),)
    assert rule.labels["route_name"] == "a"


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ({}, {"prefix": "/"}),
        ({"path": {"type": "Exact", "value": "/a"}}, {"path": "/a"}),
        ({"path": {"type": "PathPrefix", "value": "/a/"}}, {"path_separated_prefix": "/a"}),
        (
            {"headers": [{"name": "x", "value": "y"}], "method": "GET"},
            {
                "prefix": "/",
                "headers": [
                    {"name": "x", "string_match": {"exact": "y"}},
                    {"name": ":method", "string_match": {"exact": "GET"}},
                ],
            },
        ),
    ],
)
def test_a_match_is_said_to_envoy(match, said):
    ((rule,),) = rules_by_parent([route(matches=[match], backendRefs=[backend("one")])]).values()
    assert rule.matches == (said,)


def by_backend(text):
    return {
        sample.labels["backend_name"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "outbound_http_route_backend_requests_total"
        and sample.labels["parent_name"] == "web-svc"
        and sample.labels["route_name"] == "split"
    }


async def test_requests_are_shared_out_by_weight_and_counted_by_backend(
    make_cluster, start_app, mesh
):
    west = await make_cluster("west")
    blue = west.add_pod("blue", app={8080: await start_app()}, account="blue")
    green = west.add_pod("green", app={8080: await start_app()}, account="green")
    bot = west.add_pod("vote-bot")
    west.add_service("web-svc", blue, 80, 8080)
    west.add_service("web-green", green, 80, 8080)
    await west.publish()
    await asyncio.gather(*(west.run(pod) for pod in (blue, green, bot)))

    async def ask(n, path="/"):
        return [(await mesh.fetch(bot, f"http://web-svc{path}")) for _ in range(n)]

    west.http_routes = [route(backendRefs=[backend("web-svc", 30), backend("web-green", 70)])]
    await west.publish()

    async def split():
        await ask(1)
        return len(by_backend(await mesh.metrics_of(bot))) == 2

    await mesh.until(split)
    answers = await ask(200)
    assert {status for status, _, _ in answers} == {200}
    assert {json.loads(text)["host"] for _, text, _ in answers} == {"web-svc"}

    async def counted():
        return sum(by_backend(await mesh.metrics_of(bot)).values()) >= 200

    await mesh.until(counted)
    shares = by_backend(await mesh.metrics_of(bot))
    share = shares["web-green"] / sum(shares.values())
    assert 0.5 < share < 0.9, shares  # 200 draws at 0.7: five standard deviations are 0.16

    west.http_routes = [route(backendRefs=[backend("web-svc", 0), backend("gone", 1)])]
    await west.publish()
    await mesh.until(lambda: _fails(ask(1), 504))
    west.http_routes = [route(backendRefs=[backend("web-svc", 0)])]
    await west.publish()
    await mesh.until(lambda: _fails(ask(1), 500))
    exact = {"path": {"type": "Exact", "value": "/only"}}
    west.http_routes = [route(matches=[exact], backendRefs=[backend("web-green")])]
    await west.publish()
    await mesh.until(lambda: _fails(ask(1), 404))
    assert (await ask(1, "/only"))[0][0] == 200
    west.http_routes = []
    await west.publish()
    await mesh.until(lambda: _fails(ask(1), 200))


async def _fails(answers, code):
    return [status for status, _, _ in await answers] == [code]
