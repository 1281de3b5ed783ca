"""The two tables: typed, written once, read back lazily from one run or many."""

import math

import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from labkit.errors import InputError
from labkit.latency.dataset import open_samples, write
from labkit.latency.schema import REQUESTS, SERIES, TABLES

PLACE = {
    "run": "one",
    "repetition": 1,
    "instrument": "tap",
    "time_s": 1_780_000_000.123456,
    "warmup": False,
    "vantage": "vote-bot outbound (west)",
    "source_cluster": "west",
    "source_region": "sfo3",
    "destination_cluster": "east",
    "destination_region": "syd1",
    "service": "web-svc-east.emojivoto",
    "rtt_ms": 145.9,
    "rtt_source": "table",
}
REQUEST = PLACE | {
    "method": "GET",
    "path": "/api/vote",
    "status": 500,
    "outcome": "response",
    "latency_us": 147_123,
    "late_us": None,
    "duration_us": None,
    "number": None,
    "connection": "",
    "tls": True,
    "server_id": "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local",
}
READING = PLACE | {
    "instrument": "viz",
    "metric": "response_latency_ms_bucket",
    "deployment": "vote-bot",
    "direction": "outbound",
    "dst_target_cluster": "east",
    "classification": "success",
    "series": "pod=vote-bot-1",
    "le_ms": math.inf,
    "value": 42.0,
}
ROW = {REQUESTS.name: REQUEST, SERIES.name: READING}
table = pytest.mark.parametrize("schema", TABLES, ids=lambda schema: schema.name)


def runs(folder, schema, *names):
    for name in names:
        write([ROW[schema.name] | {"run": name}], folder / name, schema)


@table
def test_rows_come_back_as_written(schema, tmp_path):
    row = ROW[schema.name]
    write([row], tmp_path, schema)
    back = open_samples(tmp_path, schema=schema).read()
    assert list(back.columns) == schema.names
    for name, value in row.items():
        found = back[name][0]
        assert pd.isna(found) if value is None else found == value, name


@table
def test_dtypes_are_those_of_the_documentation_with_and_without_rows(schema, tmp_path):
    documented = {column.name: column.dtype for column in schema.columns}
    for rows in ([ROW[schema.name]], []):
        write(rows, tmp_path, schema)
        frame = open_samples(tmp_path, schema=schema).read()
        assert {name: str(kind) for name, kind in frame.dtypes.items()} == documented


def test_what_is_missing_stays_missing(tmp_path):
    gone = {"status": None, "latency_us": None, "tls": None, "server_id": None}
    write([REQUEST, REQUEST | gone], tmp_path, REQUESTS)
    back = open_samples(tmp_path, schema=REQUESTS).read(
        ["status", "latency_us", "tls", "server_id"]
    )
    assert back.isna().iloc[1].to_list() == [True, True, True, False]
    assert back["server_id"][1] == ""
    assert back["latency_us"][0] == 147_123


def test_words_that_look_missing_stay_words(tmp_path):
    write([REQUEST | {"path": "NA", "method": "null"}], tmp_path, REQUESTS)
    back = open_samples(tmp_path, schema=REQUESTS).read()
    assert (back["path"][0], back["method"][0]) == ("NA", "null")


def test_a_frame_that_was_read_can_be_written_again(tmp_path):
    write([REQUEST, REQUEST | {"status": None}], tmp_path / "a", REQUESTS)
    frame = open_samples(tmp_path / "a", schema=REQUESTS).read()
    write(frame, tmp_path / "b", REQUESTS)
    pd.testing.assert_frame_equal(open_samples(tmp_path / "b", schema=REQUESTS).read(), frame)


def test_equal_tables_make_equal_files(tmp_path):
    one, two = (write([REQUEST], tmp_path / name, REQUESTS) for name in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_no_partial_file_is_left_behind(tmp_path):
    write([REQUEST], tmp_path, REQUESTS)
    with pytest.raises(InputError):
        write([REQUEST | {"latency_us": "fast"}], tmp_path, REQUESTS)
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["requests.parquet"]


@table
def test_one_run_many_runs_and_a_glob_are_read(schema, tmp_path):
    runs(tmp_path, schema, "1-sfo3-syd1", "2-ams3-fra1", "3-sfo3-syd1")
    (tmp_path / "4-failed-early").mkdir()
    one = tmp_path / "1-sfo3-syd1"
    for sources, n in (
        ([one], 1),
        ([one / schema.file], 1),
        ([one, tmp_path / "2-ams3-fra1"], 2),
        ([one, one], 1),
        ([tmp_path], 3),
        ([f"{tmp_path}/*-syd1"], 2),
    ):
        found = open_samples(*sources, schema=schema)
        assert found.n == n == len(found.read())
    assert open_samples(tmp_path, schema=schema).read(["run"])["run"].nunique() == 3


def test_only_the_columns_and_rows_asked_for_are_read(tmp_path):
    write([REQUEST, REQUEST | {"warmup": True, "latency_us": 1}], tmp_path, REQUESTS)
    counted = open_samples(tmp_path, schema=REQUESTS).read(
        ["latency_us"], where=~ds.field("warmup")
    )
    assert counted.to_dict("list") == {"latency_us": [147_123]}


def test_a_missing_column_is_named(tmp_path):
    row = {key: value for key, value in REQUEST.items() if key not in ("latency_us", "run")}
    with pytest.raises(InputError, match="columns are missing: run, latency_us"):
        write([row], tmp_path, REQUESTS)


@pytest.mark.parametrize("wrong", [{"latency_us": "fast"}, {"latency_us": 1.5}, {"status": 40_000}])
def test_a_value_of_the_wrong_type_is_refused(wrong, tmp_path):
    with pytest.raises(InputError, match="column's type"):
        write([REQUEST | wrong], tmp_path, REQUESTS)


def test_a_value_that_must_be_there_is_asked_for(tmp_path):
    with pytest.raises(InputError, match="missing in time_s"):
        write([REQUEST | {"time_s": None}], tmp_path, REQUESTS)


def test_an_unknown_column_is_refused_with_those_that_exist(tmp_path):
    write([REQUEST], tmp_path, REQUESTS)
    with pytest.raises(InputError, match=r"no column latency_ms[\s\S]*latency_us"):
        open_samples(tmp_path, schema=REQUESTS).read(["latency_ms"])


def test_every_bad_source_is_named_at_once(tmp_path):
    runs(tmp_path, REQUESTS, "good", "cut")
    cut = tmp_path / "cut" / REQUESTS.file
    cut.write_bytes(cut.read_bytes()[:-20])
    foreign = tmp_path / "foreign.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(foreign)
    empty = tmp_path / "empty"
    empty.mkdir()
    series = write([READING], tmp_path / "series", SERIES)
    with pytest.raises(InputError) as caught:
        open_samples(
            tmp_path, foreign, empty, series, tmp_path / "none", f"{tmp_path}/x*", schema=REQUESTS
        )
    text = str(caught.value)
    for part in (
        f"{cut}: cut off or not Parquet",
        f"{foreign}: is not of labkit, not labkit.requests/1",
        f"{empty}: no {REQUESTS.file} there",
        f"{series}: is labkit.series/1, not labkit.requests/1",
        f"{tmp_path / 'none'}: does not exist",
        f"{tmp_path}/x*: no {REQUESTS.file} there",
    ):
        assert part in text


def test_nothing_named_is_an_error():
    with pytest.raises(InputError, match="no run was named"):
        open_samples(schema=REQUESTS)


def test_damage_inside_a_file_is_named_when_it_is_read(tmp_path):
    runs(tmp_path, REQUESTS, "good", "damaged")
    rows = [REQUEST | {"latency_us": 17 * n * n, "time_s": n / 7} for n in range(5000)]
    file = write(rows, tmp_path / "damaged", REQUESTS)
    start = pq.read_metadata(file).row_group(0).column(REQUESTS.names.index("latency_us"))
    content = bytearray(file.read_bytes())
    at = start.data_page_offset
    content[at : at + 400] = b"\xff" * 400
    file.write_bytes(content)
    found = open_samples(tmp_path, schema=REQUESTS)
    with pytest.raises(InputError) as caught:
        found.read(["latency_us"])
    assert str(file) in str(caught.value)
    assert "good" not in str(caught.value)
