import json

import pytest

from labkit.errors import InputError
from labkit.runs.reading import find_runs, read_run
from tests.support.run_folders import make_run


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "runs", drawn=False)


def test_a_whole_run_lacks_nothing(run):
    found = read_run(run)
    assert found.missing == ()
    assert found.regions == ("sfo3", "syd1")
    assert found.title == "sfo3 → syd1"


def test_everything_that_is_gone_or_broken_is_named_and_the_rest_is_read(run):
    (run / "summary.json").write_text('{"schema": "labkit.summ')
    (run / "versions.json").unlink()
    (run / "measurement.json").write_text("[1, 2]")
    found = read_run(run)
    assert [text.split(":")[0] for text in found.missing] == [
        "summary.json cannot be read",
        "versions.json is not there",
        "measurement.json cannot be read",
    ]
    assert found.regions == ("sfo3", "syd1")


def test_bytes_that_are_no_text_are_named(run):
    (run / "params.json").write_bytes(b"\xff\xfe\x00")
    assert read_run(run).missing[0].startswith("params.json cannot be read")


def test_an_empty_folder_has_unknown_regions(tmp_path):
    assert read_run(tmp_path).regions == ("?", "?")
    assert len(read_run(tmp_path).missing) == 4


def test_a_receipt_is_read_and_need_not_be_there(run):
    assert read_run(run).receipt == {}
    (run / "receipt.json").write_text(json.dumps({"usd": "0.00"}))
    assert read_run(run).receipt == {"usd": "0.00"}


def test_runs_are_found_in_folders_of_folders_and_once_only(run):
    sweep = run.parent.parent
    assert find_runs([sweep, run]) == [run]
    assert find_runs([run]) == [run]


def test_runs_of_a_folder_come_in_order_and_hidden_ones_do_not(run):
    other = make_run(run.parent, drawn=False, west_region="ams3")
    (run.parent / ".partial").mkdir()
    (run.parent / ".partial" / "params.json").write_text("{}")
    assert find_runs([run.parent]) == sorted([run, other])


def test_the_runs_of_a_sweep_are_its_finished_ones(tmp_path):
    sweep = tmp_path / "sweep"
    finished = make_run(sweep / "runs", drawn=False)
    make_run(sweep / "unfinished" / "sfo3-syd1-r2-1", drawn=False)
    (sweep / "plan.json").write_text("{}")
    (sweep / "summary.json").write_text("{}")
    assert find_runs([sweep]) == [finished]
    assert find_runs([tmp_path]) == [finished]


def test_every_path_without_a_run_is_named(run, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        find_runs([run, tmp_path / "empty", tmp_path / "nowhere", run / "params.json"])
    assert [problem.rpartition(": ")[2] for problem in caught.value.problems] == [
        "no run folder",
        "does not exist",
        "not a folder",
    ]
