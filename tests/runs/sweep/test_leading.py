"""What a sweep does with the outcomes of its points; the runner here decides them at once."""

import itertools
import json
from types import SimpleNamespace

from labkit.errors import StateError
from labkit.params import Params
from labkit.runs.sweep import running
from labkit.runs.sweep.attempt import Outcome
from labkit.runs.sweep.folder import MARK, SweepFolder
from labkit.runs.sweep.points import SweepSpec
from labkit.runs.sweep.running import run_sweep

PAIRS = tuple((west, "syd1") for west in ("ams3", "fra1", "lon1", "nyc1", "sfo3", "tor1"))
SPEC = SweepSpec(pairs=PAIRS, repetitions=1, seed=3, base=Params())
SUMMARY = {
    "regions": {"west": "", "east": ""},
    "rtt_ms": {"value": 1.0, "source": "table", "floor": 0.5},
    "warnings": [],
    "timings_s": {},
}


class Runner:
    """Ends each point as `fates` say, and then well.

    Args:
        folder: of the sweep.
        fates: statuses in the order of the starts; `refused` cannot even be started.
        jobs: how many at the same time.
    """

    def __init__(self, folder, *fates, jobs=1):
        self.folder, self.fates, self.jobs = folder, list(fates), jobs
        self.started, self.running, self.jobs_seen = [], [], []
        self.stopped = self.closed = False

    @property
    def shared(self):
        return self.jobs

    @property
    def free(self):
        return self.jobs - len(self.running)

    def start(self, point, job):
        self.started.append(point.name)
        self.jobs_seen.append(job)
        fate = self.fates.pop(0) if self.fates else "finished"
        if fate == "refused":
            raise StateError("what was left cannot be ended")
        self.running.append((point, fate))

    def wait(self, _):
        point, fate = self.running.pop(0)
        if fate == "interrupt":
            raise KeyboardInterrupt
        if fate == "finished":
            attempt = self.folder.new_attempt(point)
            run = attempt / self.folder.run_name(point)
            run.mkdir()
            mark = {"digest": point.digest, "repetition": 1}
            (run / MARK).write_text(json.dumps(mark))
            regions = {"west": point.params.west_region, "east": point.params.east_region}
            (run / "summary.json").write_text(json.dumps({**SUMMARY, "regions": regions}))
            self.folder.adopt(attempt)
        return [Outcome(point.name, point.digest, fate, "" if fate == "finished" else "why", 60.0)]

    def news(self):
        return []

    def stop(self):
        self.stopped = True
        return []

    def close(self):
        self.closed = True


def led(tmp_path, *fates, jobs=1):
    folder = SweepFolder.open(tmp_path / "s", SPEC)
    runner = Runner(folder, *fates, jobs=jobs)
    return run_sweep(SPEC, folder, runner), runner


def test_every_point_is_started_once_in_the_order_of_the_plan(tmp_path, capsys, monkeypatch):
    a_minute_each = itertools.count(step=60).__next__
    monkeypatch.setattr(running, "time", SimpleNamespace(monotonic=a_minute_each))
    result, runner = led(tmp_path)
    assert runner.started == [point.name for point in SPEC.points()]
    assert (result.left, result.failed, runner.closed) == (0, {}, True)
    errors = capsys.readouterr().err
    assert "1 of 6 done, 0 running, 5 left, about 5 min" in errors
    assert "6 of 6 done, 0 running, 0 left\n" in errors


def test_single_failures_are_passed_by(tmp_path):
    result, runner = led(tmp_path, "failed", "finished", "failed", "refused", "finished")
    assert len(runner.started) == 6
    assert result.left == 3
    assert list(result.failed.values()) == ["why", "why", "what was left cannot be ended."]


def test_three_failures_in_a_row_end_the_sweep_and_keep_what_is_done(tmp_path, capsys):
    result, runner = led(tmp_path, "finished", "failed", "refused", "failed")
    assert (len(runner.started), len(result.rows), result.left) == (4, 1, 5)
    assert runner.closed
    assert "3 points failed in a row" in capsys.readouterr().err
    again, runner = led(tmp_path)
    assert (len(runner.started), again.left) == (5, 0)


def test_an_interrupt_ends_what_runs_and_keeps_what_is_done(tmp_path):
    result, runner = led(tmp_path, "finished", "interrupt")
    assert (result.interrupted, runner.stopped, len(result.rows)) == (True, True, 1)
    assert json.loads((tmp_path / "s" / "summary.json").read_text())["rows"] == result.rows


def test_points_that_ran_beside_others_say_so_in_their_runs(tmp_path):
    _, runner = led(tmp_path, jobs=2)
    assert {job.caveats for job in runner.jobs_seen} == {
        ("2 points shared one machine at the time: figures include each other's load",)
    }
    _, alone = led(tmp_path / "other")
    assert {job.caveats for job in alone.jobs_seen} == {()}


def test_the_summary_explains_its_columns_and_is_written_as_csv_too(tmp_path):
    led(tmp_path)
    content = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert list(content["rows"][0]) == list(content["columns"])
    lines = (tmp_path / "s" / "summary.csv").read_text().splitlines()
    assert lines[0] == ",".join(content["columns"])
    assert len(lines) == 7
