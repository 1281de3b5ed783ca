"""Two instruments over the same requests: the outer one's share, and whether they agree."""

import numpy as np
import pandas as pd
import pytest

from labkit.latency.agreement import agreement
from labkit.latency.statistics import quantile

N = 2_000


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def inner(rng):
    """Latencies at a proxy, in ms, by the number of the request."""
    return pd.Series(150 + rng.gamma(2.0, 1.0, N), index=np.arange(N))


def test_a_constant_share_is_declared_and_the_rest_agrees(rng, inner):
    found = agreement(inner + 0.4 + rng.uniform(0, 0.05, N), inner)
    assert found.n == N
    assert found.share.low_ms < 0.425 < found.share.high_ms
    assert found.share.high_ms - found.share.low_ms < 0.01
    assert found.negative == 0
    assert found.agree == {"p50": True, "p95": True, "p99": True}


@pytest.mark.parametrize("share", ["skewed", "wide"])
def test_a_share_that_has_nothing_to_do_with_the_latency_is_no_disagreement(rng, share):
    """However it is distributed: the median of the differences alone would not do."""
    inner = pd.Series(150 + rng.normal(0, 0.5, N))
    added = {"skewed": 0.4 + rng.exponential(1.0, N), "wide": rng.uniform(0, 20, N)}[share]
    found = agreement(inner + added, inner)
    assert found.agree == {"p50": True, "p95": True, "p99": True}
    for name, without in found.outer.items():
        assert without.value_ms == pytest.approx(found.inner[name].value_ms, abs=0.8)


def test_a_share_that_grows_with_the_latency_is_no_agreement(inner):
    found = agreement(inner + 0.4 + 0.5 * (inner - 150), inner)
    assert not found.agree["p95"]
    assert not found.agree["p99"]


def test_what_is_not_known_of_the_share_is_not_known_of_the_rest(rng, inner):
    outer = inner + rng.choice([0.3, 0.7], N)  # its median lies anywhere between the two
    found = agreement(outer, inner)
    share, plain, without = found.share, quantile(outer, 0.5), found.outer["p50"]
    assert (share.low_ms, share.high_ms) == pytest.approx((0.3, 0.7))
    width = (plain.high_ms - plain.low_ms) + (share.high_ms - share.low_ms)
    assert without.high_ms - without.low_ms == pytest.approx(width)


def test_what_took_longer_inside_than_outside_is_counted(inner):
    outer = inner + 0.4
    outer.iloc[:3] -= 1.0
    assert agreement(outer, inner).negative == 3


def test_only_requests_that_both_saw_are_compared_whatever_their_order(rng, inner):
    outer = (inner + 0.4).sample(frac=1, random_state=1)
    outer[7] = np.nan  # a time-out
    found = agreement(outer, inner.iloc[:50])
    assert found.n == 49
    assert found.share.value_ms == pytest.approx(0.4)
    assert found.agree == {"p50": True, "p95": None, "p99": None}


def test_no_pairs_are_no_agreement():
    nothing = pd.Series(dtype="float64")
    found = agreement(nothing, nothing)
    assert (found.n, found.negative) == (0, 0)
    assert set(found.agree.values()) == {None}
