"""Where everything of the lab's drawing stands, and in which state: the values behind the SVG.

A node lights up when the checks of its chapter hold. Every state is a sign and a word beside a
colour. Deliberately absent: markup, which is in `data/dashboard/topology.svg.j2`.
"""

from dataclasses import dataclass
from typing import Literal

from labkit.chapters.mirror import MIRROR
from labkit.chapters.multicluster_link import GATEWAY
from labkit.chapters.traffic import BOT
from labkit.context import EAST, WEST
from labkit.dashboard.judging import Edge, edges
from labkit.dashboard.snapshot import Snapshot
from labkit.rtt import rtt

State = Literal["absent", "there", "ok", "fault"]
SIGNS = {"absent": "○", "there": "…", "quiet": "…", "ok": "✔", "fault": "✘"}
CONTROLLER = f"controller-{EAST}"
_LEGACY = f"linkerd-service-mirror-{EAST}"


@dataclass(frozen=True)
class Node:
    """One box.

    Attributes:
        name: first line.
        detail: second line.
        state: `absent`, `there` (not yet proved by checks), `ok`, `fault`.
        x: left edge in units of the drawing; `y`, `width`, `height` likewise.
    """

    name: str
    detail: str
    state: State
    x: int
    y: int
    width: int = 144
    height: int = 48

    @property
    def sign(self) -> str:
        """The state as a sign."""
        return SIGNS[self.state]


@dataclass(frozen=True)
class Way:
    """One arrow.

    Attributes:
        edge: what it shows.
        path: SVG path.
        x: where its words stand; `y` likewise.
        anchor: SVG text-anchor of the words.
        wide: whether words and figures stand above and below the line.
    """

    edge: Edge
    path: str
    x: int
    y: int
    anchor: str = "middle"
    wide: bool = False

    @property
    def sign(self) -> str:
        """The state as a sign."""
        return SIGNS[self.edge.health]


@dataclass(frozen=True)
class Drawing:
    """The whole drawing.

    Attributes:
        nodes: boxes.
        ways: arrows.
        chips: cluster → its small signs: API server, linkerd, viz.
        anchor: the trust anchor's state in words.
        wan: the network between the regions in words.
        description: all of it as text, for those who do not see it.
    """

    nodes: tuple[Node, ...]
    ways: tuple[Way, ...]
    chips: dict[str, tuple[tuple[str, str], ...]]
    anchor: str
    wan: str
    description: str


def draw(snapshot: Snapshot) -> Drawing:
    """The drawing of a snapshot."""
    nodes = _nodes(snapshot)
    found = edges(snapshot)
    ways = (
        Way(found["link"], "M402 150 H798", 600, 150, wide=True),
        Way(found["votes"], "M402 252 H798", 600, 252, wide=True),
        Way(found["gateway-web"], "M960 252 H1110", 1034, 243),
        Way(found["web-emoji"], "M1136 276 V306 H872 V334", 1004, 299),
        Way(found["web-voting"], "M1208 276 V334", 1198, 328, anchor="end"),
    )
    return Drawing(
        nodes=nodes,
        ways=ways,
        chips={name: _chips(snapshot, name) for name in (WEST, EAST)},
        anchor="✔ one trust anchor" if snapshot.reached("02") else "",
        wan=_wan(snapshot),
        description="; ".join(f"{e.source} to {e.target}: {e.words}" for e in found.values()),
    )


def _nodes(snapshot: Snapshot) -> tuple[Node, ...]:
    west = snapshot.clusters.get(WEST)
    controller = _LEGACY if west and west.workload(_LEGACY) else CONTROLLER
    mirrored = west is not None and MIRROR in west.mirrors
    service: State = "absent"
    if mirrored:
        service = "ok" if snapshot.reached("06") else "there"
    return (
        _node(snapshot, WEST, controller, "04", (224, 126), width=176, what="service mirror"),
        _node(snapshot, WEST, BOT, "05", (32, 228)),
        Node(f"svc/{MIRROR}", "mirrored service", service, 224, 228, width=176),
        _node(snapshot, EAST, GATEWAY, "04", (800, 126), width=160, height=150, what="port 4143"),
        _node(snapshot, EAST, "web", "05", (1112, 228)),
        _node(snapshot, EAST, "emoji", "05", (800, 336)),
        _node(snapshot, EAST, "voting", "05", (1112, 336)),
    )


def _node(
    snapshot: Snapshot,
    cluster: str,
    name: str,
    chapter: str,
    place: tuple[int, int],
    *,
    what: str = "",
    width: int = 144,
    height: int = 48,
) -> Node:
    view = snapshot.clusters.get(cluster)
    found = view.workload(name) if view else None
    state: State = "absent"
    detail = f"chapter {chapter}"
    if found is not None:
        state = "ok" if snapshot.reached(chapter) else "there"
        state = state if found.well else "fault"
        detail = f"{found.ready}/{found.wanted} ready" + (f" · {what}" if what else "")
    return Node(name, detail, state, *place, width=width, height=height)


def _chips(snapshot: Snapshot, cluster: str) -> tuple[tuple[str, str], ...]:
    """Small signs in a cluster's corner: text and state."""
    view = snapshot.clusters.get(cluster)
    if cluster in snapshot.problems:
        return (("✘ API server does not answer", "fault"),)
    if view is None:
        return (("… reading", "there"),)
    found = [("✔ API server" if snapshot.reached("01") else "… API server", "ok")]
    for namespace, name in (("linkerd", "linkerd"), ("linkerd-viz", "viz")):
        own = [w for w in view.workloads if w.namespace == namespace]
        if own:
            state = "fault" if not all(w.well for w in own) else "ok"
            state = state if state == "fault" or snapshot.reached("03") else "there"
            found.append((f"{SIGNS[state]} {name}", state))
    return tuple(found)


def _wan(snapshot: Snapshot) -> str:
    if snapshot.wan is not None:
        changed = "changed live" if snapshot.wan.changed else "emulated"
        if snapshot.wan.now.blackhole:
            return "WAN  ✘ black hole: nothing passes"
        return f"WAN  {snapshot.wan.now.rtt_ms:g} ms round trip ({changed})"
    if not snapshot.regions:
        return "WAN"
    known = rtt(snapshot.regions[WEST], snapshot.regions[EAST])
    return f"WAN  about {known.value_ms:g} ms round trip ({known.source})"
