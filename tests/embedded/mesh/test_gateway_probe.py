"""The gateway probe and its metrics."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from labkit.embedded.mesh.gateway_probe import LATENCY_BOUNDS_MS, GatewayMetrics, GatewayProbe
from labkit.embedded.mesh.mirror_link import ProbeSpec
from labkit.embedded.serving import served

SPEC = ProbeSpec(period_s=0.02, timeout_s=0.2, failure_threshold=3)


@dataclass
class Probed:
    """A gateway with a switch, and what the probe reported."""

    metrics: GatewayMetrics = field(default_factory=lambda: GatewayMetrics("east"))
    changes: list[bool] = field(default_factory=list)
    status: int = 200
    hang: bool = False
    requests: int = 0

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)


@pytest.fixture
async def probed() -> AsyncIterator[Probed]:
    state = Probed()

    async def ready(_request: web.Request) -> web.Response:
        state.requests += 1
        if state.hang:
            await asyncio.sleep(1)
        return web.Response(status=state.status)

    app = web.Application()
    app.router.add_get("/ready", ready)
    async with served(app, ["127.0.0.1:0"]) as (socket,):
        probe = GatewayProbe(
            "http://probe-east.linkerd-multicluster:4191/ready",
            egress=socket,
            spec=SPEC,
            metrics=state.metrics,
            on_change=state.changes.append,
        )
        task = asyncio.create_task(probe.run())
        yield state
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_an_answering_gateway_is_alive_and_measured(probed: Probed) -> None:
    await probed.until(lambda: probed.metrics.succeeded >= 3)
    assert probed.metrics.alive
    assert probed.changes == []
    assert 'gateway_probes{probe_successful="false"' not in probed.metrics.text()


async def test_death_is_told_after_three_failures_and_life_after_one_success(
    probed: Probed,
) -> None:
    await probed.until(lambda: probed.metrics.alive)
    probed.status = 503
    begin = probed.requests
    await probed.until(lambda: probed.changes == [False])
    assert probed.requests - begin >= SPEC.failure_threshold
    assert not probed.metrics.alive
    probed.status = 200
    await probed.until(lambda: probed.changes == [False, True])
    assert probed.metrics.alive


async def test_a_gateway_that_never_answered_is_dead_but_not_reported(probed: Probed) -> None:
    probed.status = 503
    fresh = GatewayMetrics("east")
    assert not fresh.alive
    await probed.until(lambda: probed.metrics.failed >= 1)
    if probed.metrics.succeeded == 0:
        assert probed.changes == []


async def test_a_silent_gateway_fails_by_timeout(probed: Probed) -> None:
    await probed.until(lambda: probed.metrics.alive)
    probed.hang = True
    await probed.until(lambda: probed.changes == [False])


def test_metrics_have_linkerds_names_and_bounds() -> None:
    metrics = GatewayMetrics("east", enabled=True, alive=True)
    for latency in (1, 146, 146, 60_000):
        metrics.observe(latency)
    metrics.failed = 2
    # Without the types: the parser renames counters that do not end in _total.
    plain = "\n".join(line for line in metrics.text().splitlines() if line[0] != "#") + "\n"
    found = {
        (sample.name, sample.labels.get("le"), sample.labels.get("probe_successful")): sample.value
        for family in text_string_to_metric_families(plain)
        for sample in family.samples
    }
    assert found["gateway_alive", None, None] == 1
    assert found["gateway_enabled", None, None] == 1
    assert found["gateway_latency", None, None] == 60_000
    assert found["gateway_probe_latency_ms_bucket", "1", None] == 1
    assert found["gateway_probe_latency_ms_bucket", "100", None] == 1
    assert found["gateway_probe_latency_ms_bucket", "200", None] == 3
    assert found["gateway_probe_latency_ms_bucket", "50000", None] == 3
    assert found["gateway_probe_latency_ms_bucket", "+Inf", None] == 4
    assert found["gateway_probe_latency_ms_sum", None, None] == 60_293
    assert found["gateway_probe_latency_ms_count", None, None] == 4
    assert found["gateway_probes", None, "true"] == 4
    assert found["gateway_probes", None, "false"] == 2
    assert len(LATENCY_BOUNDS_MS) == 25
