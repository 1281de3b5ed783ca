"""Drill: nothing passes between the regions, and nothing says so."""

from typing import Any

from labkit.checks import Finding, failed
from labkit.context import LabContext
from labkit.drills.drill import Before, Drill, Symptom
from labkit.drills.votes import DEAD_GATEWAY, NO_VOTES, proof
from labkit.errors import StateError


def needs(lab: LabContext) -> str:
    """Why the network of this cloud cannot be cut; empty: it can."""
    if lab.cloud.wan() is not None:
        return ""
    return (
        f"the network of cloud {lab.cloud.name} is a real one; `labkit drill gateway-unreachable` "
        "has the same alarm from the other end"
    )


def _cut(lab: LabContext, *, cut: bool) -> None:
    control = lab.cloud.wan()
    if control is None:
        raise StateError("The network of this cloud cannot be cut", seen=needs(lab))
    control.set(blackhole=cut)


def look(lab: LabContext) -> dict[str, Any]:
    """Nothing to remember: healed is a network that passes everything."""
    del lab
    return {}


def inject(lab: LabContext, before: Before) -> None:
    """Cut the network between the regions."""
    del before
    _cut(lab, cut=True)


def cut(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether the network lets nothing pass."""
    del before
    control = lab.cloud.wan()
    now = control is not None and control.show().now.blackhole
    return now, "nothing passes" if now else "the network passes everything"


def verify(lab: LabContext, before: Before) -> Finding:
    """The network passes, the probe is alive, and votes arrive."""
    seen, what = cut(lab, before)
    return failed(what) if seen else proof(lab, "04.probe")


def heal(lab: LabContext, before: Before) -> None:
    """Mend the network."""
    del before
    _cut(lab, cut=False)


DRILL = Drill(
    name="wan-black-hole",
    title="nothing passed between the regions",
    task="Votes from west hang and then fail. Every pod in both clusters is Ready, and every "
    "Service has its endpoints. Find out where the requests are lost, and mend it.",
    breaks="the network between the regions: it swallows everything, without a word.",
    symptoms=(
        NO_VOTES,
        DEAD_GATEWAY,
        Symptom(where="labkit wan show", what="the network is a black hole", look=cut),
    ),
    hints=(
        (
            "Take the way of a request in pieces: robot, its proxy, the ocean, the gateway, web. "
            "Which is the last piece that sees it? `linkerd viz tap` works on both sides."
        ),
        (
            "Refused connections fail at once; these time out. No program says no: packets are "
            "lost between the regions."
        ),
        "`labkit wan show` tells about the network, `labkit wan set --no-blackhole` mends it.",
    ),
    look=look,
    inject=inject,
    verify=verify,
    heal=heal,
    needs=needs,
)
