"""`labkit drill` without a lab."""

import json

import pytest

from labkit.drills import DRILLS


def test_the_drills_can_be_listed_without_a_lab(home):
    done = home.run("drill", "--list", "--json")
    assert done.returncode == 0
    assert [row["drill"] for row in json.loads(done.stdout)] == list(DRILLS)
    assert home.run("drill").stdout == home.run("drill", "--list").stdout


@pytest.mark.parametrize("words", [["unmeshed-client"], ["--heal"], ["--hint"], ["--verify"]])
def test_without_a_lab_the_way_to_one_is_told(home, words):
    done = home.run("drill", *words)
    assert done.returncode == 1
    assert "`labkit up`" in done.stderr


def test_two_wishes_at_once_are_refused(home):
    done = home.run("drill", "unmeshed-client", "--hint", "--heal")
    assert done.returncode == 2
    assert "Choose one" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("drill", DRILLS.values(), ids=list(DRILLS))
def test_the_task_does_not_tell_the_cause(drill):
    for word in ("selector", "label", "annotation", "blackhole", "policy", "anchor", "issuer"):
        assert word not in drill.task
    assert len(set(drill.hints)) == 3
