"""Statistics with known answers."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.latency import statistics
from labkit.latency.samples import COUNTER_COLUMNS
from labkit.latency.statistics import Mean, quantile

NORMAL95 = 1.959964
COUNTERS = st.lists(st.floats(0, 1e9), min_size=1, max_size=30)


def counters(*, values, kind, series="a", le_ms=math.nan, start=0.0, step=10.0):
    return [
        {
            "time_s": start + step * number,
            "series": series,
            "kind": kind,
            "le_ms": le_ms,
            "value": value,
        }
        for number, value in enumerate(values)
    ]


def counter_frame(rows):
    return pd.DataFrame(rows, columns=list(COUNTER_COLUMNS)).astype(dict(COUNTER_COLUMNS))


def test_a_quantile_has_its_order_statistic_interval():
    found = quantile(range(1, 101), 0.5)
    assert str(found) == "p50 = 50.5 ms [40.7, 60.3] (n=100)"


@pytest.mark.parametrize(("q", "needed"), [(0.5, 20), (0.9, 100), (0.95, 200), (0.99, 1_000)])
def test_a_quantile_needs_ten_samples_beyond_it(q, needed):
    assert statistics.needed_for(q) == needed


def test_too_few_samples_are_said_and_not_shown():
    found = quantile([146.0] * 300, 0.99)
    assert str(found) == "p99: not enough samples (n=300, needs 1000)"
    assert found.as_dict() | {"n": 300} == found.as_dict()
    assert found.as_dict()["value"] is None


def test_a_quantile_is_plain_json():
    text = json.dumps(quantile(np.arange(1_000.0), 0.99).as_dict(), allow_nan=False)
    assert json.loads(text)["value"] == pytest.approx(989.01)


def test_an_end_that_the_samples_cannot_bound_is_nan():
    found = quantile([1.0, 2.0, 3.0], 0.99)
    assert math.isnan(found.high_ms)
    assert not found.enough


def test_no_samples_make_no_quantile():
    found = quantile([], 0.5)
    assert (found.n, found.enough) == (0, False)
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("q", [0.0, 1.0, -0.1, 1.1])
def test_a_quantile_outside_zero_and_one_is_refused(q):
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile([1.0], q)


@pytest.mark.parametrize(("q", "n"), [(0.5, 60), (0.95, 400), (0.99, 1_500)])
def test_the_interval_covers_the_truth_in_at_least_95_per_cent(q, n):
    random = np.random.default_rng(11)
    truth = 100 + 2.0 * -math.log(1 - q)  # quantile of a shifted exponential
    experiments = 400
    hits = 0
    for _ in range(experiments):
        found = quantile(100 + random.exponential(2.0, n), q)
        hits += found.low_ms <= truth <= found.high_ms
    assert 0.93 <= hits / experiments <= 0.99


@given(st.lists(st.floats(0, 1e6), min_size=20, max_size=300), st.sampled_from([0.5, 0.9]))
def test_the_interval_holds_the_sample_quantile(samples, q):
    found = quantile(samples, q)
    assert not found.low_ms > found.value_ms + 1e-6
    assert not found.high_ms < found.value_ms - 1e-6


def test_an_increase_survives_a_restart_of_the_counter():
    assert statistics.increase([10, 15, 2, 4]) == 9.0
    assert statistics.increase([7]) == 0.0


@given(COUNTERS)
def test_an_increase_is_never_negative(values):
    assert statistics.increase(values) >= 0


@given(COUNTERS)
def test_the_increase_of_a_growing_counter_is_its_difference(values):
    grown = sorted(values)
    assert statistics.increase(grown) == pytest.approx(grown[-1] - grown[0], abs=1e-3)


def test_the_mean_of_viz_is_sum_over_count_over_all_proxies():
    frame = counter_frame(
        counters(values=[100, 1_560, 3_020], kind="sum")
        + counters(values=[5, 15, 25], kind="count")
        + counters(values=[0, 300, 600], kind="sum", series="b")
        + counters(values=[0, 2, 4], kind="count", series="b")
    )
    mean = statistics.viz_mean(frame)
    assert mean.n == 24
    assert mean.value_ms == pytest.approx((2_920 + 600) / 24)


def test_the_error_of_the_mean_comes_from_the_scrapes():
    frame = counter_frame(
        counters(values=[0, 100, 210, 300], kind="sum")
        + counters(values=[0, 1, 2, 3], kind="count")
    )
    mean = statistics.viz_mean(frame)
    assert mean.value_ms == 100
    assert mean.error_ms == pytest.approx(math.sqrt((0 + 100 + 100) * 1.5 / 9))


def test_the_error_agrees_with_that_of_the_raw_samples():
    random = np.random.default_rng(3)
    samples = 146 + random.gamma(2.0, 1.0, size=(60, 20))
    sums = np.concatenate([[0], samples.sum(axis=1).cumsum()])
    counts = np.arange(61) * 20
    frame = counter_frame(
        counters(values=list(sums), kind="sum") + counters(values=list(counts), kind="count")
    )
    from_viz = statistics.viz_mean(frame)
    from_samples = statistics.mean_of_samples(samples.ravel())
    assert from_viz.value_ms == pytest.approx(from_samples.value_ms)
    assert from_viz.error_ms == pytest.approx(from_samples.error_ms, rel=0.35)


def test_without_requests_there_is_no_mean():
    frame = counter_frame(
        counters(values=[5, 5], kind="sum") + counters(values=[1, 1], kind="count")
    )
    mean = statistics.viz_mean(frame)
    assert mean.n == 0
    assert math.isnan(mean.value_ms)
    assert statistics.viz_mean(counter_frame([])).n == 0


def test_a_restart_of_a_proxy_does_not_spoil_the_mean():
    frame = counter_frame(
        counters(values=[900, 1_000, 100, 200], kind="sum")
        + counters(values=[9, 10, 1, 2], kind="count")
    )
    mean = statistics.viz_mean(frame)
    assert (mean.value_ms, mean.n) == (100.0, 3)


def test_the_mean_over_time_has_a_point_per_scrape_interval_with_requests():
    frame = counter_frame(
        counters(values=[0, 100, 100, 320], kind="sum")
        + counters(values=[0, 1, 1, 3], kind="count")
    )
    table = statistics.mean_over_time(frame)
    assert table.to_dict("list") == {
        "time_s": [10.0, 30.0],
        "mean_ms": [100.0, 110.0],
        "n": [1.0, 2.0],
    }


def test_traffic_is_requests_per_second_and_success():
    frame = counter_frame(
        counters(values=[0, 92, 184], kind="success") + counters(values=[0, 8, 16], kind="failure")
    )
    table = statistics.traffic_over_time(frame)
    assert table.to_dict("list") == {
        "time_s": [10.0, 20.0],
        "rps": [10.0, 10.0],
        "success_rate": [0.92, 0.92],
    }


def test_points_closer_than_the_scrapes_make_no_saw():
    stairs = [0, 0, 100, 100, 200, 200, 300, 300]
    frame = counter_frame(
        counters(values=stairs, kind="success", step=5.0)
        + counters(values=[value * 0 for value in stairs], kind="failure", step=5.0)
    )
    assert statistics.traffic_over_time(frame)["rps"].to_list() == [10.0, 10.0, 10.0]


def test_the_histogram_of_a_window_is_the_increase_of_its_buckets():
    frame = counter_frame(
        counters(values=[5, 5], kind="bucket", le_ms=100)
        + counters(values=[6, 26], kind="bucket", le_ms=200)
        + counters(values=[6, 26], kind="bucket", le_ms=math.inf)
    )
    histogram = statistics.viz_histogram(frame)
    assert histogram.cumulative == (0.0, 20.0, 20.0)
    assert (histogram.bracket(0.5).low_ms, histogram.bracket(0.5).high_ms) == (100, 200)


def test_the_wan_share_is_what_is_not_spent_at_the_target():
    share = statistics.wan_share(Mean(150.0, 0.5, 100), Mean(3.0, 0.3, 100))
    assert share.value == pytest.approx(0.98)
    error = math.hypot(0.3 / 150, 0.02 * 0.5 / 150)
    assert share.high - share.low == pytest.approx(2 * NORMAL95 * error)


def test_the_interval_of_the_wan_share_covers_the_truth():
    random = np.random.default_rng(5)
    hits = 0
    for _ in range(300):
        target = statistics.mean_of_samples(random.gamma(4.0, 0.5, 100))
        source = statistics.mean_of_samples(8 + random.gamma(4.0, 0.5, 100))
        share = statistics.wan_share(source, target)
        hits += share.low <= 0.8 <= share.high
    assert 0.92 <= hits / 300 <= 0.98


def test_a_share_with_unknown_errors_has_no_interval():
    share = statistics.wan_share(Mean(150.0, math.nan, 5), Mean(3.0, 0.1, 5))
    assert share.value == pytest.approx(0.98)


def test_the_tutorial_s_figure_is_below_the_light_floor():
    figures = {"tutorial's tap": 18.381, "measured mean": 147.9}
    (found,) = statistics.floor_warning(figures, 119.5)
    assert "18.4 ms is below the light floor of 119.5 ms" in found


def test_means_of_samples_are_those_of_numpy():
    mean = statistics.mean_of_samples([1.0, 2.0, 3.0])
    assert (mean.value_ms, mean.n) == (2.0, 3)
    assert mean.error_ms == pytest.approx(1 / math.sqrt(3))
    assert math.isnan(statistics.mean_of_samples([1.0]).error_ms)
    assert isinstance(pd.Series([mean.value_ms]).iloc[0], float)
