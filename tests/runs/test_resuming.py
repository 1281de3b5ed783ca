"""`labkit run --resume`: a run that was cut off goes on at the notebook that failed."""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import nbformat
import pytest

from labkit.handouts.materials import NOTEBOOKS
from labkit.runs.checkpoints import Checkpoints
from labkit.runs.notebooks import find_notebooks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

FAIL = "raise RuntimeError('made to fail')"


def counting(runs, name):
    """A notebook that counts how often it ran."""
    path = runs.home.root / f"{name}.count"
    runs.add(name, f"with open({str(path)!r}, 'a') as f: f.write('x')")
    return lambda: len(path.read_text()) if path.exists() else 0


def resume(runs, *more, **kwargs):
    return runs.run("--resume", *more, **kwargs)


def assert_went_through(runs, attempts=2):
    assert runs.summary["status"] == "passed"
    assert runs.summary["error"] is None
    assert len(runs.summary["attempts"]) == attempts
    assert [a["error"] for a in runs.summary["attempts"]][-1] is None


def test_a_run_goes_on_at_the_notebook_that_failed_in_the_same_folder(runs):
    ran = counting(runs, "00_then")
    runs.add("00_u_fail", "open('left-over.txt', 'w').close()", FAIL)
    last = counting(runs, "00_v_after")
    first = runs.run()
    assert first.returncode == 1
    (name,) = (path.name for path in (runs.home.root / "runs").iterdir())
    assert f"labkit run --resume runs/{name}" in first.stderr
    log = (runs.folder / "run.log").read_text()

    runs.add("00_u_fail", "print('mended')")
    done = resume(runs)
    assert done.returncode == 0, done.stderr
    assert (ran(), last()) == (1, 1)
    assert_went_through(runs)
    assert list(runs.summary["timings_s"]) == ["00_start", "00_then", "00_u_fail", "00_v_after"]
    assert "mended" in (runs.folder / "notebooks" / "00_u_fail.ipynb").read_text()
    assert "made to fail" not in (runs.folder / "notebooks" / "00_u_fail.ipynb").read_text()
    after = (runs.folder / "run.log").read_text()
    assert after.startswith(log)
    assert "▶ resumed at 00_u_fail" in after
    assert log not in done.stderr, "what was shown before is not shown again"
    (cut, *_) = runs.summary["warnings"]
    assert cut.startswith("interrupted at 00_u_fail (00_u_fail.ipynb, cell 4")
    assert "resumed" in (runs.folder / "report.html").read_text()

    again = resume(runs)
    assert again.returncode == 1
    assert "went through; there is nothing to go on with" in again.stderr


def test_a_lab_that_was_kept_is_used(runs):
    runs.add("00_u_fail", runs.OPEN, "before = lab.cloud.status()['processes'][0]['pid']", FAIL)
    assert runs.run("--keep").returncode == 1
    before = runs.home.json("status", "--lab-name", runs.NAME)["processes"]
    marker = runs.home.root / "seen"
    look = f"open({str(marker)!r}, 'w').write(str(lab.cloud.status()['processes'][0]['pid']))"
    runs.add("00_u_fail", runs.OPEN, look)
    assert resume(runs).returncode == 0
    assert marker.read_text() == str(before[0]["pid"])
    assert runs.summary["processes_left"] == 0
    assert_went_through(runs)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_a_run_that_was_ended_goes_on(runs, wait, number):
    ran = counting(runs, "00_then")
    marker = runs.home.root / "sleeping"
    runs.add("00_u_wait", f"open({str(marker)!r}, 'w').close()\nimport time\ntime.sleep(600)")
    process = runs.home.start(*runs.arguments())
    try:
        wait(marker.exists, "the notebook to sleep", timeout_s=90)
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    runs.add("00_u_wait", "1")
    done = resume(runs, str(runs.folder))
    assert done.returncode == 0, done.stderr
    assert ran() == 1
    assert_went_through(runs)
    why = "it was killed" if number == signal.SIGKILL else "interrupted"
    assert (runs.summary["attempts"][0]["notebook"], runs.summary["attempts"][0]["error"]) == (
        "00_u_wait",
        why,
    )
    assert runs.home.processes() == []


def test_other_parameters_are_refused_by_name(failed_run):
    done = resume(failed_run, "-p", "west_region=ams3", env={"LABKIT_MEASURE_SECONDS": "7"})
    assert done.returncode == 2
    for text in ("west_region is sfo3 in this run, and ams3", "measure_seconds is 60 in this run"):
        assert text in done.stderr
    assert "--resume" in done.stderr
    assert len(Checkpoints(failed_run.folder).attempts()) == 1


def test_a_run_that_is_going_on_is_not_resumed(failed_run):
    with Checkpoints(failed_run.folder).locked():
        done = resume(failed_run)
    assert done.returncode == 1
    assert "is going on in another process" in done.stderr


def test_what_is_no_run_to_resume_is_refused_with_the_way_out(runs):
    assert "There is no run in runs" in resume(runs).stderr
    (runs.home.root / "other").mkdir()
    assert "is no run folder" in resume(runs, "other").stderr
    done = runs.run("other")
    assert done.returncode == 2
    assert "--resume" in done.stderr


# --- the notebooks themselves -------------------------------------------------------------


class Injected:
    """A copy of the real notebooks in which one fails before its check."""

    def __init__(self, folder, names):
        folder.mkdir()
        self.folder, self.names = folder, names
        for name in names:
            self.mend(name)

    def mend(self, name):
        shutil.copy(NOTEBOOKS / f"{name}.ipynb", self.folder)

    def break_(self, name):
        path = self.folder / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        cell = nbformat.v4.new_code_cell(FAIL)
        notebook.cells.insert(len(notebook.cells) - 1, cell)
        nbformat.write(notebook, path)


def go_through(home, names, *, keep):
    """One run that fails in each notebook once, and is resumed each time."""
    copy = Injected(home.root / "copy", names)
    arguments = ["run", "--notebooks", str(copy.folder), *(["--keep"] if keep else [])]
    chosen = ("lab_name=inject", "measure_seconds=10", "warmup_seconds=0", "load_rate=0")
    given = [part for item in chosen for part in ("-p", item)]
    names = [name for name in names if not (keep and name == "99_cleanup")]
    try:
        for number, name in enumerate(names):
            copy.break_(name)
            start = given if number == 0 else ["--resume"]
            begun = time.monotonic()
            done = home.run(*arguments, *start, timeout=600)
            sys.stderr.write(f"{name} failed after {time.monotonic() - begun:.1f} s\n")
            assert done.returncode == 1, done.stderr
            assert f"{name}.ipynb" in done.stderr
            assert "made to fail" in done.stderr
            copy.mend(name)
        done = home.run(*arguments, "--resume", timeout=600)
        assert done.returncode == 0, done.stderr
    finally:
        down = home.run("down", "--lab-name", "inject")
        assert down.returncode == 0, down.stderr
    (folder,) = (home.root / "runs").iterdir()
    return folder, json.loads((folder / "summary.json").read_text()), names


@pytest.mark.parametrize("keep", [False, True], ids=["torn down", "kept"])
def test_a_failure_in_the_first_chapters_is_resumed(home, keep):
    names = [path.stem for path in find_notebooks(NOTEBOOKS)][:3]
    _, summary, _ = go_through(home, names[1:], keep=keep)
    assert summary["status"] == "passed"
    assert [attempt["notebook"] for attempt in summary["attempts"]] == [*names[1:], None]


@pytest.mark.skipif(not os.environ.get("LABKIT_LONG_TESTS"), reason="about fifteen minutes each")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("keep", [False, True], ids=["torn down", "kept"])
def test_a_failure_in_every_notebook_is_resumed(home, keep):
    names = [path.stem for path in find_notebooks(NOTEBOOKS)]
    folder, summary, names = go_through(home, names, keep=keep)
    assert summary["status"] == "passed"
    assert [attempt["notebook"] for attempt in summary["attempts"]] == [*names, None]
    assert sorted(summary["timings_s"]) == sorted(names)
    assert not [check for check in summary["checks"] if check["status"] == "fail"]
    for path in (folder / "notebooks").iterdir():
        assert "made to fail" not in Path(path).read_text()
