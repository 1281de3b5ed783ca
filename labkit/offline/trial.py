"""The trial itself: `python -m labkit.offline.trial`, inside the guard.

Prints the outcomes as JSON; what happens meanwhile goes to standard error. The lab it makes has a
home of its own and is gone at the end, whatever happened.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from labkit.clouds.machine import envoy
from labkit.clouds.prerequisites import Prerequisite, Seen, bad, odd, ok
from labkit.doctor import ask, kubectl
from labkit.handouts.materials import FIRST, NOTEBOOKS, PACKAGE, PARAMS

REINSTALL = "python3 install.py  # of the bundle; in a clone: make install"
CHAPTER = "05"
"""The last chapter of the trial: by then proxies, gateways, viz and the application run."""


def questions() -> tuple[Prerequisite, ...]:
    """What must work without a network."""
    return (
        Prerequisite("offline.packages", "every package is installed", REINSTALL, packages),
        Prerequisite("offline.kubectl", "kubectl is there and starts", REINSTALL, kubectl),
        Prerequisite("offline.envoy", "Envoy is there and starts", REINSTALL, envoy),
        Prerequisite("offline.notebooks", "notebooks and JupyterLab are there", REINSTALL, files),
        Prerequisite("offline.docs", "the docs can be read", "unpack the bundle's docs/", docs),
        Prerequisite("offline.kernel", "a notebook's cell runs", REINSTALL, kernel),
        Prerequisite("offline.charts", "charts can be drawn", REINSTALL, charts),
        Prerequisite(
            "offline.lab",
            f"a lab comes up to the end of chapter {CHAPTER}, and goes down",
            "labkit doctor  # says what this machine lacks",
            lab,
        ),
    )


def packages() -> Seen:
    """What labkit needs and what that needs, with versions that fit."""
    from packaging.requirements import Requirement

    wanted, seen, problems = deque(["labkit"]), {"labkit"}, []
    while wanted:
        name = wanted.popleft()
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            problems.append(f"{name} is missing")
            continue
        for text in found.requires or ():
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            if requirement.name.lower() not in seen:
                seen.add(requirement.name.lower())
                wanted.append(requirement.name)
            with contextlib.suppress(metadata.PackageNotFoundError):
                version = metadata.version(requirement.name)
                if not requirement.specifier.contains(version, prereleases=True):
                    problems.append(f"{name} needs {requirement.name}{requirement.specifier}")
    if problems:
        return bad("; ".join(problems[:5]))
    return ok(f"{len(seen)} packages with what they need")


def files() -> Seen:
    """Notebooks, params and what JupyterLab serves."""
    from jupyterlab.commands import get_app_dir

    missing = [
        str(path)
        for path in (
            NOTEBOOKS / FIRST,
            PARAMS / "schema.json",
            Path(get_app_dir()) / "static" / "index.html",
        )
        if not path.is_file()
    ]
    if missing:
        return bad(f"missing: {', '.join(missing)}")
    return ok(f"{len(list(NOTEBOOKS.glob('*.ipynb')))} notebooks; JupyterLab is whole")


def docs() -> Seen:
    """Those of the clone, or of the bundle beside the virtual environment."""
    for place in (PACKAGE.parent / "docs", Path(sys.prefix).parent / "docs"):
        if (place / "cli.md").is_file():
            return ok(str(place))
    return odd("no docs beside labkit or its virtual environment")


def kernel() -> Seen:
    """Start a kernel as JupyterLab does and run a cell."""
    import nbclient
    import nbformat

    cell = nbformat.v4.new_code_cell("import labkit; print(6 * 7)")  # type: ignore[no-untyped-call]
    notebook = nbformat.v4.new_notebook(cells=[cell])  # type: ignore[no-untyped-call]
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    text = "".join(output.get("text", "") for output in notebook.cells[0].outputs)
    return ok("answers") if text.strip() == "42" else bad(f"answered {text[:80]!r}")


def charts() -> Seen:
    """Draw the lab, with the fonts that matplotlib brings."""
    import io

    from labkit.topology import draw_topology

    drawn = io.BytesIO()
    draw_topology("sfo3", "syd1", stage="traffic").savefig(drawn, format="png")
    return ok(f"a PNG of {len(drawn.getvalue()) / 1000:.0f} kB")


def lab() -> Seen:
    """A whole lab in a home of its own: every image of the application runs, meshed."""
    with tempfile.TemporaryDirectory(prefix="labkit-offline-") as home:
        with _labs_in(home) as labkit:
            code, said = labkit("solve", CHAPTER, "-p", "cloud=embedded")
            if code != 0:
                return bad(f"`labkit solve {CHAPTER}` ended with {code}: {said}")
            code, said = labkit("check", "01", CHAPTER)
            if code not in (0, 3):
                return bad(f"`labkit check 01 {CHAPTER}` ended with {code}: {said}")
            code, said = labkit("down")
            if code != 0:
                return bad(f"`labkit down` ended with {code}: {said}")
        return ok(f"up, checks of 01 and {CHAPTER} hold, down")


@contextlib.contextmanager
def _labs_in(home: str) -> Iterator["_Labkit"]:
    run = _Labkit(home)
    try:
        yield run
    finally:
        run("down", quiet=True)


class _Labkit:
    """The `labkit` command on a home; what it says is passed on, and its end is kept."""

    def __init__(self, home: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LABKIT_")}
        tried = {k: v for k, v in os.environ.items() if k == "LABKIT_OFFLINE_TRIED"}
        self._environment = {**kept, **tried, "LABKIT_HOME": home}

    def __call__(self, *words: str, quiet: bool = False) -> tuple[int, str]:
        """The exit code, and the last of what it said."""
        argv = [sys.executable, "-m", "labkit.cli", *words, "--lab-name", "offline"]
        last: deque[str] = deque(maxlen=3)
        with subprocess.Popen(
            argv,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=self._environment,
        ) as process:
            for line in process.stderr or ():
                last.append(line.strip())
                if not quiet:
                    sys.stderr.write(line)
        return process.returncode, " ".join(last)


def main() -> None:
    """Ask everything, one after the other, and print the outcomes."""
    outcomes = []
    for question in questions():
        sys.stderr.write(f"… {question.title}\n")
        outcomes.append(asdict(ask(question)))
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    main()
