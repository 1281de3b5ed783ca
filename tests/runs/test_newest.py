"""Notebook 11: which runs it takes, what it says when there is one, and that it runs headless."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit import compare_runs
from labkit.errors import CheckFailed, InputError
from tests.support.run_folders import make_run

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "11_compare_runs.ipynb"


def named(root, name):
    return root.rename(root.parent / name)


@pytest.fixture
def runs(tmp_path):
    """Three runs, the last two of other pairs than each other."""
    parent = tmp_path / "runs"
    return [
        named(make_run(parent, drawn=False, **values), f"2026112{day}T000000Z-run")
        for day, values in enumerate([{}, {"west_region": "ams3"}, {}], start=1)
    ]


def test_the_newest_run_is_compared_with_the_newest_of_its_own_pair(runs):
    found = compare_runs(runs=str(runs[0].parent))
    assert found.comparison.a.name == runs[0].name
    assert found.comparison.b.name == runs[2].name
    assert "the newest of the same pair" in found.explanation


def test_without_one_of_the_same_pair_it_is_another_and_said(runs):
    found = compare_runs(run_b=str(runs[1]), runs=str(runs[0].parent))
    assert found.comparison.a.name == runs[2].name
    assert "another pair of regions" in found.explanation
    report = found.check()
    assert {o.id for o in report.outcomes if o.status == "warn"} == {"11.alike"}


def test_named_runs_are_taken(runs):
    found = compare_runs(str(runs[2]), str(runs[0]))
    assert (found.comparison.a.name, found.comparison.b.name) == (runs[2].name, runs[0].name)
    assert {outcome.status for outcome in found.check().outcomes} == {"pass"}


def test_a_run_without_samples_is_passed_by(runs):
    (runs[2] / "samples" / "requests.parquet").unlink()
    found = compare_runs(runs=str(runs[0].parent))
    assert found.comparison.b.name == runs[1].name


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_runs_are_no_error_but_a_way_on(tmp_path, count):
    for _ in range(count):
        make_run(tmp_path / "runs", drawn=False)
    found = compare_runs(runs=str(tmp_path / "runs"))
    assert found.comparison is None
    assert "labkit run" in str(found)
    assert "labkit run" in found._repr_html_()
    assert found.chart() is None
    assert [outcome.status for outcome in found.check().outcomes] == ["warn"]


def test_a_named_run_that_is_none_is_an_error(runs):
    with pytest.raises(InputError, match="no run to read"):
        compare_runs(run_a="nowhere", runs=str(runs[0].parent))


def test_a_mean_below_the_light_floor_fails_the_check_of_a_headless_run(runs, monkeypatch):
    content = json.loads((runs[2] / "summary.json").read_text())
    content["viz"]["west_east_mean_ms"] = 18.4
    (runs[2] / "summary.json").write_text(json.dumps(content))
    found = compare_runs(runs=str(runs[0].parent))
    assert [outcome.id for outcome in found.check().failures] == ["11.floor"]
    monkeypatch.setenv("LABKIT_HEADLESS", "1")
    with pytest.raises(CheckFailed, match="faster than light"):
        found.check()


def shown(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return outputs, json.dumps(outputs, ensure_ascii=False)


def papermill(output, **parameters):
    """Run the notebook as its readers do; returns its outputs."""
    given = [word for name, value in parameters.items() for word in ("-p", name, str(value))]
    command = [sys.executable, "-m", "papermill", str(NOTEBOOK), str(output), *given]
    done = subprocess.run(
        [*command, "--cwd", str(NOTEBOOK.parent), "--no-progress-bar"],
        env={**os.environ, "LABKIT_HEADLESS": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cells = json.loads(output.read_text())["cells"]
    return [shown for cell in cells for shown in cell.get("outputs", [])]


@pytest.mark.slow
def test_the_notebook_compares_two_runs_headless(runs, tmp_path):
    outputs = papermill(tmp_path / "kept.ipynb", runs_folder=runs[0].parent)
    text = json.dumps(outputs, ensure_ascii=False)
    assert "B − A (ms)" in text
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert "both runs were measured from the same vantage point" in text


@pytest.mark.slow
def test_the_notebook_with_one_run_says_what_to_do(tmp_path):
    make_run(tmp_path / "runs", drawn=False)
    outputs = papermill(tmp_path / "kept.ipynb", runs_folder=tmp_path / "runs")
    assert "There is one run" in json.dumps(outputs)
