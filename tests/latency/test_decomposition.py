import math

import pytest

from labkit.latency.decomposition import Way, decompose
from labkit.latency.statistics import Mean

TABLE = Way(145.9, 131.3, 160.5, "table")
SOURCE, GATEWAY, SERVED = Mean(148.4, 0.1, 10), Mean(1.9, 0.1, 10), Mean(1.2, 0.05, 10)


def test_the_parts_of_the_time_add_up_to_the_source_s_mean():
    parts = decompose(source=SOURCE, gateway=GATEWAY, served=SERVED, way=TABLE)
    assert sum(part.value_ms for part in parts) == pytest.approx(148.4)
    assert [part.source for part in parts] == ["viz", "viz, difference", "table", "what is left"]


def test_without_the_service_s_own_figure_it_is_one_part_with_the_gateway_s_hop():
    parts = decompose(source=SOURCE, gateway=GATEWAY, served=None, way=TABLE)
    assert parts[0].name == "behind the gateway"
    assert sum(part.value_ms for part in parts) == pytest.approx(148.4)


def test_the_uncertainty_of_a_difference_is_that_of_both_in_squares():
    hop = decompose(source=SOURCE, gateway=GATEWAY, served=SERVED, way=TABLE)[1]
    assert hop.high_ms - hop.value_ms == pytest.approx(1.96 * math.hypot(0.1, 0.05), rel=1e-3)


def test_the_rest_carries_the_uncertainty_of_the_round_trip():
    rest = decompose(source=SOURCE, gateway=GATEWAY, served=SERVED, way=TABLE)[-1]
    assert rest.low_ms < rest.value_ms - 14
    assert rest.high_ms > rest.value_ms + 14


def test_a_round_trip_larger_than_what_was_measured_leaves_a_negative_rest():
    parts = decompose(source=Mean(140.0, 0.1, 9), gateway=GATEWAY, served=None, way=TABLE)
    assert parts[-1].value_ms == pytest.approx(-7.8)


def test_a_figure_that_is_not_known_makes_no_part():
    nothing = Mean(math.nan, math.nan, 0)
    parts = decompose(source=nothing, gateway=nothing, served=None, way=TABLE)
    assert [part.name for part in parts] == ["WAN round trip"]


def test_without_standard_errors_there_is_a_part_without_interval():
    part = decompose(source=SOURCE, gateway=Mean(1.9, math.nan, 2), served=None, way=TABLE)[0]
    assert str(part) == "1.9 ms"
