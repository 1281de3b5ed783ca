"""The load generator's log becomes the plan: what was sent when, late, lost or never."""

import pytest

from labkit.chapters import load
from labkit.errors import StateError

BEGIN = 1_780_000_000_000_000_000
RATE = 100
STEP = 1_000_000_000 // RATE


def line(number, *, late_ms=0.0, latency_ms=150.0, status=200, error=""):
    sent = BEGIN + number * STEP + round(late_ms * 1e6)
    return f'{sent},{status},{round(latency_ms * 1e6)},0,0,"{error}",,,{number},GET,http://x/,'


def plan(lines):
    return load.read_results(lines, rate=RATE, seconds=1)


def test_latency_counts_from_the_intended_time():
    found = plan([line(n, late_ms=30.0 if n == 7 else 0.0) for n in range(RATE)])
    assert [request.number for request in found] == list(range(RATE))
    assert (found[7].late_us, found[7].latency_us) == (30_000, 180_000)
    assert (found[8].late_us, found[8].latency_us) == (0, 150_000)
    assert found[50].due_s == pytest.approx(BEGIN / 1e9 + 0.5)


def test_results_may_come_in_any_order():
    lines = [line(n) for n in range(RATE)]
    assert plan(lines[::-1]) == plan(lines)


def test_what_was_never_sent_is_in_the_plan_all_the_same():
    found = plan([line(n) for n in range(90)])
    assert [request.outcome for request in found[88:92]] == [
        *("response", "response", "dropped", "dropped")
    ]
    assert found[95].latency_us is None
    assert found[95].due_s == pytest.approx(BEGIN / 1e9 + 0.95)


def test_a_cut_log_is_not_taken_for_dropped_requests():
    found = plan([line(n) for n in range(40, RATE)])
    assert {request.outcome for request in found[:40]} == {"truncated"}
    assert {request.outcome for request in found[40:]} == {"response"}


def test_requests_without_a_response_keep_their_place_and_have_no_latency():
    slow = 'Get ""http://x/"": context deadline exceeded (Client.Timeout exceeded)'
    lines = [line(n) for n in range(RATE - 2)]
    lines += [line(98, status=0, error=slow), line(99, status=0, error="connection refused")]
    found = plan(lines)
    assert [(r.outcome, r.status, r.latency_us) for r in found[98:]] == [
        ("timeout", None, None),
        ("error", None, None),
    ]


def test_a_failure_of_the_server_is_a_response():
    found = plan([line(n, status=503, error="503 Service Unavailable") for n in range(RATE)])
    assert {(r.outcome, r.status) for r in found} == {("response", 503)}


@pytest.mark.parametrize("text", ["sh: vegeta: not found", "1,2,3", "a,b,c,d,e,f,g,h,i"])
def test_a_log_that_is_not_vegetas_is_told(text):
    with pytest.raises(StateError, match="not vegeta's CSV"):
        plan([line(0), text])


def test_no_results_make_no_plan():
    assert plan([]) == []
