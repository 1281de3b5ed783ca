# ruff: noqa: INP001 - a script, no package
"""Writes docs/exercises.md from the exercises themselves: `python docs/generate_exercises.py`.

tests/test_docs.py compares the file with what this prints.
"""

import re
from pathlib import Path

from labkit.handouts import cells
from labkit.handouts.materials import NOTEBOOKS
from labkit.inventory import exercise_checks
from labkit.runs.newest import EXERCISE as COMPARING

HEAD = """# Exercises

Each notebook from 03 on ends with one or two: a task with hints that unfold, a cell to edit, a check,
and in the instructor's copy (`labkit init DIR --instructor`) a folded solution. No chapter needs one.
`labkit check` leaves them out; `labkit check --exercises` says which are solved. What they leave in a
lab (the namespace `labkit-exercises`, an exported service) is removed when their chapter is undone by
`labkit solve` or `labkit reset`, and at the latest by `labkit down`.

In the table of reasons `{…}` stands for what was observed, `…` for what may come up by itself and is
waited for. This page is made by `docs/generate_exercises.py`.
"""


def render() -> str:
    """The page."""
    titles = _titles()
    lines = [HEAD, "| Id | Exercise | Solved when | Why |", "|---|---|---|---|"]
    lines += [
        f"| `{check.id}` | {titles[check.id]} | {check.title} | {check.proves} |"
        for check in exercise_checks()
    ]
    lines.append(
        f"| `{COMPARING}` | {titles[COMPARING]} | the answer fits the two runs | "
        "a difference counts when its interval says so |"
    )
    lines += ["", "## What their checks say", "", "| Id | Reason |", "|---|---|"]
    for check in exercise_checks():
        for reason in check.reasons:
            text = re.sub(r"\{[^{}]+\}", "{…}", reason.text).replace("|", "\\|")
            lines.append(f"| `{check.id}` | {text}{' …' if reason.coming else ''} |")
    return "\n".join(lines) + "\n"


def _titles() -> dict[str, str]:
    """Exercise → heading of its task in the notebook."""
    return {
        cells.exercise_of(cell): cells.source_of(cell).partition("\n")[0].partition(": ")[2]
        for path in sorted(NOTEBOOKS.glob("*.ipynb"))
        for cell in cells.read(path)["cells"]
        if cells.tagged(cell, cells.TASK)
    }


if __name__ == "__main__":
    Path(__file__).with_name("exercises.md").write_text(render())
