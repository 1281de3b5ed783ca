"""The forms of a notebook: as handed out, as solved, as nobody has run it."""

import copy

import pytest

from labkit.handouts import cells
from labkit.handouts.materials import NOTEBOOKS


def code(source, *tags, exercise="", outputs=()):
    metadata = {"tags": list(tags)} if tags else {}
    if exercise:
        metadata["labkit"] = {"exercise": exercise}
    return {
        "cell_type": "code",
        "source": source.splitlines(keepends=True),
        "metadata": metadata,
        "outputs": list(outputs),
        "execution_count": 3,
    }


@pytest.fixture
def notebook():
    return {
        "cells": [
            code('name: str = "demo"  # of the lab\nseconds = 30\n', "parameters"),
            code("step()", outputs=[{"output_type": "stream"}]),
            code("mine = None", "exercise", exercise="06.x"),
            code("check(mine)", "exercise-check", exercise="06.x"),
            code("mine = 1\nmine", "solution", exercise="06.x"),
            code("other = None", "exercise", exercise="06.y"),
        ],
        "metadata": {},
    }


def sources(notebook):
    return [cells.source_of(cell) for cell in notebook["cells"]]


def test_a_learner_gets_no_solution(notebook):
    before = copy.deepcopy(notebook)
    found = sources(cells.without_solutions(notebook))
    assert found[2:] == ["mine = None", "check(mine)", "other = None"]
    assert notebook == before


def test_solved_the_solution_stands_where_the_learner_writes(notebook):
    found = sources(cells.solved(notebook))
    assert found[2:] == ["mine = 1\nmine", "check(mine)", "other = None"]


def test_without_exercises_the_chapter_is_left(notebook):
    assert sources(cells.without_exercises(notebook)) == sources(notebook)[:2]


def test_cleared_it_has_no_output(notebook):
    found = cells.cleared(notebook)["cells"]
    assert {(len(cell["outputs"]), cell["execution_count"]) for cell in found} == {(0, None)}


def test_parameters_replace_what_the_cell_assigns_and_keep_its_comments(notebook):
    found = cells.parameterised(notebook, {"name": 'a"b', "seconds": None, "unknown": 1})
    assert sources(found)[0] == 'name: str = "a\\"b"  # of the lab\nseconds = None\n'
    assert sources(found)[1:] == sources(notebook)[1:]


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_cell_of_an_exercise_names_it_and_none_is_missing(path):
    """Task, cell, check and solution, in this order, each with the exercise's id."""
    kinds = (cells.TASK, cells.EXERCISE, cells.CHECK, cells.SOLUTION)
    found = {}
    for cell in cells.read(path)["cells"]:
        tags = [tag for tag in kinds if cells.tagged(cell, tag)]
        assert bool(tags) == bool(cells.exercise_of(cell))
        if tags:
            found.setdefault(cells.exercise_of(cell), []).extend(tags)
        if tags == [cells.SOLUTION]:
            assert cell["metadata"]["jupyter"] == {"source_hidden": True}
            assert not cell["outputs"]
    assert all(tags == list(kinds) for tags in found.values()), found
    assert all(name.partition(".")[0] == path.name[:2] for name in found)
