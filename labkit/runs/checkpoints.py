"""What a run has completed, kept in its folder, so that it can go on after it was cut off.

::

    checkpoints/
      04_multicluster_link.json   the notebook went through: when, how long, facts and files then
      attempts.json               each start of the run, and how it ended
      lock                        held by the process that runs it

Each file is written whole or not at all. An attempt that says nothing of its end was killed.
"""

import fcntl
import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit.certs import write_private
from labkit.context import FACTS
from labkit.errors import StateError

OUTPUTS = ("notebooks/*", "charts/*", "samples/*", "measurement.json")
"""What notebooks write into a run folder."""

KILLED = "it was killed"


@dataclass(frozen=True)
class Checkpoint:
    """A notebook that went through.

    Attributes:
        notebook: its name without suffix.
        digest: SHA-256 of the notebook that was executed.
        seconds: how long it took.
        ended: UTC.
        facts: what the chapters had recorded by then.
        files: outputs in the run folder by then.
    """

    notebook: str
    digest: str
    seconds: float
    ended: str
    facts: dict[str, Any]
    files: tuple[str, ...]


@dataclass(frozen=True)
class Attempt:
    """One start of a run.

    Attributes:
        began: UTC.
        ended: UTC; None while it runs, and when it was killed.
        notebook: where it was cut off.
        error: by what.
        caveats: what a reader of the figures must know of how they were made.
        exercises: whether exercises were run.
        whole: whether chapters were run that no measurement needs.
    """

    began: str
    ended: str | None = None
    notebook: str | None = None
    error: str | None = None
    caveats: tuple[str, ...] = ()
    exercises: bool = True
    whole: bool = True


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run folder."""

    run: Path

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.run / "checkpoints"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run folder: one process at a time.

        Raises:
            StateError: another process holds it.
        """
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StateError(
                    f"The run {self.run.name} is going on in another process",
                    fix="wait for its end, or end it with Ctrl-C",
                ) from None
            yield

    def keep(self, notebook: Path, seconds: float) -> None:
        """A notebook went through.

        Raises:
            OSError: the disk is full.
        """
        point = Checkpoint(
            notebook.stem, digest(notebook), seconds, now(), self._facts(), self._outputs()
        )
        self._write(f"{notebook.stem}.json", asdict(point))

    def read(self) -> dict[str, Checkpoint]:
        """Name of the notebook → its checkpoint; one that is damaged does not count."""
        found = {}
        for path in sorted(self.folder.glob("[0-9]*.json")):
            with suppress(OSError, ValueError, TypeError, KeyError):
                kept = json.loads(path.read_text())
                found[path.stem] = Checkpoint(**{**kept, "files": tuple(kept["files"])})
        return found

    def restore(self, last: Checkpoint | None, *, through: Collection[str]) -> None:
        """Take away what came after a checkpoint: outputs and facts of the notebook that failed.

        Args:
            last: the checkpoint; None: the beginning.
            through: notebooks whose checkpoints stay.

        Raises:
            OSError: the run folder cannot be written.
        """
        for name in set(self.read()) - set(through):
            (self.folder / f"{name}.json").unlink()
        known = set(last.files) if last else set()
        for name in self._outputs():
            if name not in known:
                (self.run / name).unlink()
        self.restore_facts(last)

    def restore_facts(self, last: Checkpoint | None) -> None:
        """Put the facts back to what they were at a checkpoint.

        Raises:
            OSError: the run folder cannot be written.
        """
        write_private(self.run / FACTS, json.dumps(last.facts if last else {}, indent=1).encode())

    def begin(
        self, caveats: Sequence[str] = (), *, exercises: bool = True, whole: bool = True
    ) -> None:
        """An attempt begins."""
        begun = Attempt(now(), caveats=tuple(caveats), exercises=exercises, whole=whole)
        self._write_attempts([*self.attempts(), begun])

    def end(self, *, notebook: str | None, error: str | None) -> None:
        """The attempt that runs has ended."""
        *before, last = self.attempts()
        ended = replace(last, ended=now(), notebook=notebook, error=error)
        self._write_attempts([*before, ended])

    def note_killed(self, notebook: str | None) -> None:
        """The last attempt said nothing of its end: it was killed, at this notebook."""
        *before, last = self.attempts() or [Attempt(now())]
        if last.ended is None:
            self._write_attempts([*before, replace(last, notebook=notebook, error=KILLED)])

    def attempts(self) -> list[Attempt]:
        """All attempts so far, the first one first."""
        try:
            kept = json.loads((self.folder / "attempts.json").read_text())
            return [Attempt(**{**item, "caveats": tuple(item["caveats"])}) for item in kept]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def _facts(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            return dict(json.loads((self.run / FACTS).read_text()))
        return {}

    def _outputs(self) -> tuple[str, ...]:
        found = (path for pattern in OUTPUTS for path in self.run.glob(pattern))
        return tuple(sorted(path.relative_to(self.run).as_posix() for path in found))

    def _write_attempts(self, attempts: Sequence[Attempt]) -> None:
        self._write("attempts.json", [asdict(item) for item in attempts])

    def _write(self, name: str, value: object) -> None:
        self.folder.mkdir(exist_ok=True)
        write_private(self.folder / name, json.dumps(value, indent=1).encode())


def digest(notebook: Path) -> str:
    """SHA-256 of a notebook's cells; its kept outputs do not count.

    Raises:
        OSError: it cannot be read.
    """
    content = notebook.read_bytes()
    with suppress(ValueError, KeyError, TypeError):
        cells = [[c["cell_type"], c["source"], c["metadata"]] for c in json.loads(content)["cells"]]
        content = json.dumps(cells, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def now() -> str:
    """UTC, to the second."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
