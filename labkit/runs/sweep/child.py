"""`python -m labkit.runs.sweep.child JOB`: one point, in a process of its own.

Exit codes: 0 finished, 1 failed, 130 interrupted. When whoever started it dies, it takes its lab
down and ends: a sweep that is killed leaves nothing that goes on measuring.
"""

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

from labkit.errors import LabkitError
from labkit.folder import LabFolder
from labkit.handouts.materials import NOTEBOOKS
from labkit.params import Params
from labkit.runs.sweep.attempt import Job
from labkit.runs.sweep.folder import MARK, write_whole
from labkit.runs.turns import ALONE, SharedTurns

WATCH_INTERVAL_S = 0.5


def main() -> int:
    """Run the point."""
    file = Path(sys.argv[1])
    job = Job.from_json(file.read_text())
    _watch(os.getppid())
    params = Params(**job.params)
    turns = SharedTurns(Path(job.turns), _waits) if job.turns else ALONE
    with turns.working():
        from labkit.runs.headless import run_lab  # two seconds
    result = run_lab(
        params,
        runs=file.parent,
        notebooks=Path(job.notebooks) if job.notebooks else NOTEBOOKS,
        name=job.run_name,
        caveats=job.caveats,
        exercises=False,
        turns=turns,
        whole=False,  # the rest takes time, and another thing than distances is learned
    )
    if isinstance(result.error, KeyboardInterrupt):
        return 130
    if result.error is not None:
        return 1
    # The lab is down and proven so: its keys need not stay.
    shutil.rmtree(LabFolder.of(params.lab_name).root, ignore_errors=True)
    mark = {
        "sweep": job.sweep,
        "point": job.point,
        "digest": job.digest,
        "repetition": params.repetition,
        "attempt": file.parent.name,
    }
    write_whole(result.folder / MARK, json.dumps(mark, indent=1))
    return 0


def _waits() -> None:
    sys.stdout.write("waiting for its turn\n")
    sys.stdout.flush()


def _watch(parent: int) -> None:
    """Interrupt this process when its starter is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            waiting.wait(WATCH_INTERVAL_S)
        os.kill(os.getpid(), signal.SIGTERM)

    waiting = threading.Event()
    threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabkitError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
