"""The intervals hold what they promise; the full table is `python -m benchmarks intervals`."""

import numpy as np
import pytest

from labkit.latency import comparing, statistics

EXPERIMENTS, N = 400, 300
# Of 400 experiments with 95 % coverage, 366 to 393 inside are to be expected (one in 10,000 apart).
FEWEST, MOST = 0.915, 0.985

LAWS = {
    "normal": (lambda rng: rng.normal(150, 5, N), 150.0, 150.0),
    "heavy tail": (lambda rng: 100 + 10 * rng.pareto(4, N), 100 + 10 / 3, 100 + 10 * (2**0.25 - 1)),
    "two ways": (
        lambda rng: np.where(rng.random(N) < 0.75, rng.uniform(90, 110, N), rng.normal(180, 6, N)),
        0.75 * 100 + 0.25 * 180,
        90 + 20 * (0.5 / 0.75),
    ),
}
law = pytest.mark.parametrize("name", LAWS)


def share(hits):
    return sum(hits) / EXPERIMENTS


@law
def test_the_interval_of_a_median_has_the_truth_in_19_of_20_experiments(name):
    draw, _, median = LAWS[name]
    rng = np.random.default_rng(5)
    found = (statistics.quantile(draw(rng), 0.5) for _ in range(EXPERIMENTS))
    assert FEWEST <= share(one.low_ms <= median <= one.high_ms for one in found) <= MOST


@law
def test_the_interval_of_a_mean_has_the_truth_in_19_of_20_experiments(name):
    draw, mean, _ = LAWS[name]
    rng = np.random.default_rng(6)
    found = (statistics.mean_of_samples(draw(rng)) for _ in range(EXPERIMENTS))
    assert FEWEST <= share(one.low_ms <= mean <= one.high_ms for one in found) <= MOST


def test_the_interval_of_a_p95_has_the_truth_in_19_of_20_experiments():
    rng = np.random.default_rng(7)
    found = (statistics.quantile(rng.exponential(10, N), 0.95) for _ in range(EXPERIMENTS))
    truth = 10 * np.log(20)
    assert FEWEST <= share(one.low_ms <= truth <= one.high_ms for one in found) <= MOST


@pytest.mark.parametrize("figure", ["mean", "p50", "p95"])
def test_the_interval_of_a_difference_has_the_truth_in_19_of_20_experiments(figure):
    rng = np.random.default_rng(8)
    found = (
        comparing.difference(
            rng.exponential(10, N), 3 + rng.exponential(10, 2 * N), figure=figure, seed=None
        )
        for _ in range(EXPERIMENTS)
    )
    assert FEWEST <= share(one.low_ms <= 3 <= one.high_ms for one in found) <= MOST
