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


ENDS, BLOCKS = "ams3-fra1", "nyc1-lon1"


def begin(sweep, wait, *more):
    """Start a sweep of which one point blocks; returns when the other one is done."""
    sweep.blocks_at(BLOCKS[:4])
    process = sweep.start(*more)
    wait(
        lambda: (sweep.done and BLOCKS in sweep.begun) or process.poll() is not None,
        "one point to be done and the other one to block",
        200,
    )
    assert process.poll() is None, process.communicate()[1]
    assert sweep.done == [f"{ENDS}-r1"]
    return process


def wait_for(wait):
    return lambda condition, what, timeout_s: wait(condition, what, timeout_s=timeout_s)


def test_a_sweep_that_is_killed_with_its_lab_resumes_and_ends_every_point_once(sweep, wait):
    process = begin(sweep, wait_for(wait))
    sweep.kill_everything(process)
    sweep.go.touch()
    done = sweep.run()
    assert done.returncode == 0, done.stderr
    sweep.assert_every_point_once_and_nothing_left()
    assert sorted(sweep.begun) == [ENDS, BLOCKS, BLOCKS], "finished points are not repeated"
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
    process = begin(sweep, wait_for(wait), "--scheduler", "local", "--jobs", "2")
    (child,) = wait(sweep.children, "the running point")
    psutil.Process(child.ppid()).kill()
    wait(lambda: not child.is_running(), "the point to see that its worker is gone", timeout_s=60)
    sweep.go.touch()
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    sweep.assert_every_point_once_and_nothing_left()
    assert len(sweep.begun) == 3, sweep.begun


def test_with_a_load_generator_the_next_lab_comes_up_when_one_has_measured(sweep):
    sweep.notebook(
        "import os, pathlib, time\n"
        "time.sleep(3)\n"
        f"begun, give_up = {str(sweep.home.root / 'begun')!r}, time.monotonic() + 100\n"
        "so_far = open(begun).read().split()\n"
        "assert len(so_far) == 1 or not so_far[0].startswith(west_region), 'nobody is beside it'\n"
        "(pathlib.Path(os.environ['LABKIT_RUN_FOLDER']) / 'measurement.json').write_text('{}')\n"
        "while len(open(begun).readlines()) < 2: time.sleep(0.1); assert time.monotonic() < give_up"
    )
    done = sweep.run("-p", "load_rate=5")
    assert done.returncode == 0, done.stderr
    assert "0 of 2 done, 2 running, 0 left" in done.stderr
    sweep.assert_every_point_once_and_nothing_left()


SPAN = """
import json, time
started = time.time()
time.sleep({seconds})
span = {{"west": west_region, "notebook": {name!r}, "from": started, "to": time.time()}}
with open({log!r}, "a") as log: print(json.dumps(span), file=log)
"""


def test_two_labs_come_up_together_and_nothing_runs_beside_one_that_measures(sweep):
    log = sweep.home.root / "spans"
    for name, seconds in (("00_start", 2), ("05_build", 2), ("10_latency", 3), ("12_after", 2)):
        sweep.notebook(SPAN.format(seconds=seconds, name=name, log=str(log)), name=name)
    done = sweep.run()
    assert done.returncode == 0, done.stderr
    assert "0 of 2 done, 2 running, 0 left" in done.stderr
    sweep.assert_every_point_once_and_nothing_left()
    spans = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(spans) == 8

    def beside(span):
        return [
            other["notebook"]
            for other in spans
            if other["west"] != span["west"]
            and other["from"] < span["to"]
            and other["to"] > span["from"]
        ]

    measuring = [span for span in spans if span["notebook"] == "10_latency"]
    assert [beside(span) for span in measuring] == [[], []]
    assert any(beside(span) for span in spans if span not in measuring)
