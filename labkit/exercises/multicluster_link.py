"""Chapter 04: the gateway's address that a Link holds."""

from labkit.chapters.multicluster_link import gateway_addresses, the_link
from labkit.checks import Check, Finding, Reason, passed
from labkit.context import EAST, WEST, LabContext
from labkit.exercises.answering import HINTS, NOT_ANSWERED, answer_of
from labkit.exercises.exercise import Exercise

ID = "04.exercise-gateway"
_PORT = Reason("{answer} has a port; the address alone is asked for")
_WEST = Reason("{answer} is the address of west's own gateway: the Link is of the other side")
_OTHER = Reason("the Link in west does not hold {answer}")


def _look(lab: LabContext) -> Finding:
    answer = answer_of(lab, ID)
    if answer is None:
        return NOT_ANSWERED.seen()
    held = str(the_link(lab)["spec"]["gatewayAddress"])
    if str(answer) == held:
        return passed(f"the Link sends west's requests to {held}")
    if str(answer).startswith(f"{held}:"):
        return _PORT.seen(answer=answer)
    own = gateway_addresses(lab, WEST)
    return (_WEST if answer in own else _OTHER).seen(answer=answer)


EXERCISES = (
    Exercise(
        Check(
            id=ID,
            title="you know where a Link sends requests",
            clusters=(WEST, EAST),
            proves="it is the first thing to compare when a mirrored service does not answer",
            fix=HINTS,
            look=_look,
            reasons=(NOT_ANSWERED, _PORT, _WEST, _OTHER),
        )
    ),
)
