"""How busy the cores were between two moments."""

import time

import pytest

from labkit.clouds.cores import CoreTimes, core_times


def test_shares_are_of_all_cores_and_of_the_time_between():
    before = CoreTimes(cores=2, busy_s=100.0, stolen_s=10.0, idle_s=1000.0)
    after = CoreTimes(cores=2, busy_s=103.0, stolen_s=11.0, idle_s=1016.0)
    assert after.since(before) == {"cores": 2, "busy": 0.15, "stolen": 0.05}


def test_no_time_has_no_shares():
    now = CoreTimes(cores=4, busy_s=1.0, stolen_s=0.0, idle_s=1.0)
    assert now.since(now) == {"cores": 4, "busy": 0.0, "stolen": 0.0}


def test_a_program_that_works_is_seen():
    before, until = core_times(), time.monotonic() + 1.0
    while time.monotonic() < until:
        pass
    found = core_times().since(before)
    assert found["cores"] >= 1
    assert 0.4 / found["cores"] <= found["busy"] + found["stolen"] <= 1
    assert found["stolen"] >= 0


def test_cores_and_idleness_only_grow():
    before, after = core_times(), core_times()
    assert after.busy_s >= before.busy_s
    assert after.idle_s == pytest.approx(before.idle_s, abs=5.0 * after.cores)
