"""The load generator's figures beside those of its proxy, and what the program warns of."""

import numpy as np
import pandas as pd
import pytest

from labkit.chapters import load_figures
from labkit.latency.histogram import Histogram

N = 1_200


@pytest.fixture
def sidecar():
    """What tap saw of each request at the generator's proxy."""
    durations = 150_000 + np.random.default_rng(3).gamma(2.0, 1_000.0, N).astype("int64")
    return pd.DataFrame({"number": np.arange(N), "duration_us": durations})


def plan(sidecar, *, added_us):
    """The generator's rows of the same requests."""
    return pd.DataFrame(
        {
            "number": sidecar["number"],
            "latency_us": sidecar["duration_us"] + added_us,
            "late_us": 100,
            "outcome": "response",
            "connection": "kept",
        }
    )


def figures(rows, sidecar):
    buckets = Histogram.from_samples([15.0] * 90 + [25.0] * 10)
    return load_figures.compute(rows, sidecar, rate_per_s=60, buckets=buckets)


def test_both_places_and_the_generators_own_share_are_told(sidecar):
    found = figures(plan(sidecar, added_us=400), sidecar)
    assert found["sidecar"]["client_p50_ms"]["value"] == pytest.approx(0.4)
    assert found["p50_ms"]["value"] == pytest.approx(
        found["sidecar"]["p50_ms"]["value"] + 0.4, abs=0.01
    )
    assert found["sidecar"]["agree"] == {"p50": True, "p95": True, "p99": True}
    assert load_figures.warnings(found) == []
    vantages = {row[0]: row[4] for row in load_figures.rows(found)}
    assert vantages["p50 west → east"] == load_figures.SIDECAR, "each line names its place"
    assert vantages["mean west → east"] == load_figures.VANTAGE


def test_viz_buckets_are_those_of_the_generators_own_requests(sidecar):
    found = figures(plan(sidecar, added_us=400), sidecar)
    assert found["viz"] == {
        "n": 100,
        "vantage": load_figures.SIDECAR,
        "brackets_ms": {"p50": [10.0, 20.0], "p95": [20.0, 30.0], "p99": [20.0, 30.0]},
    }
    told = [row[1:] for row in load_figures.rows(found) if row[3] == "viz bucket"]
    assert told[0] == ("(10, 20]", 100, "viz bucket", load_figures.SIDECAR)


def test_a_generator_with_a_large_share_of_its_own_is_warned_of(sidecar):
    added = np.random.default_rng(4).exponential(20_000, N).astype("int64")
    (warning,) = load_figures.warnings(figures(plan(sidecar, added_us=added), sidecar))
    assert "own share exceeds 6" in warning


def test_a_generator_whose_share_grows_with_the_latency_is_warned_of(sidecar):
    added = (sidecar["duration_us"] - 150_000).to_numpy()
    (warning,) = load_figures.warnings(figures(plan(sidecar, added_us=added), sidecar))
    assert "p95 and p99 of the client" in warning


def test_requests_that_were_longer_inside_than_outside_are_warned_of(sidecar):
    added = np.full(N, 400)
    added[:2] = -1_000
    (warning,) = load_figures.warnings(figures(plan(sidecar, added_us=added), sidecar))
    assert "2 of 1200 requests took longer at the proxy" in warning


def test_a_sidecar_that_was_not_tapped_is_warned_of(sidecar):
    found = figures(plan(sidecar, added_us=400), sidecar.iloc[:0])
    assert found["sidecar"]["n"] == 0
    (warning,) = load_figures.warnings(found)
    assert "its own share is not known" in warning
    assert all(row[3] != "tap" for row in load_figures.rows(found))


def test_without_a_load_there_are_no_figures(sidecar):
    nothing = sidecar.iloc[:0]
    assert figures(nothing, nothing) is None
    assert (load_figures.warnings(None), load_figures.rows(None)) == ([], [])
