"""What buckets say of quantiles: the table of the published trap, computed again."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.latency.histogram import (
    LINKERD_BOUNDS_MS,
    Bracket,
    Histogram,
    artefacts,
    is_interpolation,
)

STAT_OUTBOUND_MS = (50, 500, 1_000, 10_000, math.inf)
LATENCIES = st.lists(st.floats(0.001, 60_000), min_size=1, max_size=200)


def path(base_ms, n=2_000):
    """A path with the small right-tailed extra of proxies and service."""
    return list(base_ms + np.random.default_rng(7).gamma(2.0, 0.5, n))


@pytest.mark.parametrize(
    ("base_ms", "expected"),
    [
        (76, (75, 97.5, 99.5)),
        (110, (150, 195, 199)),
        (145, (150, 195, 199)),
        (275, (250, 295, 299)),
    ],
)
def test_interpolation_invents_the_same_figures_for_every_path_of_a_bucket(base_ms, expected):
    histogram = Histogram.from_samples(path(base_ms))
    found = [histogram.interpolated(q) for q in (0.5, 0.95, 0.99)]
    assert found == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize("base_ms", [76, 145, 275])
def test_the_coarser_route_metrics_make_all_oceans_equal(base_ms):
    histogram = Histogram.from_samples(path(base_ms), STAT_OUTBOUND_MS)
    found = [histogram.interpolated(q) for q in (0.5, 0.95, 0.99)]
    assert found == pytest.approx((275, 477.5, 495.5))


def test_a_quantile_from_buckets_is_a_bracket():
    bracket = Histogram.from_samples(path(145)).bracket(0.5)
    assert (bracket.low_ms, bracket.high_ms) == (100, 200)
    assert str(bracket) == "p50 in (100, 200] ms"


def test_quantiles_in_one_bucket_are_called_an_artefact():
    (found,) = artefacts(Histogram.from_samples(path(145)))
    assert "one bucket (100, 200] ms" in found
    assert "150 / 195 / 199" in found


def test_quantiles_in_several_buckets_are_not_called_an_artefact():
    assert artefacts(Histogram.from_samples([1.5] * 60 + [7.0] * 36 + [45.0] * 4)) == []


def test_a_shown_figure_that_equals_the_interpolation_is_called_an_artefact():
    histogram = Histogram.from_samples([1.5] * 40 + [145.0] * 60)
    found = artefacts(histogram, shown={0.95: 195.0, 0.99: 148.0})
    assert [text for text in found if "p95 = 195 ms equals" in text]
    assert not [text for text in found if "p99" in text and "equals" in text]


def test_figures_far_from_the_interpolation_are_not():
    assert is_interpolation(199.0, Bracket(0.99, 100, 200))
    assert not is_interpolation(154.6, Bracket(0.99, 100, 200))
    assert not is_interpolation(50_000, Bracket(0.99, 50_000, math.inf))


def test_the_last_bucket_has_no_upper_end():
    histogram = Histogram.from_samples([70_000.0] * 10)
    assert str(histogram.bracket(0.5)) == "p50 in (50000, ∞] ms"
    assert histogram.interpolated(0.5) == 50_000


def test_without_requests_nothing_is_said():
    empty = Histogram.of({})
    assert empty.bracket(0.5) is None
    assert empty.interpolated(0.5) is None
    assert artefacts(empty) == []
    assert Histogram.of({1.0: 0.0, math.inf: 0.0}).bracket(0.99) is None


def test_dips_of_the_counters_are_levelled():
    assert Histogram.of({1.0: 5.0, 2.0: 4.0, math.inf: 6.0}).cumulative == (5.0, 5.0, 6.0)


def test_the_bounds_are_linkerd_s():
    assert len(LINKERD_BOUNDS_MS) == 26
    assert LINKERD_BOUNDS_MS[10:13] == (100, 200, 300)


@given(LATENCIES, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_bracket_always_holds_the_sample_quantile(samples, q):
    bracket = Histogram.from_samples(samples).bracket(q)
    true = np.quantile(samples, q, method="inverted_cdf")
    assert bracket.low_ms < true <= bracket.high_ms


@given(LATENCIES, st.sampled_from([0.5, 0.95, 0.99]))
def test_the_interpolated_figure_never_leaves_its_bracket(samples, q):
    histogram = Histogram.from_samples(samples)
    bracket = histogram.bracket(q)
    assert bracket.low_ms <= histogram.interpolated(q) <= bracket.high_ms
