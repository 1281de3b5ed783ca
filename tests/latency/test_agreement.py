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


def test_a_share_that_varies_as_much_as_the_latencies_is_no_agreement(rng, inner):
    found = agreement(inner + 0.4 + rng.exponential(10, N), inner)
    assert not found.agree["p95"]
    assert not found.agree["p99"]


def test_what_is_not_known_of_the_share_is_not_known_of_the_rest(rng, inner):
    outer = inner + rng.choice([0.3, 0.7], N)  # its median lies anywhere between the two
    found = agreement(outer, inner)
    share, plain = found.share, quantile(outer, 0.5)
    assert (share.low_ms, share.high_ms) == pytest.approx((0.3, 0.7))
    assert found.outer["p50"].value_ms == pytest.approx(plain.value_ms - share.value_ms)
    assert found.outer["p50"].low_ms == pytest.approx(plain.low_ms - 0.7)
    assert found.outer["p50"].high_ms == pytest.approx(plain.high_ms - 0.3)


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
