"""Chapter 07: a rate is read off a proxy's counter."""

import time

from labkit.chapters.traffic import requests
from labkit.checks import Check, Finding, Reason, passed
from labkit.context import WEST, LabContext
from labkit.exercises.answering import HINTS, NOT_ANSWERED, answer_of, number
from labkit.exercises.exercise import Exercise

ID = "07.exercise-rate"
WINDOW_S = 4.0
NEAR = 2.0
"""Factor by which an answer may be off: the few requests of a few seconds differ by that."""

_NOT_A_NUMBER = Reason("{answer} is no number")
_A_COUNT = Reason(
    "{answer:.0f} is a count, of all requests since the proxy started; a rate is a "
    "difference, divided by the time between"
)
_OFF = Reason("you say {answer:.2f} requests per second; just now it was {seen:.2f}", coming=True)
_NO_TRAFFIC = Reason("no request left west for east within {window:g} s", fix="labkit check 07")


def _look(lab: LabContext) -> Finding:
    given = answer_of(lab, ID)
    if given is None:
        return NOT_ANSWERED.seen()
    answer = number(given)
    if answer is None:
        return _NOT_A_NUMBER.seen(answer=given)
    before, started = requests(lab, WEST), time.monotonic()
    time.sleep(WINDOW_S)
    after = requests(lab, WEST)
    seen = (after - before) / (time.monotonic() - started)
    if seen <= 0:
        return _NO_TRAFFIC.seen(window=WINDOW_S)
    if seen / NEAR <= answer <= seen * NEAR:
        return passed(f"you say {answer:.2f} requests per second; just now it was {seen:.2f}")
    total = after - answer < 0.5 * after and answer > 5 * seen
    return _A_COUNT.seen(answer=answer) if total else _OFF.seen(answer=answer, seen=seen)


EXERCISES = (
    Exercise(
        Check(
            id=ID,
            title="you can make a rate of a counter",
            clusters=(WEST,),
            proves="proxies count and nothing else: every rate on a dashboard was made like this",
            fix=HINTS,
            look=_look,
            reasons=(NOT_ANSWERED, _NOT_A_NUMBER, _A_COUNT, _OFF, _NO_TRAFFIC),
        )
    ),
)
