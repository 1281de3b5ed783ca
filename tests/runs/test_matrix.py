"""Round trips side by side: table, model, and what run folders hold."""

import csv
import io
import json

import pytest

from labkit.errors import InputError
from labkit.rtt import REGIONS, rtt
from labkit.runs.matrix import matrix
from labkit.runs.reading import find_runs, read_run


def keep(folder, name, *, pair=("sfo3", "syd1"), mean=150.0, n=100, source="table", wan=None):
    """A run folder with the figures that a matrix reads."""
    run = folder / name
    run.mkdir(parents=True)
    summary = {
        "regions": {"west": pair[0], "east": pair[1]},
        "rtt_ms": {"value": 145.9, "source": source, "floor": 119.5},
        "viz": {"west_east_mean_ms": mean, "in_region_mean_ms": 5.0, "n": n},
        "wan_share": {"value": (mean - 5) / mean, "low": 0.95, "high": 0.98},
    }
    (run / "summary.json").write_text(json.dumps(summary))
    (run / "measurement.json").write_text(json.dumps({"wan": wan}))
    return read_run(run)


def only(found):
    (entry,) = found.entries
    return entry


def test_every_pair_of_regions_has_a_model_and_most_a_table():
    found = matrix(list(REGIONS))
    assert len(found.entries) == 55
    assert all(entry.model_ms > entry.floor_ms for entry in found.entries)
    same_city = [e for e in found.entries if {e.a, e.b} in ({"nyc1", "nyc3"}, {"sfo2", "sfo3"})]
    assert [entry.table for entry in found.entries if entry in same_city] == [None, None]
    assert sum(entry.table is None for entry in found.entries) == 2


def test_the_table_s_figure_is_the_one_that_labs_use():
    entry = only(matrix(["sfo3", "syd1"]))
    assert entry.table == rtt("sfo3", "syd1")
    assert entry.model_ms == pytest.approx(184.2, abs=0.1)


def test_runs_of_a_pair_are_averaged_by_their_requests_in_both_directions(tmp_path):
    runs = [
        keep(tmp_path, "one", mean=150, n=100),
        keep(tmp_path, "two", mean=160, n=300, pair=("syd1", "sfo3")),
        keep(tmp_path, "elsewhere", pair=("ams3", "fra1")),
    ]
    (measured,) = only(matrix(["sfo3", "syd1"], runs)).measured
    assert measured.value_ms == pytest.approx((145 * 100 + 155 * 300) / 400)
    assert (measured.n, measured.runs, measured.emulated) == (400, ("one", "two"), False)
    assert (measured.low_ms, measured.high_ms) == (pytest.approx(142.5), pytest.approx(156.8))


def test_emulated_and_real_networks_are_told_apart(tmp_path):
    runs = [keep(tmp_path, "real"), keep(tmp_path, "emulated", wan={"rtt_ms": 145.9})]
    found = matrix(["sfo3", "syd1"], runs)
    assert [one.emulated for one in only(found).measured] == [False, True]
    assert "; ~145.0 [142.5, 147.0]" in str(found)
    assert "on an emulated network" in str(found)


def test_a_run_with_a_given_round_trip_is_left_out_and_named(tmp_path):
    found = matrix(["sfo3", "syd1"], [keep(tmp_path, "what-if", source="override")])
    assert only(found).measured == ()
    assert found.given == ("what-if",)
    assert "1 runs with a given round trip are left out" in str(found)


def test_a_run_without_figures_adds_nothing(tmp_path):
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / "summary.json").write_text('{"viz": null}')
    assert only(matrix(["sfo3", "syd1"], [read_run(tmp_path / "failed")])).measured == ()


def test_json_and_csv_hold_the_same_with_provenance(tmp_path):
    found = matrix(["ams3", "fra1", "syd1"], [keep(tmp_path, "one", pair=("ams3", "syd1"))])
    pairs = found.to_json()["pairs"]
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [(p["a"], p["b"]) for p in pairs] == [(r["a"], r["b"]) for r in rows]
    assert all(p["table"]["provenance"].startswith("table: median of") for p in pairs)
    (measured,) = (row for row in rows if row["measured_n"])
    assert (measured["a"], measured["b"], float(measured["measured_value_ms"])) == (
        "ams3",
        "syd1",
        145,
    )
    assert json.loads(measured["measured_runs"]) == ["one"]
    assert any("CC BY 4.0" in line for line in found.to_json()["attribution"])


def test_the_text_fits_a_terminal(tmp_path):
    runs = [keep(tmp_path, "real"), keep(tmp_path, "emulated", wan={"rtt_ms": 145.9})]
    assert max(map(len, str(matrix(list(REGIONS), runs)).splitlines())) <= 120


def test_attempts_of_a_sweep_that_did_not_finish_are_no_runs(tmp_path):
    (tmp_path / "plan.json").write_text('{"schema": "labkit.sweep/1"}')
    keep(tmp_path / "runs", "whole")
    keep(tmp_path / "unfinished" / "sfo3-syd1-r1-1", "part")
    assert [path.name for path in find_runs([tmp_path])] == ["whole"]


def test_an_unknown_region_and_a_lonely_one_are_messages(home):
    with pytest.raises(InputError, match="Unknown region `mars1`"):
        matrix(["sfo3", "mars1"])
    done = home.run("latency", "matrix", "--regions", "sfo3")
    assert (done.returncode, "needs two regions" in done.stderr) == (2, True)
    done = home.run("latency", "matrix", "nowhere")
    assert (done.returncode, "does not exist" in done.stderr) == (2, True)
    done = home.run("latency", "matrix", "--regions", "sfo3,syd1")
    assert (done.returncode, "145.9 ±20%" in done.stdout) == (0, True)
