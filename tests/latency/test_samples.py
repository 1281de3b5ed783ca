"""The two tables: typed, written, read back."""

import math

import pandas as pd
import pytest

from labkit.errors import InputError
from labkit.latency import samples

TAP = {
    "time": 1_780_000_000.123456,
    "source_cluster": "west",
    "source_region": "sfo3",
    "destination_cluster": "east",
    "destination_region": "syd1",
    "vantage": "vote-bot outbound",
    "method": "GET",
    "path": "/api/vote",
    "status": 500,
    "latency_us": 147_123,
    "tls": True,
    "server_id": "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local",
}
SERIES = {
    "time": 1_780_000_010.0,
    "cluster": "west",
    "metric": "response_latency_ms_bucket",
    "deployment": "vote-bot",
    "series": "vote-bot-1",
    "direction": "outbound",
    "dst_target_cluster": "east",
    "classification": "success",
    "le": "+Inf",
    "value": 42.0,
}


def test_tapped_requests_come_back_as_written(tmp_path):
    rows = [TAP, TAP | {"status": None, "latency_us": None, "tls": False, "server_id": ""}]
    frame = samples.tap_frame(rows)
    file = samples.write_frame(frame, tmp_path / "tap.csv.gz")
    pd.testing.assert_frame_equal(samples.read_tap(file), frame)


def test_series_come_back_as_written(tmp_path):
    rows = [SERIES, SERIES | {"metric": "response_latency_ms_sum", "le": "", "value": 0.1 + 0.2}]
    frame = samples.series_frame(rows)
    file = samples.write_frame(frame, tmp_path / "viz.csv.gz")
    pd.testing.assert_frame_equal(samples.read_series(file), frame)


@pytest.mark.parametrize("make", [samples.tap_frame, samples.series_frame])
def test_an_empty_measurement_has_the_columns_too(make, tmp_path):
    frame = make([])
    assert frame.empty
    read = samples.read_tap if make is samples.tap_frame else samples.read_series
    file = samples.write_frame(frame, tmp_path / "empty.csv.gz")
    pd.testing.assert_frame_equal(read(file), frame)


def test_equal_tables_make_equal_files(tmp_path):
    frame = samples.tap_frame([TAP])
    one = samples.write_frame(frame, tmp_path / "one.csv.gz")
    two = samples.write_frame(frame, tmp_path / "two.csv.gz")
    assert one.read_bytes() == two.read_bytes()


def test_words_that_look_missing_stay_words(tmp_path):
    frame = samples.tap_frame([TAP | {"path": "NA", "method": "null"}])
    back = samples.read_tap(samples.write_frame(frame, tmp_path / "t.csv.gz"))
    assert (back["path"][0], back["method"][0]) == ("NA", "null")


def test_requests_without_a_response_have_no_latency():
    frame = samples.tap_frame([TAP, TAP | {"latency_us": None}])
    assert samples.latencies_ms(frame).to_list() == [147.123]


def test_a_window_has_both_its_ends():
    frame = samples.series_frame([SERIES | {"time": float(t)} for t in range(5)])
    assert samples.within(frame, 1, 3)["time"].to_list() == [1.0, 2.0, 3.0]


def test_a_missing_column_is_named():
    row = {key: value for key, value in TAP.items() if key != "latency_us"}
    with pytest.raises(InputError, match="columns are missing: latency_us"):
        samples.tap_frame([row])


def test_a_value_of_the_wrong_type_is_refused():
    with pytest.raises(InputError, match="column's type"):
        samples.tap_frame([TAP | {"latency_us": "fast"}])


def rows(metric, value, **labels):
    return SERIES | {"metric": metric, "value": value, "le": ""} | labels


def test_counters_of_one_vantage_point_are_selected():
    frame = samples.series_frame(
        [
            rows("response_total", 1.0),
            rows("response_total", 2.0, classification="failure"),
            rows("response_latency_ms_sum", 3.0),
            rows("response_latency_ms_count", 4.0),
            rows("response_latency_ms_bucket", 5.0, le="200"),
            rows("response_latency_ms_bucket", 6.0, le="+Inf"),
            rows("request_total", 7.0),
            rows("response_total", 8.0, dst_target_cluster=""),
            rows("response_total", 9.0, cluster="east"),
            rows("response_total", 10.0, deployment="web"),
            rows("response_total", 11.0, direction="inbound"),
        ]
    )
    found = samples.counters(
        frame, cluster="west", deployment="vote-bot", direction="outbound", target_cluster="east"
    )
    assert list(zip(found["kind"], found["value"], strict=True)) == [
        ("success", 1.0),
        ("failure", 2.0),
        ("sum", 3.0),
        ("count", 4.0),
        ("bucket", 5.0),
        ("bucket", 6.0),
    ]
    assert found["le_ms"].to_list()[4:] == [200.0, math.inf]


def test_counters_of_mirrored_and_other_calls_can_be_taken_together_or_apart():
    frame = samples.series_frame(
        [rows("response_total", 1.0), rows("response_total", 2.0, dst_target_cluster="")]
    )
    where = {"cluster": "west", "deployment": "vote-bot", "direction": "outbound"}
    assert samples.counters(frame, **where)["value"].to_list() == [1.0, 2.0]
    assert samples.counters(frame, **where, target_cluster="")["value"].to_list() == [2.0]


def test_no_series_make_no_counters():
    where = {"cluster": "west", "deployment": "vote-bot", "direction": "outbound"}
    assert samples.counters(samples.series_frame([]), **where).empty


def test_a_file_that_is_none_of_ours_is_refused(tmp_path):
    file = tmp_path / "x.csv.gz"
    file.write_bytes(b"not gzip")
    with pytest.raises(InputError, match=r"x\.csv\.gz"):
        samples.read_tap(file)
    with pytest.raises(InputError, match="missing"):
        samples.read_tap(tmp_path / "missing.csv.gz")
