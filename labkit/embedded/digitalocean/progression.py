"""How fast emulated resources move through their states.

`immediate` at the first look, `time` after n seconds, `manual` after n reads. The decision is
taken when a resource is read, from stored facts only, so a restart changes nothing.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Progression:
    """When a resource leaves its first state.

    Attributes:
        kind: `immediate`, `time` or `manual`.
        amount: seconds for `time`, reads for `manual`.
    """

    kind: Literal["immediate", "time", "manual"] = "immediate"
    amount: float = 0.0

    @classmethod
    def after_seconds(cls, seconds: float) -> "Progression":
        """Move on `seconds` after the change."""
        return cls("time", seconds)

    @classmethod
    def after_reads(cls, reads: int) -> "Progression":
        """Move on when the resource has been read `reads` times."""
        return cls("manual", reads)

    def is_due(self, *, age_s: float, reads: int) -> bool:
        """Whether a resource of this age, read so often, has moved on."""
        if self.kind == "time":
            return age_s >= self.amount
        if self.kind == "manual":
            return reads >= self.amount
        return True
