"""Runs all notebooks on the embedded cloud and keeps their output in `notebooks/`.

    python notebooks/refresh.py --params params/west-sfo3-east-syd1.yaml

Exercises are not run: their cells are kept as a learner finds them. The kept notebooks read like
ones run by hand: with the original `parameters` cell instead of papermill's injected one, and
without times of execution, paths of this machine or secrets. The lab has a temporary LABKIT_HOME, so that labs of the user are not touched. Exit code 1 when a notebook
failed or one does not fit for being kept; then `notebooks/` is left as it was.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from labkit.errors import LabkitError
from labkit.handouts.cells import cleared, exercise_of
from labkit.params import load_params
from labkit.runs import run_lab
from labkit.runs.notebooks import SECRET, find_notebooks

FOLDER = Path(__file__).resolve().parent
INJECTED = "injected-parameters"
MAX_BYTES = 1_000_000
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|tmp|work|private|var/folders)/[\w.-]+")


def kept(executed: dict[str, Any], original: dict[str, Any]) -> dict[str, Any]:
    """The executed notebook as it is committed: sources of the original, outputs of the run.

    Raises:
        ValueError: the two are not the same notebook.
    """
    cells = [c for c in executed["cells"] if INJECTED not in c["metadata"].get("tags", [])]
    result = cleared(original)
    chapter = [cell for cell in result["cells"] if not exercise_of(cell)]
    if [c["source"] for c in cells] != [c["source"] for c in chapter]:
        raise ValueError("the executed notebook has other cells than the original")
    count = 0
    for cell, ran in zip(chapter, cells, strict=True):
        if cell["cell_type"] == "code":
            count += 1
            cell["execution_count"] = count
            cell["outputs"] = [_output(output, count) for output in ran["outputs"]]
    return dict(result)


def _output(output: dict[str, Any], count: int) -> dict[str, Any]:
    """One output without what changes from run to run and means nothing."""
    if "execution_count" in output:
        output["execution_count"] = count
    output.get("transient", {}).pop("display_id", None)
    return output


def problems(text: str) -> list[str]:
    """Why a notebook must not be kept."""
    found = []
    if len(text.encode()) >= MAX_BYTES:
        found.append(f"it has {len(text.encode())} bytes, at most {MAX_BYTES} are wanted")
    if match := MACHINE_PATH.search(text):
        found.append(f"it holds a path of this machine: {match.group()}")
    if SECRET.search(text):
        found.append("it holds something that looks like a secret")
    if '"output_type": "error"' in text:
        found.append("a cell failed")
    return found


def refresh(params_file: Path | None, assignments: dict[str, str]) -> list[str]:
    """Run, and replace the notebooks if all of them fit.

    Returns:
        What went wrong; empty when everything was kept.
    """
    params = load_params(params_file, overrides=assignments).params
    runs = Path(os.environ["LABKIT_HOME"]) / "runs"
    result = run_lab(params, runs=runs, exercises=False)
    if result.error is not None:
        return [str(result.error)]
    texts: dict[Path, str] = {}
    wrong = []
    for original in find_notebooks(FOLDER):
        executed = json.loads((result.folder / "notebooks" / original.name).read_text())
        content = kept(executed, json.loads(original.read_text()))
        texts[original] = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        wrong += [f"{original.name}: {problem}" for problem in problems(texts[original])]
    if not wrong:
        for path, text in texts.items():
            path.write_text(text)
    return wrong


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="run the notebooks and keep their output")
    parser.add_argument("--params", type=Path, help="YAML file with parameters")
    parser.add_argument("-p", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    assignments = dict(item.split("=", 1) for item in options.p)
    with tempfile.TemporaryDirectory(prefix="labkit-refresh-", ignore_cleanup_errors=True) as home:
        os.environ["LABKIT_HOME"] = home
        try:
            wrong = refresh(options.params, assignments)
        except LabkitError as error:
            wrong = [str(error)]
    for line in wrong:
        sys.stderr.write(f"✘ {line}\n")
    if not wrong:
        sys.stdout.write(f"kept the output of {len(find_notebooks(FOLDER))} notebooks\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
