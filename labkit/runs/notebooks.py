"""Executing one notebook headless, and saying clearly which cell failed and why.

papermill runs the kernel. Parameters are checked against what the notebook declares, because
papermill itself only warns about an unknown one. The executed notebook is cleaned of paths of
this machine and of secrets before it is kept.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.errors import LabkitError, StateError
from labkit.handouts import cells
from labkit.imports import without
from labkit.runs.kernels import Kernels

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager

logger = logging.getLogger(__name__)

ORDER = re.compile(r"^\d\d_[a-z_]+\.ipynb$")
CELL_TIMEOUT_S = 900
SECRET = re.compile(
    r"do[opr]_v1_[0-9a-f]{8,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.DOTALL,
)


class NotebookFailed(LabkitError):  # noqa: N818 - reads as what happened
    """A cell of a notebook failed.

    Attributes:
        notebook: file name.
        cell: number of the cell, counted from 1.
    """

    def __init__(self, notebook: str, *, cell: int, source: str, error: str) -> None:
        self.notebook = notebook
        self.cell = cell
        first = source.strip().splitlines()[0] if source.strip() else ""
        super().__init__(f"{notebook}, cell {cell} (`{first[:80]}`) failed", seen=error)


@dataclass(frozen=True)
class Executed:
    """How long a notebook took.

    Attributes:
        name: file name without suffix.
        seconds: wall time, kernel start included.
    """

    name: str
    seconds: float


def find_notebooks(folder: Path, *, drills: bool = True, whole: bool = True) -> list[Path]:
    """The chapters in order, of a folder or of `notebooks` in it, as `labkit init` makes them.

    Args:
        folder: where they are.
        drills: with those that break things; each says in its metadata that it does.
        whole: with those that no measurement needs; each says so in its metadata.

    Raises:
        StateError: there are none.
    """
    for place in (folder, folder / "notebooks"):
        named = [path for path in sorted(place.glob("*.ipynb")) if ORDER.match(path.name)]
        if found := [path for path in named if _is_of_the_walk(path, drills=drills, whole=whole)]:
            return found
    raise StateError(
        f"There are no notebooks in {folder}",
        fix="run this in a clone of labkit, or say where they are with --notebooks",
    )


def _is_of_the_walk(notebook: Path, *, drills: bool, whole: bool) -> bool:
    """Whether a run executes it; one that reads kept runs says in its metadata that it is not."""
    try:
        said = json.loads(notebook.read_text())["metadata"].get("labkit", {})
        return (
            said.get("walk", True) is not False
            and (drills or said.get("drills") is not True)
            and (whole or said.get("measuring", True) is not False)
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return True  # what is broken fails where it can be told, when it is run


def declared_parameters(notebook: Path) -> set[str]:
    """Names that the notebook's `parameters` cell assigns."""
    content = json.loads(notebook.read_text())
    for cell in content["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            return set(re.findall(r"^(\w+)\s*(?::[^=]+)?=", "".join(cell["source"]), re.MULTILINE))
    return set()


def load_papermill() -> None:
    """Import what executes notebooks: a second, that can pass beside something else."""
    # jsonschema builds a grammar of URLs for 1.3 s when it finds this package; notebooks need none
    with without("rfc3987_syntax"):
        import_module("papermill")


def execute(
    notebook: Path,
    output: Path,
    *,
    parameters: Mapping[str, Any],
    hide: Callable[[], Mapping[str, str]],
    kernels: Kernels | None = None,
    ahead: int = 0,
    exercises: bool = True,
) -> Executed:
    """Execute a notebook and keep it with its output.

    Args:
        notebook: what to run.
        output: where to keep it, whether it fails or not.
        parameters: validated values; those the notebook does not declare are left out.
        hide: gives text → what to write instead in the kept notebook; asked after the run,
            because the run makes the lab's secrets.
        kernels: where its kernel is from; None starts one.
        ahead: for how many notebooks to come kernels may be started meanwhile.
        exercises: run them, with the solutions in place of the learner's cells where there are
            solutions; without, their cells are left out.

    Raises:
        NotebookFailed: a cell failed, took too long, or its kernel died.
    """
    load_papermill()
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    read = cells.read(notebook)
    known = declared_parameters(notebook)
    chosen = {name: value for name, value in parameters.items() if name in known}
    started = time.monotonic()
    failure: NotebookFailed | None = None
    try:
        with (kernels or Kernels(notebook.parent)).next() as manager:
            if kernels is not None and ahead:
                kernels.prepare(ahead)
            content = cells.solved(read) if exercises else cells.without_exercises(read)
            _papermill(content, output, chosen, manager, cwd=notebook.parent)
    except PapermillExecutionError as error:
        failure = NotebookFailed(
            notebook.name,
            cell=error.cell_index + 1,
            source=error.source,
            error=_cleaned(f"{error.ename}: {error.evalue}", hide()),
        )
        failure.__cause__ = error
    except (CellTimeoutError, DeadKernelError) as error:
        failure = _without_answer(notebook, output, error)
        failure.__cause__ = error
    finally:
        if output.exists():
            clean(output, hide=hide())
    if failure is not None:
        raise failure
    return Executed(notebook.stem, time.monotonic() - started)


def _without_answer(notebook: Path, output: Path, error: Exception) -> NotebookFailed:
    """The kernel died or was too slow: it was the last cell that papermill had begun."""
    cell, source = 0, ""
    if output.exists():
        for number, item in enumerate(json.loads(output.read_text())["cells"], start=1):
            if item["metadata"].get("papermill", {}).get("start_time"):
                cell, source = number, "".join(item["source"])
    text = str(error).strip().partition("\n")[0]
    return NotebookFailed(
        notebook.name, cell=cell, source=source, error=f"{type(error).__name__}: {text}"
    )


def _papermill(
    content: cells.Notebook,
    output: Path,
    parameters: Mapping[str, Any],
    manager: "AsyncKernelManager",
    *,
    cwd: Path,
) -> None:
    import nbformat
    import papermill

    papermill.execute_notebook(
        nbformat.from_dict(content),  # type: ignore[no-untyped-call]
        str(output).replace("{", "{{").replace("}", "}}"),
        parameters=dict(parameters),
        cwd=cwd,
        progress_bar=False,
        autosave_cell_every=0,
        request_save_on_cell_execute=True,
        execution_timeout=CELL_TIMEOUT_S,
        km=manager,
    )


def clean(notebook: Path, *, hide: Mapping[str, str]) -> None:
    """Take paths of this machine and secrets out of a notebook file."""
    text = notebook.read_text()
    try:
        content = json.loads(text)
    except ValueError:  # cut off by a full disk: worth nothing, and it may hold a secret
        notebook.unlink()
        return
    content = _cleaned(content, hide)
    for cell in content["cells"]:
        cell["metadata"].pop("execution", None)
    content["metadata"].pop("papermill", None)
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _cleaned(value: Any, hide: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for found in sorted(hide, key=len, reverse=True):
            value = value.replace(found, hide[found])
        return SECRET.sub("***", value)
    if isinstance(value, list):
        if len(value) > 1 and all(str(item).endswith("\n") for item in value[:-1]):
            # the lines of one text: a key spans several of them
            return _cleaned("".join(value), hide).splitlines(keepends=True)
        return [_cleaned(item, hide) for item in value]
    if isinstance(value, dict):
        return {
            key: item if key == "image/png" else _cleaned(item, hide) for key, item in value.items()
        }
    return value
