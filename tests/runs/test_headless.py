"""`labkit run` as a process: failures and signals end in a teardown, and the run folder says so.

The notebooks are small ones of these tests; the embedded cloud that they start is the real one.
"""

import json
import os
import shlex
import signal
import subprocess

import pytest

from labkit.folder import LabFolder
from labkit.params import Params

pytestmark = pytest.mark.timeout(180)

NAME = "headless"


def assert_nothing_is_left(home):
    assert home.processes() == []
    assert not (home.root / NAME / "kubeconfig").exists()


@pytest.mark.slow
def test_a_failing_notebook_is_named_and_the_teardown_runs(runs):
    runs.add("01_fail", "1", "raise ValueError('no such size')")
    runs.add("02_never", "1")
    done = runs.run()
    assert done.returncode == 1
    assert done.stderr.endswith(
        "01_fail.ipynb, cell 4 (`raise ValueError('no such size')`) failed. "
        "Seen: ValueError: no such size.\n"
    )
    assert "Traceback" not in done.stderr
    error = runs.summary["error"]
    assert (runs.summary["status"], error["notebook"], error["cell"]) == (
        "failed",
        "01_fail.ipynb",
        4,
    )
    assert runs.summary["processes_left"] == 0
    assert [p.name for p in sorted((runs.folder / "notebooks").iterdir())] == [
        "00_start.ipynb",
        "01_fail.ipynb",
    ]
    assert "✔ teardown" in (runs.folder / "run.log").read_text()
    assert (runs.folder / "report.html").exists()
    assert_nothing_is_left(runs.home)


@pytest.mark.slow
def test_with_keep_the_lab_stays_after_a_failure(runs):
    runs.add("01_fail", "1 / 0")
    runs.add("99_cleanup", runs.OPEN, "lab.down()")
    assert runs.run("--keep").returncode == 1
    assert runs.summary["processes_left"] is None
    assert runs.home.json("status", "--lab-name", NAME)["running"] is True
    assert runs.home.run("down", "--lab-name", NAME).returncode == 0
    assert_nothing_is_left(runs.home)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("target", ["process", "group"])
def test_a_signal_ends_the_run_with_a_teardown_and_exit_code_130(runs, wait, number, target):
    marker = runs.home.root / "sleeping"
    runs.add("01_wait", f"open({str(marker)!r}, 'w').close()\nimport time\ntime.sleep(600)")
    process = runs.home.start(*runs.arguments())
    try:
        wait(marker.exists, "the notebook to sleep", timeout_s=90)
        if target == "group":
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, errors
    assert "✔ teardown" in errors
    assert "Traceback" not in errors
    assert runs.summary["error"]["message"] == "interrupted"
    assert runs.summary["processes_left"] == 0
    assert_nothing_is_left(runs.home)


@pytest.mark.slow
def test_a_run_that_goes_well_ends_with_0_and_hides_the_machine(runs):
    runs.add("01_look", runs.OPEN, "print(lab.folder.root)", "import sys; print(sys.prefix)")
    runs.add("99_cleanup", runs.OPEN, "lab.down()")
    done = runs.run("--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "passed"
    text = (runs.folder / "notebooks" / "01_look.ipynb").read_text()
    assert f"~/.labkit/{NAME}" in text
    assert ".venv" in text
    assert str(runs.home.root) not in text
    assert_nothing_is_left(runs.home)


@pytest.mark.slow
def test_a_disk_that_fills_up_is_a_message_and_the_teardown_runs(runs):
    """No file may grow beyond 400 KB, which the system reports as it would a full disk."""
    runs.add("01_big", "for n in range(2000):\n    print('x' * 500)")
    labkit = shlex.join(runs.home.argv(*runs.arguments()))
    done = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; ulimit -f 400; exec {labkit}"],
        env={**runs.home.environment, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=runs.home.root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    assert_nothing_is_left(runs.home)


def test_a_run_folder_below_a_file_is_refused_before_anything_starts(runs):
    (runs.home.root / "file").write_text("in the way")
    done = runs.run("--runs", "file/runs")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "--runs" in done.stderr
    assert_nothing_is_left(runs.home)
    assert not (runs.home.root / NAME).exists()


def test_a_run_on_the_remains_of_a_killed_lab_is_refused_with_the_way_out(runs):
    folder = LabFolder(runs.home.root / NAME)
    folder.write_params(Params(lab_name=NAME, west_region="ams3"))
    folder.kubeconfig.write_text("{}")
    done = runs.run()
    assert done.returncode == 1
    assert "was killed and not taken down, and a run needs a fresh one" in done.stderr
    assert "labkit down" in done.stderr
    assert not (runs.home.root / "runs").exists()
    assert runs.home.run("down", "--lab-name", NAME).returncode == 0
    assert not folder.kubeconfig.exists()


def test_a_folder_without_notebooks_is_refused_before_anything_starts(home):
    done = home.run("run", "--notebooks", str(home.root))
    assert done.returncode == 1
    assert "There are no notebooks" in done.stderr
    assert not (home.root / "runs").exists()
