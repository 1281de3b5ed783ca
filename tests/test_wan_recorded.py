"""What a live change of the network does to the figures: it is told, and never passed as the pair's."""

import pytest

from labkit.chapters.latency_figures import _wan_warnings
from labkit.clouds import WanChange, WanState, WanValues

PAIR = WanValues(145.9, 0.4, 0.0)


def state(now, *changes):
    return WanState(initial=PAIR, now=now, changed=now != PAIR, changes=changes)


@pytest.mark.parametrize(
    ("now", "given"),
    [(PAIR, None), (WanValues(145.9, 9.0, 0.1), None), (WanValues(80.0, 0.4, 0.0), 80.0)],
    ids=["as asked", "only jitter and loss", "round trip"],
)
def test_a_round_trip_counts_as_given_only_when_it_was_set(now, given):
    assert state(now).given_rtt_ms == given


def test_the_changes_of_a_period_are_those_within_it():
    changes = [WanChange(float(time), f"at {time}") for time in (10, 20, 30)]
    found = state(PAIR, *changes).between(15, 30)
    assert [change.text for change in found] == ["at 20", "at 30"]


def test_a_measurement_says_what_was_done_to_the_network():
    untouched = {"rtt_ms": 145.9, "jitter_ms": 0.4, "loss": 0.0, "changed": False, "changes": []}
    assert _wan_warnings({}) == []
    assert _wan_warnings(untouched) == []
    (before,) = _wan_warnings({**untouched, "rtt_ms": 80.0, "changed": True})
    assert before == (
        "the WAN is not as the parameters ask, it was set to 80 ms, jitter 0.4 ms, loss 0"
    )
    change = {"time": 1_764_086_400.0, "text": "sfo3–syd1 round trip 145.9 → 80 ms"}
    (during,) = _wan_warnings({**untouched, "changes": [change]})
    assert during == (
        "the WAN was changed during the measurement, figures mix both: "
        "sfo3–syd1 round trip 145.9 → 80 ms at 16:00:00Z"
    )
