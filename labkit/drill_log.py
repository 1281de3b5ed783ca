"""Which drills are open in a lab, what each changed, and how the earlier ones went.

Kept in the lab's folder and written before anything is changed, so that a drill can be healed
after any kill. It holds no secret: what is secret is taken from where the lab has it.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from labkit.certs import write_private
from labkit.errors import StateError
from labkit.folder import LabFolder

FILE = "drills.json"
"""Name of the record in the lab's folder."""


@dataclass(frozen=True)
class DrillRecord:
    """One drill as it went, or goes.

    Attributes:
        name: of the drill.
        since: when it was started, seconds since 1970.
        before: what the drill has to know to heal: how things were before it.
        seen_s: seconds from the fault to each symptom, by where it is seen.
        hints: how many hints were asked for.
        verified: when the repair was proved, seconds since 1970; None: not yet.
        healed: when it was healed; None: it is open.
    """

    name: str
    since: float
    before: Mapping[str, Any] = field(default_factory=dict)
    seen_s: Mapping[str, float] = field(default_factory=dict)
    hints: int = 0
    verified: float | None = None
    healed: float | None = None


class DrillLog:
    """The drills of one lab.

    Args:
        folder: the lab's.
    """

    def __init__(self, folder: LabFolder) -> None:
        self._folder = folder
        self.path: Path = folder.root / FILE

    def records(self) -> list[DrillRecord]:
        """Every drill since the lab was made, oldest first.

        Raises:
            StateError: the file is damaged.
        """
        try:
            return [DrillRecord(**item) for item in json.loads(self.path.read_text())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise StateError(
                f"The record of drills in {self.path} cannot be read",
                seen=str(error),
                fix="`labkit down` and `labkit up` begin anew",
            ) from error

    def open(self) -> list[DrillRecord]:
        """The drills that have not been healed."""
        return [record for record in self.records() if record.healed is None]

    def begin(self, name: str, before: Mapping[str, Any]) -> DrillRecord:
        """Record that a drill is about to change things."""
        record = DrillRecord(name, time.time(), before=dict(before))
        self._write([*self.records(), record])
        return record

    def update(self, record: DrillRecord, **changes: Any) -> DrillRecord:
        """Record more about a drill."""
        changed = replace(record, **changes)
        self._write([changed if item == record else item for item in self.records()])
        return changed

    def clear(self) -> None:
        """Forget everything: the lab is gone."""
        self.path.unlink(missing_ok=True)

    def _write(self, records: list[DrillRecord]) -> None:
        try:
            self._folder.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            text = json.dumps([asdict(record) for record in records], indent=1)
            write_private(self.path, text.encode())
        except OSError as error:
            raise StateError(
                f"The record of drills in {self.path} cannot be written; nothing was changed",
                seen=error.strerror or str(error),
                fix="free space, then try again",
            ) from error
