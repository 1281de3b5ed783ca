"""The sweep's folder: what is to be done, what is done, and what was tried.

::

    runs/sweep-example/
      plan.json                      points in their order, with digests and parameters
      runs/<time>-<point>/           finished run folders, one a point, and nothing else
      unfinished/<point>-<n>/        attempts: running, failed or killed; kept for whoever asks why
      summary.json  summary.csv      figures side by side

A point is done when its run folder is in `runs/`. It gets there by one rename onto a name that is
the point's own, so it is there whole or not at all, and never twice. There is no other record that
could contradict it.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit.errors import InputError, StateError
from labkit.folder import home
from labkit.runs.sweep.points import CONSENT, Point, SweepSpec

SCHEMA = "labkit.sweep/1"
MARK = "sweep.json"
"""In a run folder: which point it is. The last thing that a run that went well writes."""


@dataclass(frozen=True)
class SweepFolder:
    """One sweep.

    Attributes:
        root: the folder.
        id: tells its labs and processes from those of other sweeps.
        stamp: UTC time of its beginning, first part of each run folder's name.
    """

    root: Path
    id: str
    stamp: str

    @classmethod
    def open(cls, root: Path, spec: SweepSpec) -> "SweepFolder":
        """Make the folder, or take up the sweep that it holds.

        Raises:
            InputError: it holds finished points that this sweep does not have.
            StateError: it cannot be read or written.
        """
        known = _read(root / "plan.json")
        if known is None and root.exists() and any(root.iterdir()):
            raise InputError(
                f"{root} is not empty and holds no sweep", fix="give another folder with --folder"
            )
        known = known or {
            "id": secrets.token_hex(4),
            "created": f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}",
        }
        folder = cls(root.resolve(), known["id"], known["created"])
        points = spec.points()
        strange = sorted(
            path.name
            for digest, path in folder.done().items()
            if digest not in {point.digest for point in points}
        )
        if strange:
            raise InputError(
                f"{root} holds {len(strange)} finished points that are not of this sweep",
                problems=strange[:10],
                fix="give another folder with --folder; nothing was changed",
            )
        folder._write_plan(spec, points)
        return folder

    def _write_plan(self, spec: SweepSpec, points: list[Point]) -> None:
        plan = {
            "schema": SCHEMA,
            "id": self.id,
            "created": self.stamp,
            "order_seed": spec.seed,
            "repetitions": spec.repetitions,
            "points": [
                {
                    "name": p.name,
                    "digest": p.digest,
                    "params": p.params.model_dump(mode="json", exclude=CONSENT),
                }
                for p in points
            ],
        }
        try:
            for path in (self.runs, self.unfinished):
                path.mkdir(parents=True, exist_ok=True)
            write_whole(self.root / "plan.json", json.dumps(plan, indent=1))
        except OSError as error:
            raise StateError(
                f"The sweep folder {self.root} cannot be written",
                seen=error.strerror or str(error),
                fix="free space, or give another folder with --folder",
            ) from error

    @property
    def runs(self) -> Path:
        """Finished runs and nothing else: what readers of figures glob over."""
        return self.root / "runs"

    @property
    def unfinished(self) -> Path:
        """Attempts."""
        return self.root / "unfinished"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the sweep; the system lets go of it when the holder dies.

        Raises:
            StateError: somebody else holds it.
        """
        with (self.root / "sweep.lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise StateError(
                    f"Another `labkit sweep` works on {self.root}",
                    seen=f"pid {file.read().strip() or 'unknown'}",
                    fix="wait for it, or end it with Ctrl-C or SIGTERM",
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def run_name(self, point: Point) -> str:
        """The name of a point's run folder."""
        return f"{self.stamp}-{point.name}"

    def done(self) -> dict[str, Path]:
        """Digest → run folder of every finished point."""
        found = {}
        for path in sorted((self.root / "runs").glob("*")):
            mark = _read(path / MARK)
            if mark is not None:
                found[str(mark["digest"])] = path
        return found

    def attempts(self, point: Point) -> list[Path]:
        """Folders of attempts that did not finish, oldest first."""
        found = self.unfinished.glob(f"{point.name}-[0-9]*")
        return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))

    def new_attempt(self, point: Point) -> Path:
        """An empty folder for one more attempt."""
        before = self.attempts(point)
        number = int(before[-1].name.rpartition("-")[2]) + 1 if before else 1
        path = self.unfinished / f"{point.name}-{number}"
        path.mkdir(parents=True)
        return path

    def adopt(self, attempt: Path) -> Path | None:
        """Move a finished attempt to the finished runs; None when it did not finish."""
        for mark in attempt.glob(f"*/{MARK}"):
            target = self.runs / mark.parent.name
            if target.exists():
                return None
            mark.parent.replace(target)
            for rest in attempt.iterdir():
                rest.unlink()
            attempt.rmdir()
            return target
        return None

    def adopt_all(self) -> list[Path]:
        """Take in what finished while nobody was there to notice."""
        found = [self.adopt(path) for path in sorted(self.unfinished.glob("*"))]
        return [path for path in found if path is not None]


def sweep_home(sweep_id: str) -> Path:
    """LABKIT_HOME of the labs of a sweep on this machine, apart from the labs of the user."""
    return home() / "sweeps" / sweep_id


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there whole or as it was."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text)
        beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise StateError(
            f"{path} cannot be read", seen=str(error), fix="give another folder with --folder"
        ) from error
    return content if isinstance(content, dict) else None
