"""Round-trip times: values of the table, the model elsewhere, nothing below light."""

from itertools import combinations

import pytest

from labkit.errors import InputError
from labkit.rtt import REGIONS, all_pairs, default_jitter_ms, great_circle_km, model_ms, rtt


def test_the_tutorial_s_pair_is_from_the_table():
    found = rtt("sfo3", "syd1")
    assert (found.value_ms, found.source, found.confidence) == (145.9, "table", "medium")
    assert found.floor_ms == pytest.approx(119.5, abs=0.1)
    assert found.uncertainty == 0.2
    assert "Azure P95 2026-07 141" in found.provenance


def test_the_order_of_the_regions_does_not_matter():
    assert rtt("fra1", "ams3") == rtt("ams3", "fra1")
    assert rtt("ams3", "fra1").value_ms == 10.9


def test_regions_of_one_city_share_its_rows():
    assert rtt("nyc1", "lon1").value_ms == rtt("nyc3", "lon1").value_ms == 75.8
    assert rtt("sfo2", "syd1") == rtt("sfo3", "syd1")


def test_a_pair_outside_the_table_gets_the_model():
    found = rtt("nyc1", "nyc3")
    assert (found.value_ms, found.source, found.uncertainty) == (5.0, "model", 0.3)


def test_an_override_wins_and_says_so():
    found = rtt("sfo3", "syd1", override_ms=18.4)
    assert (found.value_ms, found.source, found.confidence) == (18.4, "override", "given")
    assert found.below_floor
    assert found.low_ms == found.high_ms == 18.4


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_an_impossible_override_is_refused(value):
    with pytest.raises(InputError, match="not possible"):
        rtt("sfo3", "syd1", override_ms=value)


def test_an_unknown_region_is_refused():
    with pytest.raises(InputError, match="mars1"):
        rtt("sfo3", "mars1")


def test_every_pair_has_a_figure_above_the_light_floor():
    pairs = all_pairs()
    assert len(pairs) == len(REGIONS) * (len(REGIONS) - 1) // 2
    for found in pairs.values():
        assert found.value_ms >= found.floor_ms
        assert found.floor_ms <= found.low_ms <= found.value_ms <= found.high_ms


def test_the_distances_are_those_of_the_table():
    assert great_circle_km("sfo3", "syd1") == pytest.approx(11_948, abs=5)
    assert great_circle_km("nyc1", "lon1") == pytest.approx(5_570, abs=5)


def test_the_model_s_mean_error_on_the_table_is_below_ten_per_cent():
    metros = {region.metro: slug for slug, region in REGIONS.items()}
    errors = []
    for a, b in combinations(metros.values(), 2):
        table = rtt(a, b)
        assert table.source == "table"
        errors.append(abs(model_ms(a, b) - table.value_ms) / table.value_ms)
    assert sum(errors) / len(errors) < 0.10
    assert max(errors) < 0.31


def test_jitter_is_a_small_share_of_the_round_trip():
    assert default_jitter_ms(145.9) == pytest.approx(0.4377)
