"""What the cells of an exercise are, and the forms in which a notebook is used.

An exercise is four cells: the task (markdown, tag `exercise-task`), the cell that the learner edits
(`exercise`), its check (`exercise-check`) and, but for learners, the solution (`solution`, source
hidden). Each names the exercise in its metadata, `labkit.exercise`. Notebooks are plain dicts here,
as in their files; every function returns a new one.
"""

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TASK, EXERCISE, CHECK, SOLUTION = "exercise-task", "exercise", "exercise-check", "solution"
PARAMETERS = "parameters"

Notebook = dict[str, Any]
"""A notebook file's content."""


def read(path: Path) -> Notebook:
    """A notebook file's content."""
    content: Notebook = json.loads(path.read_text())
    return content


def text_of(notebook: Notebook) -> str:
    """A notebook as it is kept in a file."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def source_of(cell: Mapping[str, Any]) -> str:
    """A cell's source as one text."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def tagged(cell: Mapping[str, Any], *tags: str) -> bool:
    """Whether a cell has one of some tags."""
    return not set(tags).isdisjoint(cell["metadata"].get("tags", ()))


def exercise_of(cell: Mapping[str, Any]) -> str:
    """The exercise that a cell belongs to, empty when it is none."""
    return str(cell["metadata"].get("labkit", {}).get("exercise", ""))


def solutions(notebook: Notebook) -> dict[str, str]:
    """Exercise → source of its solution."""
    return {
        exercise_of(cell): source_of(cell) for cell in notebook["cells"] if tagged(cell, SOLUTION)
    }


def without_exercises(notebook: Notebook) -> Notebook:
    """The notebook as if it had none."""
    return _only(notebook, lambda cell: not exercise_of(cell))


def without_solutions(notebook: Notebook) -> Notebook:
    """The learner's notebook."""
    return _only(notebook, lambda cell: not tagged(cell, SOLUTION))


def solved(notebook: Notebook) -> Notebook:
    """The notebook with each solution in the learner's place; what has none stays as it is."""
    known = solutions(notebook)
    result = without_solutions(notebook)
    for cell in result["cells"]:
        if tagged(cell, EXERCISE) and exercise_of(cell) in known:
            cell["source"] = known[exercise_of(cell)].splitlines(keepends=True)
    return result


def cleared(notebook: Notebook) -> Notebook:
    """The notebook as nobody has run it."""
    result = copy.deepcopy(notebook)
    for cell in result["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = []
            cell["execution_count"] = None
            cell["metadata"].pop("execution", None)
    return result


def parameterised(notebook: Notebook, values: Mapping[str, object]) -> Notebook:
    """The notebook with other values in its `parameters` cell, where that assigns them."""
    result = copy.deepcopy(notebook)
    for cell in result["cells"]:
        if tagged(cell, PARAMETERS):
            lines = source_of(cell).splitlines(keepends=True)
            cell["source"] = [_assigned(line, values) for line in lines]
    return result


_ASSIGNMENT = re.compile(
    r"^(?P<head>(?P<name>\w+)\s*(?::[^=]+)?=\s*)(?P<value>.*?)(?P<tail>\s+#.*)?$"
)


def _assigned(line: str, values: Mapping[str, object]) -> str:
    bare = line.rstrip("\n")
    found = _ASSIGNMENT.match(bare)
    if found is None or found["name"] not in values:
        return line
    value = values[found["name"]]
    written = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
    return f"{found['head']}{written}{found['tail'] or ''}{line[len(bare) :]}"


def _only(notebook: Notebook, wanted: Any) -> Notebook:
    result = copy.deepcopy(notebook)
    result["cells"] = [cell for cell in result["cells"] if wanted(cell)]
    return result
