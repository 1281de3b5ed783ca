"""The drawing of the lab: two clusters, what runs in them, and how a vote travels.

It is drawn from what a chapter has reached, so the learner sees the lab grow. Colours are
distinguishable for colour-blind readers and every meaning is written out as well.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.rtt import rtt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGES = ("clusters", "mesh", "link", "emojivoto", "mirror", "traffic")
"""What the lab has reached; each stage includes those before it."""

_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#8c959f"


def draw_topology(
    west_region: str, east_region: str, *, stage: str, rtt_ms: float | None = None
) -> "Figure":
    """Draw the lab at a stage.

    Args:
        west_region: region slug of the cluster that sends.
        east_region: region slug of the cluster that serves.
        stage: one of `STAGES`.
        rtt_ms: round-trip time to write on the WAN, None for the table's.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: the stage is unknown.
    """
    from labkit.picture import Picture

    reached = STAGES[: STAGES.index(stage) + 1]
    figure = Picture(figsize=(9.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(0, 100), ylim=(0, 40))
    axes.axis("off")
    _cluster(axes, 1, "west", west_region, _west(reached))
    _cluster(axes, 67, "east", east_region, _east(reached))
    known = rtt(west_region, east_region, override_ms=rtt_ms)
    axes.annotate(
        f"WAN  {known.value_ms:.1f} ms round trip ({known.source})\n"
        f"light in fibre: {known.floor_ms:.1f} ms",
        (50, 36),
        ha="center",
        va="center",
        fontsize=9,
        color=_GREY,
    )
    _arrows(axes, reached)
    return figure


def _cluster(axes: "Axes", x: float, name: str, region: str, contents: Sequence[str]) -> None:
    from matplotlib.patches import FancyBboxPatch

    box = FancyBboxPatch(
        (x, 3), 32, 31, boxstyle="round,pad=0.4", fc="#f6f8fa", ec=_BLUE, linewidth=1.4
    )
    axes.add_patch(box)
    axes.text(x + 1, 36.6, f"{name} ({region})", fontsize=12, weight="bold", va="center")
    for row, text in enumerate(contents):
        axes.text(x + 1.5, 31 - row * 4.6, text, fontsize=9, family="monospace", va="center")


def _west(reached: Sequence[str]) -> list[str]:
    lines = ["own nodes, own API server"]
    if "mesh" in reached:
        lines = ["linkerd + viz"]
    if "link" in reached:
        lines += ["gateway", "controller-east (mirror)"]
    if "emojivoto" in reached:
        lines.append("vote-bot [proxy]")
    if "mirror" in reached:
        lines.append("svc/web-svc-east (mirrored)")
    return lines


def _east(reached: Sequence[str]) -> list[str]:
    lines = ["own nodes, own API server"]
    if "mesh" in reached:
        lines = ["linkerd + viz"]
    if "link" in reached:
        lines.append("gateway :4143")
    if "emojivoto" in reached:
        lines += ["web [proxy]", "emoji [proxy]  voting [proxy]"]
    if "mirror" in reached:
        lines.append("svc/web-svc (exported)")
    return lines


def _arrows(axes: "Axes", reached: Sequence[str]) -> None:
    if "mesh" in reached:
        axes.text(50, 29, "one trust anchor", ha="center", fontsize=9, color=_GREEN)
    if "link" in reached:
        _arrow(axes, 22, "Link: west → east", _BLUE, dashed=True)
    if "traffic" in reached:
        _arrow(axes, 13, "votes, mutual TLS", _ORANGE, dashed=False)


def _arrow(axes: "Axes", y: float, text: str, colour: str, *, dashed: bool) -> None:
    style = {"arrowstyle": "->", "color": colour, "linewidth": 1.8}
    if dashed:
        style["linestyle"] = "--"
    axes.annotate("", xy=(66, y), xytext=(34, y), arrowprops=style)
    axes.text(50, y + 1.6, text, ha="center", fontsize=9, color=colour)
