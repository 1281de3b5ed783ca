"""Queries through port-forward to a pod that answers as Prometheus does."""

from asyncio import to_thread

import pytest

from labkit.clients.prometheus import Prometheus
from labkit.errors import KubernetesError, LabkitError


def vector(*values: str):
    result = [
        {"metric": {"__name__": "up", "pod": f"web-{i}"}, "value": [1700000000.5, value]}
        for i, value in enumerate(values)
    ]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


@pytest.fixture
def asked() -> list[dict[str, str]]:
    return []


@pytest.fixture
async def prometheus(west, kubelet, answering, asked):
    from aiohttp import web

    def query(request):
        asked.append(dict(request.query))
        expression = request.query["query"]
        if expression == "bad(":
            body = {
                "status": "error",
                "errorType": "bad_data",
                "error": "unclosed left parenthesis",
            }
            return web.json_response(body, status=400)
        return vector(*expression.split())

    matrix = {"metric": {"le": "1"}, "values": [[10, "1"], [20, "+Inf"]]}
    data = {"resultType": "matrix", "result": [matrix]}
    names = [{"__name__": "up", "pod": "web-0"}]
    app = answering(
        api__v1__query=query,
        api__v1__query_range={"status": "success", "data": data},
        api__v1__series={"status": "success", "data": names},
    )
    await kubelet.deployment("linkerd-viz", "prometheus", {9090: app})
    with Prometheus(west) as client:
        yield client


async def test_an_instant_query_yields_samples_without_the_metric_name(prometheus, asked):
    samples = await to_thread(prometheus.query, "1.5 NaN", at=12.0)
    assert [dict(sample.labels) for sample in samples] == [{"pod": "web-0"}, {"pod": "web-1"}]
    assert (samples[0].value, samples[0].time_s) == (1.5, 1700000000.5)
    assert asked == [{"query": "1.5 NaN", "time": "12.000"}]


@pytest.mark.parametrize(("expression", "value"), [("2.5", 2.5), ("NaN", None), ("", None)])
async def test_a_single_value_is_a_number_or_none(prometheus, expression, value):
    assert await to_thread(prometheus.value, expression) == value


async def test_several_series_are_no_single_value(prometheus):
    with pytest.raises(KubernetesError, match="yields 2 series"):
        await to_thread(prometheus.value, "1 2")


async def test_a_range_query_yields_points_in_order(prometheus):
    (series,) = await to_thread(prometheus.query_range, "x", start=10, end=20, step_s=10)
    assert series.points == ((10.0, 1.0), (20.0, float("inf")))
    assert dict(series.labels) == {"le": "1"}


async def test_series_keep_their_names(prometheus):
    (labels,) = await to_thread(prometheus.series, "up", start=0, end=1)
    assert labels["__name__"] == "up"


async def test_a_refused_expression_is_told_in_prometheus_words(prometheus):
    with pytest.raises(KubernetesError) as caught:
        await to_thread(prometheus.query, "bad(")
    assert (caught.value.status, caught.value.reason) == (400, "bad_data")
    assert "unclosed left parenthesis" in str(caught.value)


async def test_a_connection_that_has_ended_is_opened_again(prometheus, kubelet):
    assert await to_thread(prometheus.value, "1") == 1
    prometheus._connection.stream.close()
    assert await to_thread(prometheus.value, "2") == 2


async def test_without_viz_the_error_says_what_is_missing(west):
    with Prometheus(west) as client, pytest.raises(LabkitError, match="linkerd-viz/prometheus"):
        await to_thread(client.query, "up")
