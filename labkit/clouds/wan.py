"""A wide-area network that can be changed while the lab is up.

Only a cloud that emulates its network has one; every other cloud answers that it has none, and
nobody else needs to know why. Values are of the pair of the lab's two regions.
"""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class WanValues:
    """What the way between the lab's two regions is like.

    Attributes:
        rtt_ms: round trip in ms.
        jitter_ms: standard deviation of the round trip in ms.
        loss: share of lost segments, seen as retransmission delay.
        jitter_law: distribution of the jitter, as the parameter `wan_jitter_law`.
        blackhole: nothing passes, in either direction.
    """

    rtt_ms: float
    jitter_ms: float
    loss: float
    jitter_law: str = "normal"
    blackhole: bool = False


@dataclass(frozen=True)
class WanChange:
    """A change that was made.

    Attributes:
        time: when it was in force, seconds since 1970.
        text: what changed, for people and charts.
    """

    time: float
    text: str


@dataclass(frozen=True)
class WanState:
    """The network now.

    Attributes:
        initial: as the lab's parameters ask.
        now: as it is.
        changed: whether anything differs from the parameters.
        changes: every change since the lab was made, resets too, oldest first.
    """

    initial: WanValues
    now: WanValues
    changed: bool
    changes: tuple[WanChange, ...]

    @property
    def given_rtt_ms(self) -> float | None:
        """The round trip that somebody set live, in ms; None when it is as the parameters ask."""
        return None if self.now.rtt_ms == self.initial.rtt_ms else self.now.rtt_ms

    def between(self, start: float, end: float) -> tuple[WanChange, ...]:
        """The changes of a period, in seconds since 1970."""
        return tuple(change for change in self.changes if start <= change.time <= end)

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "initial": vars(self.initial),
            "now": vars(self.now),
            "changed": self.changed,
            "changes": [vars(change) for change in self.changes],
        }


class WanControl(Protocol):
    """The network between the lab's two regions."""

    def show(self) -> WanState:
        """As it is now."""

    def set(
        self,
        *,
        rtt_ms: float | None = None,
        jitter_ms: float | None = None,
        jitter_law: str | None = None,
        loss: float | None = None,
        blackhole: bool | None = None,
    ) -> WanState:
        """Change what is given; the rest stays. It is in force when this returns."""

    def reset(self) -> WanState:
        """Back to what the lab's parameters ask."""
