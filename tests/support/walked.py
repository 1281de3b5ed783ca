"""The whole walk as a user starts it, and the lab that it leaves up: made once for all who need one.

Whoever breaks something mends it: each test may run first, last or alone.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.embedded.state import StateFolder
from labkit.lab import Lab
from labkit.opening import find_lab

NAME = "walk"
PARAMETERS = (
    f"lab_name={NAME}",
    "west_region=sfo3",
    "east_region=syd1",
    "measure_seconds=30",
    "warmup_seconds=2",
    "load_rate=120",
    "load_seconds=10",
)
CHAPTERS = (*(f"{n:02}" for n in range(11)), "12", "13")
"""The notebooks of a run that keeps its lab: 11 compares runs, 99 takes the lab down."""
RUN_TIMEOUT_S = 500


def arguments() -> list[str]:
    """The walk's parameters, as a command takes them."""
    return [part for item in PARAMETERS for part in ("-p", item)]


class Walk:
    """The run, and the lab that it left up.

    Attributes:
        home: where the lab is, and the command that sees no other.
        done: the run's process.
        folder: the run folder.
        summary: what it says.
        progress: the learner's record when the run had ended.
        lab: the lab's folder.
    """

    def __init__(self, home: Any, done: subprocess.CompletedProcess[str]) -> None:
        self.home, self.done = home, done
        (self.folder,) = (home.root / "runs").iterdir()
        self.summary = json.loads((self.folder / "summary.json").read_text())
        self.progress = home.json("progress", "--lab-name", NAME)
        self.lab: Path = home.root / NAME

    def shell(self, line: str, *, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        """Type a line into a bash that has evaluated `labkit env`."""
        command = " ".join(self.home.argv())
        head = f'set -e; labkit() {{ {command} "$@"; }}'
        return subprocess.run(
            ["bash", "-c", f'{head}; eval "$(labkit env --lab-name {NAME})"; {line}'],
            env=self.home.environment,
            cwd=self.home.root,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ok(self, line: str, *, timeout: float = 90) -> str:
        """What a line prints; it must end well."""
        done = self.shell(line, timeout=timeout)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def here(self) -> Iterator[Lab]:
        """The lab in this process, with the figures of the run."""
        own = {"LABKIT_HOME": str(self.home.root), "LABKIT_RUN_FOLDER": str(self.folder)}
        before = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        lab = find_lab(NAME)
        try:
            yield lab
        finally:
            lab.close()
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


@contextmanager
def walked(home: Any) -> Iterator[Walk]:
    """Run the walk, keep its lab for the block, and see that nothing is left of it."""
    done = home.run("run", "--keep", *arguments(), timeout=RUN_TIMEOUT_S)
    sockets = StateFolder(home.root / NAME / "cloud").run_dir
    try:
        yield Walk(home, done)
    finally:
        down = home.run("down", "--lab-name", NAME)
    assert down.returncode == 0, down.stderr
    assert "processes left: 0" in down.stdout
    assert home.processes() == []
    assert not sockets.exists()
    assert not (home.root / NAME / "kubeconfig").exists()
