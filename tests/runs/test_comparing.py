"""Two runs compared: what both measured from the same vantage point, and everything else said."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from labkit.errors import InputError, StateError
from labkit.latency.dataset import open_samples, write
from labkit.latency.schema import REQUESTS
from labkit.runs.comparing import compare_folders
from tests.support.run_folders import make_run


def drawn(seed, *, shift=0.0, count=400):
    return 150 + shift + np.random.default_rng(seed).gamma(2.0, 0.6, count)


@pytest.fixture
def two(tmp_path):
    """Runs of one pair; the second is 3 ms slower."""
    return (
        make_run(tmp_path / "a", drawn(1), drawn=False),
        make_run(tmp_path / "b", drawn(2, shift=3.0), drawn=False),
    )


def rows(comparison):
    table = comparison.differences.set_index(["source", "figure"])
    return {
        figure: table.loc["tap, vote-bot outbound (west)", figure]
        for figure in ("mean", "p50", "p95", "p99")
    }


def change(run, *, values, column):
    """Write the samples of a run anew with another value in a column."""
    table = open_samples(run, schema=REQUESTS).read()
    table[column] = values
    write(table, run, REQUESTS)


def test_a_difference_is_found_with_its_interval_and_test(two):
    found = rows(compare_folders(*two))
    for figure in ("mean", "p50"):
        assert found[figure]["low_ms"] <= 3.0 <= found[figure]["high_ms"]
        assert found[figure]["low_ms"] > 2
        assert found[figure]["p_value"] < 0.01
        assert found[figure]["b_ms"] - found[figure]["a_ms"] == pytest.approx(
            found[figure]["difference_ms"]
        )


def test_the_sign_turns_with_the_sides(two):
    there, back = (rows(compare_folders(*sides))["p50"] for sides in (two, two[::-1]))
    assert there["difference_ms"] == pytest.approx(-back["difference_ms"])


def test_a_run_compared_with_itself_does_not_differ(two):
    found = rows(compare_folders(two[0], two[0]))
    assert found["mean"]["difference_ms"] == 0
    assert found["mean"]["low_ms"] < 0 < found["mean"]["high_ms"]
    assert found["mean"]["p_value"] > 0.9


def test_a_quantile_that_n_does_not_carry_is_refused_with_its_reason(two):
    found = rows(compare_folders(*two))
    assert np.isnan(found["p99"]["difference_ms"])
    assert found["p99"]["note"] == "not enough samples (n=400, needs 1000)"


def test_repetitions_are_pooled_before_quantiles(tmp_path):
    for number in range(3):
        make_run(tmp_path / "a" / str(number), drawn(number), drawn=False, repetition=number + 1)
    other = make_run(tmp_path / "b", drawn(9, count=1_000), drawn=False)
    comparison = compare_folders(tmp_path / "a", other)
    assert rows(comparison)["p99"]["n_a"] == 1_200
    assert not np.isnan(rows(comparison)["p99"]["difference_ms"])
    assert comparison.a.name.endswith(" and 2 more")


def test_runs_of_several_pairs_are_no_side(tmp_path, two):
    make_run(tmp_path / "c" / "1", drawn=False)
    make_run(tmp_path / "c" / "2", drawn=False, west_region="ams3")
    with pytest.raises(InputError, match="several pairs of regions") as caught:
        compare_folders(tmp_path / "c", two[0])
    assert len(caught.value.problems) == 2


def test_runs_without_a_vantage_point_in_common_are_refused(two):
    change(two[1], column="vantage", values="load generator (west)")
    with pytest.raises(InputError, match="not measured from the same vantage point") as caught:
        compare_folders(*two)
    assert "load generator (west)" in str(caught.value)
    assert "vote-bot outbound (west)" in str(caught.value)


def test_what_only_one_run_has_is_said(two):
    table = open_samples(two[1], schema=REQUESTS).read()
    more = table.assign(instrument="load", connection="new", vantage="load generator (west)")
    both = pd.concat(
        [table.astype({"instrument": "str", "connection": "str", "vantage": "str"}), more]
    )
    write(both, two[1], REQUESTS)
    notes = compare_folders(*two).notes
    assert any(
        note.startswith("only B was measured from here")
        and note.endswith("load, new connections, load generator (west)")
        for note in notes
    )


def test_other_regions_parameters_and_versions_are_said(tmp_path, two):
    other = make_run(tmp_path / "c", drawn=False, west_region="ams3", measure_seconds=90)
    (other / "versions.json").write_text(json.dumps({"labkit": "9.9"}))
    notes = " | ".join(compare_folders(two[0], other).notes)
    assert "different pairs of regions, sfo3 → syd1 and ams3 → syd1" in notes
    assert re.search(r"light floors differ by \+47\.0 ms", notes)
    assert "measure_seconds 60 and 90" in notes
    assert "labkit 0.1.0 and 9.9" in notes


def test_seeds_and_repetitions_may_differ_without_a_word(tmp_path):
    one = make_run(tmp_path / "a", drawn(1), drawn=False, seed=1)
    two = make_run(tmp_path / "b", drawn(2), drawn=False, seed=2, repetition=2, lab_name="other")
    assert compare_folders(one, two).notes == ()


def test_a_run_that_did_not_go_through_is_said(two):
    content = json.loads((two[1] / "summary.json").read_text())
    (two[1] / "summary.json").write_text(json.dumps(content | {"status": "failed"}))
    assert f"B holds runs that did not go through: {two[1].name}" in compare_folders(*two).notes


def test_samples_that_are_cut_off_are_named(two):
    (two[1] / REQUESTS.file).write_bytes(b"PAR1")
    with pytest.raises(InputError, match="no requests to read") as caught:
        compare_folders(*two)
    assert REQUESTS.file in str(caught.value)


def test_the_warm_up_is_not_compared(two):
    change(two[0], column="warmup", values=[True] * 300 + [False] * 100)
    assert rows(compare_folders(*two))["mean"]["n_a"] == 100


def test_the_forest_plot_names_both_runs_their_floors_and_vantage_point(two):
    chart = compare_folders(*two).chart()
    assert "vote-bot outbound (west)" in chart.description
    assert "Light floors of A and B: 119.5 ms, 119.5 ms" in chart.description
    legend = [text.get_text() for text in chart.axes[0].get_legend().texts]
    assert f"A: {two[0].name}" in legend


def test_a_plot_that_cannot_be_written_is_a_message(two, tmp_path):
    with pytest.raises(StateError, match="cannot be written"):
        compare_folders(*two).save_chart(tmp_path / "nowhere" / "plot.png")


def test_the_command_prints_a_table_and_json_and_draws(home, two):
    plot = home.root / "plot.svg"
    done = home.run("latency", "compare", *map(str, two), "--plot", str(plot))
    assert done.returncode == 0, done.stderr
    assert "B − A (ms)" in done.stdout
    assert plot.read_text().startswith("<?xml")
    assert list(home.root.glob(".plot*")) == []
    content = json.loads(home.run("latency", "compare", *map(str, two), "--json").stdout)
    assert content["schema"] == "labkit.comparison/1"
    p99 = next(row for row in content["differences"] if row["figure"] == "p99")
    assert p99["difference_ms"] is None
    assert p99["n_a"] == 400


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "nowhere"], "nowhere: does not exist"),
        (["a", "b", "--plot", "x.gif"], "end it in .png or .svg"),
    ],
)
def test_the_command_refuses_bad_input(home, arguments, words):
    done = home.run("latency", "compare", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
