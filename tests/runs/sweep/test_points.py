"""What a sweep consists of: pairs, repetitions, order, digests, and every mistake in a file."""

from pathlib import Path

import pytest

from labkit.errors import InputError, StateError
from labkit.params import Params
from labkit.runs.sweep.file import load_sweep
from labkit.runs.sweep.folder import MARK, SweepFolder
from labkit.runs.sweep.points import SweepSpec, cross

ROOT = Path(__file__).resolve().parents[3]
PAIRS = (("ams3", "fra1"), ("sfo3", "syd1"))


def spec(**values):
    return SweepSpec(**{"pairs": PAIRS, "repetitions": 2, "seed": 1, "base": Params(), **values})


def names(found):
    return [point.name for point in found.points()]


def written(tmp_path, text):
    file = tmp_path / "sweep.yaml"
    file.write_text(text)
    return file


def problems(file, **more):
    with pytest.raises(InputError) as caught:
        load_sweep(file, **more)
    return [problem.replace(f"{file}:", "") for problem in caught.value.problems]


def test_the_example_is_six_pairs_from_9_to_282_ms():
    found = load_sweep(ROOT / "params" / "sweep-example.yaml")
    assert len(found.points()) == 6
    assert (found.base.measure_seconds, found.base.warmup_seconds) == (15, 5)
    assert found.base.drills is False, "they tell nothing of a pair of regions"


def test_points_are_pairs_times_repetitions_in_an_order_that_the_seed_decides():
    assert sorted(names(spec())) == ["ams3-fra1-r1", "ams3-fra1-r2", "sfo3-syd1-r1", "sfo3-syd1-r2"]
    assert names(spec()) == names(spec())
    orders = {tuple(names(spec(seed=seed))) for seed in range(20)}
    assert len(orders) > 5


def test_repetitions_have_seeds_and_labs_of_their_own():
    points = spec().points()
    ams = sorted(
        (p.params.repetition, p.params.seed) for p in points if p.params.west_region == "ams3"
    )
    first = Params().seed
    assert ams == [(1, first), (2, first + 1)]
    assert len({p.params.lab_name for p in points}) == len({p.digest for p in points}) == 4


def test_the_digest_follows_every_parameter_and_not_the_order():
    before = {p.name: p.digest for p in spec().points()}
    assert before == {p.name: p.digest for p in spec(seed=9).points()}
    other = spec(base=Params(measure_seconds=15)).points()
    assert not set(before.values()) & {p.digest for p in other}


def test_a_cross_product_leaves_out_a_region_and_itself_and_says_so():
    pairs, skipped = cross(["ams3", "fra1"], ["fra1", "syd1"])
    assert pairs == (("ams3", "fra1"), ("ams3", "syd1"), ("fra1", "syd1"))
    assert skipped == ("fra1",)
    found = load_sweep(None, west=["ams3", "fra1"], east=["fra1"])
    assert (found.pairs, found.skipped) == ((("ams3", "fra1"),), ("fra1",))
    with pytest.raises(InputError, match="fra1 met only themselves"):
        load_sweep(None, west=["fra1"], east=["fra1"])


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path):
    file = written(
        tmp_path, "pairs: [[ams3, fra1]]\nparams: {measure_seconds: 10, node_count: 1}\n"
    )
    environ = {"LABKIT_NODE_COUNT": "2", "LABKIT_WEST_REGION": "lon1", "LABKIT_LAB_NAME": "mine"}
    found = load_sweep(file, overrides={"measure_seconds": "20"}, repetitions=3, environ=environ)
    assert (found.base.measure_seconds, found.base.node_count) == (20, 2)
    assert (found.repetitions, found.base.lab_name) == (3, Params().lab_name)


def test_every_mistake_of_a_file_is_told_at_once_with_its_line(tmp_path):
    text = """\
pairs:
  - [ams3, fra2]
  - [syd1, syd1]
  - [ams3, fra1]
  - [ams3, fra1]
  - nyc1
repetitons: 2
seed: -1
repetitions: many
measure_seconds: 5
params:
  west_region: sfo3
  measure_secs: 15
  wan_loss: 0.7
"""
    assert problems(written(tmp_path, text), overrides={"node_cont": "1"}) == [
        "2: pairs: unknown region `fra2`; did you mean `fra1`?",
        "3: pairs: `syd1` twice; a lab measures the way between two",
        "5: pairs: [ams3, fra1] is given twice; use repetitions",
        "6: pairs: expected two regions, as [sfo3, syd1]",
        "7: repetitons: unknown key; did you mean `repetitions`?",
        "8: seed: must be 0 to 4294967295, not -1",
        "9: repetitions: must be a whole number, not `many`",
        "10: measure_seconds: unknown key; parameters go below `params:`",
        "12: west_region: the sweep varies it: use west, east or pairs",
        "13: measure_secs: unknown key; did you mean `measure_seconds`?",
        "14: wan_loss: must be at most 0.2, not `0.7`",
        "-p: node_cont: unknown key; did you mean `node_count`?",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("west: [ams3]\n", "west and east, or pairs, must be given"),
        ("west: [ams3]\neast: [fra1]\npairs: [[ams3, fra1]]\n", "but not both"),
        ("west: ams3\neast: [fra1]\n", "expected a list"),
        ("pairs: []\n", "expected a list"),
        ("- ams3\n", "expected keys"),
        ("", "expected keys"),
        ("pairs: [[ams3, fra1]\n", "malformed YAML"),
        ("pairs: [[ams3, fra1]]\npairs: [[ams3, fra1]]\n", "given twice"),
    ],
)
def test_files_of_the_wrong_form_are_messages(tmp_path, text, words):
    assert any(words in problem for problem in problems(written(tmp_path, text)))


def test_a_file_and_regions_on_the_command_line_exclude_each_other(tmp_path):
    file = written(tmp_path, "pairs: [[ams3, fra1]]\n")
    assert "give one of both" in problems(file, west=["ams3"])[0]


def test_clusters_that_stand_where_they_stand_have_one_pair_of_regions():
    given = {"cloud": "existing", "west_context": "a", "east_context": "b"}
    with pytest.raises(InputError, match="two clusters that stand where they stand"):
        load_sweep(None, west=["ams3", "nyc1"], east=["fra1"], overrides=given)


def finish(folder, point):
    """What a point that went well leaves in an attempt's folder."""
    attempt = folder.new_attempt(point)
    run = attempt / folder.run_name(point)
    run.mkdir()
    (run / MARK).write_text(f'{{"digest": "{point.digest}"}}')
    return attempt


def test_a_point_is_done_when_its_folder_was_moved_and_only_once(tmp_path):
    folder = SweepFolder.open(tmp_path / "s", spec())
    first, second, *_ = spec().points()
    attempt = finish(folder, first)
    assert folder.done() == {}
    assert folder.adopt(attempt).name == folder.run_name(first)
    assert list(folder.done()) == [first.digest]
    assert folder.adopt(finish(folder, first)) is None, "a second one does not replace the first"
    finish(folder, second)  # nobody was there to move it
    assert [path.name for path in folder.adopt_all()] == [folder.run_name(second)]
    assert SweepFolder.open(tmp_path / "s", spec(seed=5)).id == folder.id


def test_a_sweep_may_grow_but_not_lose_what_it_has_done(tmp_path):
    folder = SweepFolder.open(tmp_path / "s", spec())
    folder.adopt(finish(folder, spec().points()[0]))
    SweepFolder.open(tmp_path / "s", spec(pairs=(*PAIRS, ("nyc1", "lon1"))))
    with pytest.raises(InputError, match="1 finished points that are not of this sweep"):
        SweepFolder.open(tmp_path / "s", spec(base=Params(measure_seconds=15)))


def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no sweep"):
        SweepFolder.open(tmp_path, spec())


def test_two_sweeps_do_not_work_on_one_folder(tmp_path):
    folder = SweepFolder.open(tmp_path / "s", spec())
    with folder.lock(), pytest.raises(StateError, match="Another `labkit sweep`"), folder.lock():
        pass
