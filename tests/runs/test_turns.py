"""Turns of runs that share a machine: many work, one measures, and nobody beside it."""

import subprocess
import sys
import threading

import pytest

from labkit.runs.turns import ALONE, SharedTurns

HOLD = """
import sys
from pathlib import Path
from labkit.runs.turns import SharedTurns
with SharedTurns(Path(sys.argv[1])).measuring(lambda: False):
    print("measuring", flush=True)
    sys.stdin.read()
"""


class Run:
    """A thread that takes a turn, and keeps it until it is let go."""

    def __init__(self, folder, kind):
        self.told, self.has_it = threading.Event(), threading.Event()
        self.go, self.over = threading.Event(), threading.Event()
        turns = SharedTurns(folder, self.told.set)
        kinds = {"working": turns.working, "measuring": lambda: turns.measuring(self.over.is_set)}
        self._turn = kinds[kind]
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self):
        with self._turn():
            self.has_it.set()
            self.go.wait(30)

    def waits(self):
        return not self.has_it.wait(0.6)

    def ends(self):
        self.go.set()
        self._thread.join(30)


@pytest.fixture
def start(tmp_path):
    running = []

    def begin(kind):
        running.append(Run(tmp_path, kind))
        return running[-1]

    yield begin
    for run in running:
        run.ends()


def test_many_work_at_the_same_time(start):
    assert all(run.has_it.wait(10) for run in [start("working") for _ in range(3)])


def test_who_measures_waits_for_all_who_work_and_nobody_begins_meanwhile(start):
    one, other = start("working"), start("working")
    assert one.has_it.wait(10)
    assert other.has_it.wait(10)
    measuring = start("measuring")
    assert measuring.told.wait(10), "it waits for the two"
    late = start("working")
    one.ends()
    assert measuring.waits()
    assert late.waits()
    other.ends()
    assert measuring.has_it.wait(10)
    assert late.waits()
    measuring.ends()
    assert late.has_it.wait(10)


def test_one_measures_at_a_time(start):
    first = start("measuring")
    assert first.has_it.wait(10)
    second = start("measuring")
    assert second.waits()
    first.ends()
    assert second.has_it.wait(10)


def test_when_the_measurement_is_over_others_work_and_nobody_else_measures(start):
    first = start("measuring")
    assert first.has_it.wait(10)
    worker = start("working")
    assert worker.waits()
    first.over.set()
    assert worker.has_it.wait(10)
    second = start("measuring")
    worker.ends()
    assert second.waits()
    first.ends()
    assert second.has_it.wait(10)


def test_a_killed_process_gives_its_turn_back(tmp_path, start):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "measuring\n"
    waiting = start("working")
    assert waiting.waits()
    process.kill()
    process.communicate()
    assert waiting.has_it.wait(10)


def test_who_has_to_wait_is_told_so(start):
    measuring = start("measuring")
    assert measuring.has_it.wait(10)
    waiting = start("working")
    assert waiting.told.wait(10)
    measuring.ends()
    assert waiting.has_it.wait(10)
    assert not measuring.told.is_set()


def test_alone_every_turn_comes_at_once():
    with ALONE.working(), ALONE.measuring(bool), ALONE.measuring(bool):
        pass
