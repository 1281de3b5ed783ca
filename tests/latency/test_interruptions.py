"""Restarts, vanished and late proxies are told."""

import pytest

from labkit.latency import statistics
from labkit.latency.interruptions import interruptions
from tests.latency.test_statistics import counter_frame, counters

STEADY = counters(values=[0, 5, 10, 15, 20, 25], kind="count", series="a")


def found(*rows):
    return interruptions(counter_frame([*STEADY, *rows]), vantage="x")


def test_steady_counters_say_nothing():
    assert found() == []
    assert found(*counters(values=[3, 3, 3, 3, 3, 3], kind="count", series="b")) == []


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"values": [9, 12, 2, 4, 6, 8]}, "began again from zero"),
        ({"values": [9, 12]}, "vanished before the end"),
        ({"values": [10, 12, 13], "start": 30.0}, "appeared after the beginning"),
    ],
)
def test_an_interruption_is_named_with_its_count(row, word):
    (text,) = found(*counters(kind="count", series="b", **row))
    assert text.startswith("viz at x: 1 of 2 series ")
    assert word in text


def test_one_missed_scrape_is_no_interruption():
    assert found(*counters(values=[1, 2, 3, 4, 5], kind="count", series="b")) == []


def test_a_status_seen_for_the_first_time_is_no_late_proxy():
    assert found(*counters(values=[1, 2, 3], kind="count", series="b", start=30.0)) == []


def test_nothing_counted_says_nothing():
    assert interruptions(counter_frame([]), vantage="x") == []


def test_what_a_vanished_proxy_counted_until_its_last_scrape_is_in_the_mean():
    rows = [
        *counters(values=[0, 10, 20, 30], kind="count", series="a"),
        *counters(values=[0, 1_000, 2_000, 3_000], kind="sum", series="a"),
        *counters(values=[0, 10], kind="count", series="b"),
        *counters(values=[0, 3_000], kind="sum", series="b"),
    ]
    mean = statistics.viz_mean(counter_frame(rows))
    assert (mean.n, mean.value_ms) == (40, pytest.approx(6_000 / 40))
