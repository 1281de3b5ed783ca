"""Small notebooks of these tests, and the command that runs them on the real embedded cloud."""

import json

import nbformat
import pytest

KERNELSPEC = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


class Runs:
    """A folder of notebooks and the command that runs them."""

    NAME = "headless"
    OPEN = "from labkit import open_lab\nlab = open_lab(lab_name=lab_name)"
    START = (OPEN, "lab.cloud.start()\nlab.cloud.status()['running']")

    def __init__(self, home):
        self.home = home
        self.notebooks = home.root / "notebooks"
        self.notebooks.mkdir()
        self.add("00_start", *self.START)

    def add(self, name, *sources):
        parameters = nbformat.v4.new_code_cell('lab_name = "x"', metadata={"tags": ["parameters"]})
        cells = [parameters, *(nbformat.v4.new_code_cell(source) for source in sources)]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=KERNELSPEC)
        nbformat.write(notebook, self.notebooks / f"{name}.ipynb")

    def arguments(self, *more):
        return ("run", "-p", f"lab_name={self.NAME}", "--notebooks", str(self.notebooks), *more)

    def run(self, *more, **kwargs):
        return self.home.run(*self.arguments(*more), **kwargs)

    @property
    def folder(self):
        (found,) = (self.home.root / "runs").iterdir()
        return found

    @property
    def summary(self):
        return json.loads((self.folder / "summary.json").read_text())


@pytest.fixture
def runs(home):
    yield Runs(home)
    if (home.root / Runs.NAME / "lab.json").exists():
        home.run("down", "--lab-name", Runs.NAME)


@pytest.fixture(scope="module")
def failed_run(module_home):
    """A run that failed before it had a lab; the tests that share it do not resume it."""
    runs = Runs(module_home)
    runs.add("00_start", "raise RuntimeError('made to fail')")
    assert runs.run().returncode == 1
    return runs
