"""Running checks: bounds, waits, and what one of them must not do to the others."""

import threading
import time

import pytest

from labkit.checking import run_checks
from labkit.checks import Check, Reason, passed, warned
from labkit.errors import KubernetesError, StateError

PATIENCE_S = 60


def check(identifier, look, *, limit_s=20.0):
    return Check(
        id=identifier,
        title=f"title of {identifier}",
        clusters=("west",),
        proves="that it holds",
        fix="labkit up",
        look=look,
        limit_s=limit_s,
    )


def fine(lab):
    return passed("fine")


def old(lab):
    return warned("old")


class Coming:
    """Becomes right at the third look."""

    reason = Reason("{n} of 3 looks", coming=True)

    def __init__(self):
        self.looks = 0

    def __call__(self, _):
        self.looks += 1
        return passed("there") if self.looks == 3 else self.reason.seen(n=self.looks)


def test_an_error_becomes_a_failed_check_with_its_fix_and_the_others_still_run():
    def no_lab(lab):
        raise StateError("The lab is down", seen="no kubeconfig", fix="labkit solve 01")

    done = run_checks(None, [check("01.a", no_lab), check("01.b", fine)])
    assert [outcome.status for outcome in done.outcomes] == ["fail", "pass"]
    assert done.outcomes[0].reason == "The lab is down. Seen: no kubeconfig."
    assert done.outcomes[0].fix == "labkit solve 01"


def test_a_broken_check_fails_and_hides_no_other():
    def broken(lab):
        return {}["status"]

    done = run_checks(None, [check("01.a", broken), check("01.b", old)])
    assert done.outcomes[0].reason == "the check itself broke: KeyError: 'status'"
    assert done.exit_code == 1
    assert len(done.outcomes) == 2


def test_an_interruption_is_no_finding():
    def interrupted(lab):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_checks(None, [check("01.a", interrupted)])


def test_outcomes_come_in_the_order_of_the_checks_and_no_more_run_than_may():
    going, most, turn = [], [], threading.Lock()

    def slow(lab):
        with turn:
            going.append(1)
            most.append(len(going))
        time.sleep(0.02)
        with turn:
            going.pop()
        return passed("fine")

    names = [f"01.{n}" for n in range(20)]
    done = run_checks(None, [check(name, slow) for name in names])
    assert [outcome.id for outcome in done.outcomes] == names
    assert max(most) <= 4


def test_what_is_coming_up_is_looked_at_again():
    coming = Coming()
    done = run_checks(None, [check("01.a", coming)])
    assert done.outcomes[0].reason == "there"
    assert done.outcomes[0].fix == "labkit up"


def test_one_look_is_enough_where_nothing_is_waited_for():
    coming = Coming()
    done = run_checks(None, [check("01.a", coming)], wait=False)
    assert (coming.looks, done.outcomes[0].reason) == (1, "1 of 3 looks")


def test_what_does_not_come_by_itself_is_not_waited_for():
    looks = []

    def final(lab):
        looks.append(1)
        return Reason("gone").seen()

    run_checks(None, [check("01.a", final)])
    assert len(looks) == 1


def test_an_api_server_that_restarts_is_waited_for_and_a_refusal_is_not():
    statuses = [503, None, 403]

    def look(lab):
        raise KubernetesError("listing nodes", status=statuses.pop(0))

    assert run_checks(None, [check("01.a", look)]).exit_code == 1
    assert statuses == []


def test_waiting_ends_at_the_bound_with_what_was_seen_last(capsys):
    never = Reason("0 of 3 Ready", coming=True)
    done = run_checks(None, [check("01.a", lambda _: never.seen(), limit_s=4)])
    assert done.outcomes[0].reason == "0 of 3 Ready"
    assert "01.a: not yet: 0 of 3 Ready (up to 4 s)" in capsys.readouterr().err


def test_a_check_that_hangs_ends_at_its_bound_with_a_reason_and_hides_no_other(capsys):
    freed = threading.Event()

    def hangs(lab):
        freed.wait(PATIENCE_S)
        return passed("too late")

    try:
        hanging = [check(f"01.{n}", hangs, limit_s=0.3) for n in range(5)]
        done = run_checks(None, [*hanging, check("01.z", fine)])
    finally:
        freed.set()
    assert [outcome.status for outcome in done.outcomes] == ["fail"] * 5 + ["pass"]
    assert done.outcomes[0].reason == "no answer within 0.3 s; the check was left"


def test_a_hanging_check_does_not_keep_the_command_from_ending(tmp_path):
    """A process whose check hangs for good ends by itself after its bound."""
    import subprocess
    import sys

    script = tmp_path / "hang.py"
    script.write_text(
        "import threading\n"
        "from labkit.checking import run_checks\n"
        "from labkit.checks import Check\n"
        "look = lambda lab: threading.Event().wait()\n"
        "hung = Check('01.a', 'title', (), 'p', 'labkit up', look, limit_s=0.5)\n"
        "print(run_checks(None, [hung]).exit_code)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
