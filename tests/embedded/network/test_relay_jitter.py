"""The two laws of jitter are those that are declared."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from labkit.embedded.network.relay_pipes import PARETO_SHAPE, Delay, RouteSpec, RouteStats
from labkit.latency.statistics import quantile

N = 40_000


@dataclass
class Link:
    spec: RouteSpec
    stats: RouteStats = field(default_factory=RouteStats)
    alarms: object = None


def round_trips_ms(**spec):
    link = Link(RouteSpec(id="x", targets=(), rtt_ms=100, jitter_ms=5, **spec))
    up, down = Delay(link, "a", upward=True), Delay(link, "b", upward=False)
    return np.array([(up.seconds(100) + down.seconds(100)) * 1000 for _ in range(N)])


def test_the_normal_law_lies_around_the_round_trip():
    found = round_trips_ms()
    assert found.mean() == pytest.approx(100, abs=0.15)
    assert found.std() == pytest.approx(5, rel=0.03)
    assert np.quantile(found, 0.99) == pytest.approx(100 + 2.326 * 5, abs=0.4)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_the_pareto_law_lies_above_the_round_trip_with_its_declared_quantiles(q):
    found = round_trips_ms(jitter_law="pareto")
    scale = 5 * np.sqrt((PARETO_SHAPE - 1) ** 2 * (PARETO_SHAPE - 2) / PARETO_SHAPE)
    truth = 100 + scale * ((1 - q) ** (-1 / PARETO_SHAPE) - 1)
    assert found.min() >= 100
    assert np.quantile(found, q) == pytest.approx(truth, rel=0.01)


def test_an_unknown_law_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match="normal, pareto"):
        RouteSpec(id="x", targets=(), jitter_law="cauchy")


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_intervals_from_the_heavy_tail_hold_its_quantile_in_18_of_20_runs(q):
    """In real time, over sockets: `python -m benchmarks accuracy`."""
    spec = RouteSpec(id="x", targets=(), rtt_ms=40, jitter_ms=40, jitter_law="pareto")
    scale = 40 * np.sqrt((PARETO_SHAPE - 1) ** 2 * (PARETO_SHAPE - 2) / PARETO_SHAPE)
    truth = 20 + scale * ((1 - q) ** (-1 / PARETO_SHAPE) - 1)  # one way: half of the round trip
    inside = 0
    for run in range(20):
        way = Delay(Link(spec), str(run), upward=True)
        found = quantile([way.seconds(100) * 1000 for _ in range(1_200)], q)
        inside += found.low_ms <= truth <= found.high_ms
    assert inside >= 18
