"""Says what is wrong with a lab, from a snapshot alone: the state of each edge, and alerts.

Chapters that were not reached yet are no fault. Faults are judged by what shows them first: pods,
the gateway's probe (dead after three probes, 3 s apart), the answers that tap shows.
"""

from dataclasses import dataclass
from typing import Literal

from labkit.chapters.mirror import MIRROR
from labkit.chapters.mtls import GATEWAY_PORT
from labkit.chapters.multicluster_link import GATEWAY
from labkit.chapters.traffic import BOT
from labkit.clients.tap import TapRequest
from labkit.context import CLUSTERS, EAST, WEST
from labkit.dashboard.snapshot import Flow, Snapshot

Health = Literal["absent", "quiet", "ok", "fault"]
SILENT_S = 6.0
"""The robot asks twice a second; so long without any answer is no chance."""
STALE_S = 12.0


@dataclass(frozen=True)
class Edge:
    """One way of requests.

    Attributes:
        id: as `votes`.
        source: where it begins, for people.
        target: where it ends.
        health: `absent` before its chapter, `quiet` without requests, `ok` or `fault`.
        words: the state in words, never by colour alone.
        figures: requests per second, success, latency; with n, window and vantage point.
    """

    id: str
    source: str
    target: str
    health: Health
    words: str
    figures: str = ""


@dataclass(frozen=True)
class Alert:
    """Something to look at.

    Attributes:
        level: `fault`, or `note` for what is meant to be so.
        text: what was seen, in a sentence.
        fix: what to look at next, may be empty.
    """

    level: Literal["fault", "note"]
    text: str
    fix: str = ""


def edges(snapshot: Snapshot) -> dict[str, Edge]:
    """Every edge of the drawing, by id."""
    inside = [
        _inside(snapshot, "gateway-web", GATEWAY, "web"),
        _inside(snapshot, "web-emoji", "web", "emoji"),
        _inside(snapshot, "web-voting", "web", "voting"),
    ]
    return {edge.id: edge for edge in (_link(snapshot), _votes(snapshot), *inside)}


def _pods_fault(snapshot: Snapshot, cluster: str, name: str) -> str:
    """What is wrong with the pods of a deployment; empty when nothing is, or it is not there."""
    view = snapshot.clusters.get(cluster)
    found = view.workload(name) if view else None
    if found is None or found.well:
        return ""
    if found.wanted == 0:
        return f"{name} ({cluster}) is scaled to 0"
    return f"{name} ({cluster}): {found.ready} of {found.wanted} pods ready"


def _link(snapshot: Snapshot) -> Edge:
    west = snapshot.clusters.get(WEST)
    ends = ("service mirror (west)", "gateway (east)")
    if west is None or EAST not in west.linked_to:
        return Edge("link", *ends, "absent", "no Link yet")
    probe = snapshot.probe
    fault = _pods_fault(snapshot, EAST, GATEWAY)
    if probe is None:
        if fault:
            return Edge("link", *ends, "fault", fault)
        return Edge("link", *ends, "quiet", "no probe seen yet")
    figures = f"last probe {probe.latency_ms} ms round trip (service mirror in west)"
    if fault or not probe.alive:
        return Edge("link", *ends, "fault", fault or "gateway probe not answered", figures)
    return Edge("link", *ends, "ok", "gateway probe alive", figures)


def _votes(snapshot: Snapshot) -> Edge:
    ends = (f"{BOT} (west)", "gateway (east)")
    west = snapshot.clusters.get(WEST)
    if west is None or west.workload(BOT) is None or MIRROR not in west.mirrors:
        return Edge("votes", *ends, "absent", "no way to east yet")
    live, silent = snapshot.live(), snapshot.silent_s()
    to_east = west.flow(BOT, MIRROR)
    if to_east is None and not any(_to_east(r) for r in snapshot.tapped.requests[-3:]):
        return Edge("votes", *ends, "quiet", f"{BOT} does not vote in east")
    figures = _live_figures(snapshot)
    reasons = [
        _pods_fault(snapshot, WEST, BOT),
        _pods_fault(snapshot, EAST, GATEWAY),
        f"no answer for {silent:.0f} s" if silent is not None and silent > SILENT_S else "",
        "answers come from proxies, not from web" if live.unreachable >= 3 else "",
    ]
    fault = next((reason for reason in reasons if reason), "")
    if fault:
        return Edge("votes", *ends, "fault", fault, figures)
    if not live.n:
        return Edge("votes", *ends, "quiet", "waiting for tap", figures)
    return Edge("votes", *ends, "ok", "votes arrive", figures)


def _to_east(request: TapRequest) -> bool:
    return request.destination.endswith(f":{GATEWAY_PORT}")


def _live_figures(snapshot: Snapshot) -> str:
    live = snapshot.live()
    if not live.n:
        return ""
    median = "p50 –" if live.p50_ms is None else f"p50 {live.p50_ms:.0f} ms"
    return f"{live.rps:.1f} req/s · {live.success or 0:.0%} ok · {median} · n={live.n}"


def _inside(snapshot: Snapshot, name: str, source: str, target: str) -> Edge:
    east = snapshot.clusters.get(EAST)
    if east is None or not (east.workload(source) and east.workload(target)):
        return Edge(name, source, target, "absent", "not there yet")
    flow = east.flow(source, target)
    figures = flow_figures(flow)
    fault = _pods_fault(snapshot, EAST, target) or _pods_fault(snapshot, EAST, source)
    if fault:
        return Edge(name, source, target, "fault", fault, figures)
    if flow is None or flow.requests < 1:
        return Edge(name, source, target, "quiet", "no requests")
    return Edge(name, source, target, "ok", "requests flow", figures)


def flow_figures(flow: Flow | None) -> str:
    """Requests per second and success of a flow."""
    if flow is None or flow.success is None:
        return ""
    return f"{flow.rps:.1f} req/s · {flow.success:.0%} ok"


def alerts(snapshot: Snapshot) -> list[Alert]:
    """What to look at, faults first."""
    if snapshot.down:
        return [Alert("fault", snapshot.down)]
    found = [*_broken(snapshot), *_pods(snapshot)]
    found += [
        Alert("fault", f"check {check}: {reason}", fix)
        for chapter in snapshot.chapters
        if chapter.status == "fail" and snapshot.reached(f"{int(chapter.number) + 1:02}")
        for check, reason, fix in chapter.failures
    ]
    for name in CLUSTERS:
        if name in snapshot.problems:
            found.append(Alert("fault", f"{name} cannot be read: {snapshot.problems[name]}"))
    return [*found, *_notes(snapshot)]


def _broken(snapshot: Snapshot) -> list[Alert]:
    """One alert for each cause, with all the edges that it breaks."""
    causes: dict[str, list[Edge]] = {}
    for edge in edges(snapshot).values():
        if edge.health == "fault":
            causes.setdefault(edge.words, []).append(edge)
    return [
        Alert(
            "fault",
            f"{words}. Broken: {', '.join(f'{e.source} → {e.target}' for e in broken)}",
            _fix(broken[0].id),
        )
        for words, broken in causes.items()
    ]


def _pods(snapshot: Snapshot) -> list[Alert]:
    named = " ".join(edge.words for edge in edges(snapshot).values())
    return [
        Alert("fault", fault, f"kubectl --context {name} -n {w.namespace} get pods")
        for name, view in snapshot.clusters.items()
        for w in view.workloads
        if (fault := _pods_fault(snapshot, name, w.name)) and fault not in named
    ]


def _fix(edge: str) -> str:
    if edge in ("link", "votes"):
        return f"linkerd --context {WEST} multicluster gateways"
    return f"kubectl --context {EAST} -n emojivoto get pods"


def _notes(snapshot: Snapshot) -> list[Alert]:
    found = []
    wan = snapshot.wan
    if wan is not None and wan.changed:
        found.append(
            Alert("note", f"the network was changed: {wan.changes[-1].text}", "labkit wan reset")
        )
    for name, problem in snapshot.problems.items():
        if name not in CLUSTERS:
            found.append(Alert("note", f"{name} cannot be read: {problem}"))
    for name in CLUSTERS:
        age = snapshot.ages_s.get(name, 0.0)
        if age > STALE_S and name not in snapshot.problems:
            found.append(Alert("note", f"figures of {name} are {age:.0f} s old"))
    return found
