"""Two runs: a difference with its interval and a test."""

import math

import numpy as np
import pytest

from labkit.latency import comparing
from labkit.latency.statistics import Mean


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.mark.parametrize("figure", ["mean", "p50", "p95", "p99"])
def test_a_shift_is_found_with_its_size_and_sign(rng, figure):
    a, b = rng.lognormal(0, 0.5, 3_000) + 100, rng.lognormal(0, 0.5, 3_000) + 110
    found = comparing.difference(a, b, figure=figure)
    assert found.low_ms < 10 < found.high_ms
    assert found.low_ms < found.difference_ms < found.high_ms
    assert found.clear
    assert found.p_value < 0.005
    assert comparing.difference(b, a, figure=figure, seed=None).high_ms < 0


@pytest.mark.parametrize("figure", ["mean", "p50", "p95"])
def test_what_is_equal_is_not_told_apart(rng, figure):
    a, b = rng.normal(100, 5, 1_000), rng.normal(100, 5, 400)
    found = comparing.difference(a, b, figure=figure)
    assert not found.clear
    assert found.p_value > 0.05


def test_the_interval_of_a_difference_of_means_is_near_welch_s(rng):
    a, b = rng.normal(100, 5, 200), rng.normal(101, 9, 300)
    found = comparing.difference(a, b, figure="mean", seed=None)
    from scipy import stats

    welch = stats.ttest_ind(b, a, equal_var=False).confidence_interval()
    assert (found.low_ms, found.high_ms) == pytest.approx((welch.low, welch.high), abs=0.02)


def test_too_few_samples_on_one_side_are_said(rng):
    found = comparing.difference(rng.normal(size=5_000), rng.normal(size=300), figure="p99")
    assert str(found) == "p99: not enough samples (n=300, needs 1000)"
    assert math.isnan(found.difference_ms)
    assert not found.clear


def test_a_test_with_the_same_seed_gives_the_same_answer(rng):
    a, b = rng.normal(100, 5, 100), rng.normal(101, 5, 100)
    assert comparing.difference(a, b, seed=3) == comparing.difference(a, b, seed=3)


def test_means_without_samples_are_compared_without_a_test():
    a, b = Mean(100.0, 3.0, 50), Mean(110.0, 4.0, 60)
    found = comparing.difference_of_means(a, b, figure="viz mean")
    assert found.high_ms - found.difference_ms == pytest.approx(1.959964 * 5)
    assert str(found) == "viz mean: +10.0 ms [+0.2, +19.8] (n=50 / 60)"
    missing = comparing.difference_of_means(a, Mean(math.nan, math.nan, 0), figure="viz mean")
    assert missing.note == "not measured"


def test_the_table_is_that_of_the_forest_plot(rng):
    from labkit.latency.charts import Caption, comparison

    frame = comparing.differences(rng.normal(100, 5, 250), rng.normal(104, 5, 250), source="tap")
    assert frame["figure"].to_list() == ["mean", "p50", "p95", "p99"]
    assert frame["note"].to_list() == ["", "", "", "not enough samples (n=250, needs 1000)"]
    chart = comparison.forest(
        frame, title="x", caption=Caption(source="tap", vantage="x", n=500), names=("a", "b")
    )
    assert chart.axes


def test_an_unknown_figure_is_refused(rng):
    with pytest.raises(ValueError, match="`mean` or a quantile"):
        comparing.difference([1.0], [2.0], figure="best")
