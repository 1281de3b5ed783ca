"""What statistics take out of the tables."""

import math

import pytest

from labkit.latency import samples
from labkit.latency.dataset import open_samples, write
from labkit.latency.schema import REQUESTS, SERIES
from tests.latency.test_dataset import READING, REQUEST

HERE = READING["vantage"]


def reading(metric, value, **more):
    return READING | {"metric": metric, "value": value, "le_ms": None} | more


@pytest.fixture
def table(tmp_path):
    def make(rows, schema=SERIES):
        write(rows, tmp_path, schema)
        return open_samples(tmp_path, schema=schema).read()

    return make


def test_requests_without_a_response_have_no_latency(table):
    frame = table([REQUEST, REQUEST | {"latency_us": None}], REQUESTS)
    assert samples.latencies_ms(frame).tolist() == [147.123]


def test_counters_of_one_vantage_point_are_selected(table):
    frame = table(
        [
            reading("response_total", 1.0),
            reading("response_total", 2.0, classification="failure"),
            reading("response_latency_ms_sum", 3.0),
            reading("response_latency_ms_count", 4.0),
            reading("response_latency_ms_bucket", 5.0, le_ms=200.0),
            reading("response_latency_ms_bucket", 6.0, le_ms=math.inf),
            reading("request_total", 7.0),
            reading("response_total", 8.0, vantage="web inbound (east)"),
        ]
    )
    found = samples.counters(frame, vantage=HERE)
    assert list(zip(found["kind"], found["value"], strict=True)) == [
        ("success", 1.0),
        ("failure", 2.0),
        ("sum", 3.0),
        ("count", 4.0),
        ("bucket", 5.0),
        ("bucket", 6.0),
    ]
    assert found["le_ms"].to_list()[4:] == [200.0, math.inf]


def test_counters_of_different_proxies_buckets_and_runs_are_told_apart(table):
    bucket = reading("response_latency_ms_bucket", 1.0, le_ms=100.0)
    frame = table(
        [
            bucket,
            bucket | {"time_s": bucket["time_s"] + 10},
            bucket | {"le_ms": 200.0},
            bucket | {"series": "pod=vote-bot-2"},
            bucket | {"run": "two"},
            bucket | {"repetition": 2},
        ]
    )
    found = samples.counters(frame, vantage=HERE)["series"].to_list()
    assert found[0] == found[1]
    assert len(set(found)) == 5


def test_no_series_make_no_counters(table):
    assert samples.counters(table([]), vantage=HERE).empty
