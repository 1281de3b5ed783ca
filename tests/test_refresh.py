"""`make notebooks` keeps outputs and nothing of the machine that made them."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[1] / "notebooks" / "refresh.py"


@pytest.fixture
def refresh():
    spec = importlib.util.spec_from_file_location("refresh", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code(source, *, tags=(), outputs=(), **metadata):
    cell = {"cell_type": "code", "source": [source], "outputs": list(outputs)}
    return cell | {"execution_count": None, "metadata": {"tags": list(tags), **metadata}}


def notebook(*cells):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


RESULT = {"output_type": "execute_result", "execution_count": 7, "data": {}, "metadata": {}}


def test_outputs_are_kept_and_the_injected_parameters_are_not(refresh):
    original = notebook(code("a = 1", tags=["parameters"]), code("a"))
    executed = notebook(
        code("a = 1", tags=["parameters"], papermill={"duration": 1}),
        code("a = 2", tags=["injected-parameters"]),
        code("a", outputs=[RESULT], papermill={"duration": 1}),
    )
    kept = refresh.kept(executed, original)
    assert [cell["source"] for cell in kept["cells"]] == [["a = 1"], ["a"]]
    assert kept["cells"][1]["outputs"] == [RESULT | {"execution_count": 2}]
    assert "papermill" not in str(kept)


def test_an_executed_notebook_with_other_cells_is_refused(refresh):
    with pytest.raises(ValueError, match="other cells"):
        refresh.kept(notebook(code("b")), notebook(code("a")))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("in /home/ada/labs", "a path of this machine: /home/ada"),
        ("token dop_v1_0123456789abcdef", "a secret"),
        ('"output_type": "error"', "a cell failed"),
        ("x" * 1_000_000, "1000000 bytes"),
    ],
)
def test_what_must_not_be_kept_is_found(refresh, text, problem):
    assert any(problem in found for found in refresh.problems(text))


def test_an_ordinary_notebook_has_no_problem(refresh):
    assert refresh.problems("~/.labkit/demo and runs/x, /api/list, 3/work/4") == []
