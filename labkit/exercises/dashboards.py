"""Chapter 09: the deployment that fails most is found, and what fails in it."""

from labkit.chapters.dashboards import SUCCESS_WINDOW_S, read_cluster
from labkit.chapters.emojivoto import KEPT
from labkit.checks import Check, Finding, Reason, passed
from labkit.context import EAST, LabContext
from labkit.exercises.answering import HINTS, NOT_ANSWERED, answer_of, words
from labkit.exercises.exercise import Exercise

ID = "09.exercise-worst"
PASSES_ON = "web"
"""It fails only when what it asks does, and viz may know of the one before the other."""

FAILS = "VoteDoughnut"
"""emojivoto's programs fail this method always, by design."""

_NO_FAILURE = Reason(
    "nothing behind web has failed in the last {window} s, as viz sees it: look again in a minute",
    coming=True,
    status="warn",
)
_UNKNOWN = Reason("{name} is no deployment of emojivoto in east")
_NOT_WORST = Reason("{name} answers {success:.1%} with success; another one answers fewer")
_WHY = Reason("{name} is right; `{path}` is not what fails")


def _look(lab: LabContext) -> Finding:
    answer = words(answer_of(lab, ID), "deployment", "path")
    if answer is None:
        return NOT_ANSWERED.seen()
    name, path = answer[0].removeprefix("deploy/"), answer[1]
    if name not in KEPT[EAST]:
        return _UNKNOWN.seen(name=name)
    shares = {
        row.deployment: row.success
        for row in read_cluster(lab, EAST, SUCCESS_WINDOW_S)
        if row.direction == "inbound" and row.deployment in KEPT[EAST] and row.success is not None
    }
    worst = min((share for other, share in shares.items() if other != PASSES_ON), default=1.0)
    if worst >= 1:
        return _NO_FAILURE.seen(window=SUCCESS_WINDOW_S)
    if shares.get(name, 1.0) > worst:
        return _NOT_WORST.seen(name=name, success=shares.get(name, 1.0))
    if FAILS.lower() not in path.lower():
        return _WHY.seen(name=name, path=path)
    return passed(f"{name} answers {shares[name]:.1%} with success, because {FAILS} fails")


EXERCISES = (
    Exercise(
        Check(
            id=ID,
            title="you know which deployment fails most, and on what",
            clusters=(EAST,),
            proves="a rate says that something is wrong, tap says what",
            fix=HINTS,
            look=_look,
            reasons=(NOT_ANSWERED, _NO_FAILURE, _UNKNOWN, _NOT_WORST, _WHY),
        )
    ),
)
