"""A sweep that is ended in the middle goes on where it was, and every point ends exactly once."""

import json
import os
import signal

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
long = pytest.mark.skipif(
    not os.environ.get("LABKIT_LONG_TESTS"), reason="half a minute each; set LABKIT_LONG_TESTS=1"
)


def begin(sweep, wait, *more):
    """Start a sweep whose second point blocks; returns when it does."""
    sweep.blocks_at_the_second_point()
    process = sweep.start(*more)
    wait(lambda: len(sweep.begun) > 1 or process.poll() is not None, "the second point", 120)
    assert process.poll() is None, process.communicate()[1]
    return process


def wait_for(wait):
    return lambda condition, what, timeout_s: wait(condition, what, timeout_s=timeout_s)


def test_a_sweep_that_is_killed_with_its_lab_resumes_and_ends_every_point_once(sweep, wait):
    process = begin(sweep, wait_for(wait))
    first, second = sweep.begun
    assert sweep.done == [f"{first}-r1"]
    sweep.kill_everything(process)
    sweep.go.touch()
    done = sweep.run()
    assert done.returncode == 0, done.stderr
    sweep.assert_every_point_once_and_nothing_left()
    assert sweep.begun == [first, second, second], "finished points are not repeated"
    assert "1 of 2 done" in done.stderr
    assert "2 of 2 points done" in done.stdout
    plan = json.loads(sweep.run("--plan", "--json").stdout)
    assert [point["state"] for point in plan["points"]] == ["done", "done"]
    nothing = sweep.run()
    assert (nothing.returncode, len(sweep.begun)) == (0, 3)


@long
def test_a_sweep_that_is_killed_alone_leaves_no_lab_and_resumes(sweep, wait):
    """Its point notices that nobody waits for it, and takes its lab down."""
    process = begin(sweep, wait_for(wait))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    sweep.go.touch()
    done = sweep.run()  # at once: the old attempt may still be taking its lab down
    assert done.returncode == 0, done.stderr
    sweep.assert_every_point_once_and_nothing_left()


@long
def test_ctrl_c_takes_the_lab_of_the_running_point_down(sweep, wait):
    process = begin(sweep, wait_for(wait))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert sweep.home.processes() == []
    (attempt,) = (sweep.root / "unfinished").iterdir()
    assert '"message": "interrupted"' in next(attempt.glob("*/summary.json")).read_text()
    sweep.go.touch()
    done = sweep.run()
    assert done.returncode == 0, done.stderr
    sweep.assert_every_point_once_and_nothing_left()


@long
def test_ctrl_c_on_a_terminal_ends_a_local_dask_cluster_with_its_labs(sweep, wait):
    """A terminal sends it to the workers as well."""
    process = begin(sweep, wait_for(wait), "--scheduler", "local", "--jobs", "2")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert sweep.home.processes() == []
    sweep.go.touch()
    done = sweep.run()
    assert done.returncode == 0, done.stderr
    sweep.assert_every_point_once_and_nothing_left()


@long
def test_a_failed_point_is_told_passed_by_and_tried_again(sweep):
    fail = f"import os\nif west_region == 'nyc1' and not os.path.exists({str(sweep.go)!r}): 1 / 0"
    sweep.notebook(fail)
    done = sweep.run()
    assert done.returncode == 1
    assert "1 of 2 points are not done" in done.stderr
    assert "nyc1-lon1-r1: 00_start.ipynb, cell 4" in done.stderr.replace("\n", " ")
    assert sweep.done == ["ams3-fra1-r1"]
    assert sweep.home.processes() == []
    sweep.go.touch()
    again = sweep.run()
    assert again.returncode == 0, again.stderr
    sweep.assert_every_point_once_and_nothing_left()
    assert sweep.begun.count("nyc1-lon1") == 2


def test_a_killed_worker_of_a_dask_cluster_costs_its_point_one_repetition(sweep, wait):
    process = begin(sweep, wait_for(wait), "--scheduler", "local", "--jobs", "2")  # both run
    child = wait(sweep.children, "the running points")[0]
    psutil.Process(child.ppid()).kill()
    wait(lambda: not child.is_running(), "the point to see that its worker is gone", timeout_s=60)
    sweep.go.touch()
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    sweep.assert_every_point_once_and_nothing_left()
    assert len(sweep.begun) == 3, sweep.begun


def test_the_next_lab_comes_up_while_one_that_has_measured_draws_and_cleans_up(sweep):
    sweep.notebook(
        "import os, pathlib, time\n"
        "(pathlib.Path(os.environ['LABKIT_RUN_FOLDER']) / 'measurement.json').write_text('{}')\n"
        f"begun, give_up = {str(sweep.home.root / 'begun')!r}, time.monotonic() + 100\n"
        "while len(open(begun).readlines()) < 2: time.sleep(0.1); assert time.monotonic() < give_up"
    )
    done = sweep.run()
    assert done.returncode == 0, done.stderr
    assert "0 of 2 done, 2 running, 0 left" in done.stderr
    sweep.assert_every_point_once_and_nothing_left()
