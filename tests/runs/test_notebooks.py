import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from labkit.errors import StateError
from labkit.runs.notebooks import clean, declared_parameters, find_notebooks

KERNELSPEC = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
TOKEN = "dop_v1_" + "5ec2e7" * 10
WEB_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLW9mLWl0"


def write(folder, name="01_a.ipynb", *, sources=("1 + 1",), parameters=None):
    cells = []
    if parameters is not None:
        cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=KERNELSPEC)
    path = folder / name
    nbformat.write(notebook, path)
    return path


DRIVER = """
import json, sys
from pathlib import Path
from labkit.runs.notebooks import NotebookFailed, execute
asked = json.load(sys.stdin)
try:
    execute(Path(asked["notebook"]), Path(asked["output"]), parameters=asked["values"],
            hide=lambda: asked["hide"])
except NotebookFailed as error:
    print(json.dumps({"notebook": error.notebook, "cell": error.cell, "text": str(error)}))
else:
    print(json.dumps(None))
"""


@dataclass(frozen=True)
class Outcome:
    """What `execute` did: the kept notebook's text, and the failure it raised."""

    kept: str
    failure: dict | None


@pytest.fixture
def run(tmp_path):
    """Execute cells in a real kernel, from a process of its own as `labkit run` is one."""

    def run(*sources, parameters=None, values=None, hide=None):
        notebook = write(tmp_path, sources=sources, parameters=parameters)
        output = tmp_path / "kept.ipynb"
        asked = {
            "notebook": str(notebook),
            "output": str(output),
            "values": values or {},
            "hide": hide or {},
        }
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DRIVER],
            input=json.dumps(asked),
            env={**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Outcome(output.read_text(), json.loads(done.stdout.splitlines()[-1]))

    return run


def test_notebooks_are_found_in_order_and_others_are_not(tmp_path):
    for name in ("10_b.ipynb", "02_a.ipynb", "Untitled.ipynb", "1_x.ipynb", "99_c.ipynb"):
        write(tmp_path, name)
    assert [p.name for p in find_notebooks(tmp_path)] == ["02_a.ipynb", "10_b.ipynb", "99_c.ipynb"]


def test_a_folder_that_init_has_made_is_good_for_its_notebooks(tmp_path):
    (tmp_path / "notebooks").mkdir()
    path = write(tmp_path / "notebooks", "02_a.ipynb")
    assert find_notebooks(tmp_path) == [path]


def test_a_folder_without_notebooks_says_what_to_do(tmp_path):
    with pytest.raises(StateError, match="There are no notebooks") as caught:
        find_notebooks(tmp_path)
    assert "--notebooks" in caught.value.fix


def test_declared_parameters_are_those_of_the_tagged_cell(tmp_path):
    source = 'lab_name: str = "demo"  # x = 1\nnode_count = 3\n\nn: int=5\nn == 5'
    path = write(tmp_path, sources=["other = 1"], parameters=source)
    assert declared_parameters(path) == {"lab_name", "node_count", "n"}
    assert declared_parameters(write(tmp_path, "02_b.ipynb", sources=["a = 1"])) == set()


def test_declared_parameters_get_the_values_and_others_are_left_out(run):
    kept = run(
        "print(lab_name, 'seed' in dir())",
        parameters='lab_name = "a"',
        values={"lab_name": "z", "seed": 7},
    ).kept
    assert "z False" in kept
    assert "Passed unknown parameter" not in kept


def test_a_failing_cell_is_named_with_notebook_number_and_reason(run):
    outcome = run("1", "# look at it\nraise ValueError('no such size')", "3")
    assert outcome.failure == {
        "notebook": "01_a.ipynb",
        "cell": 2,
        "text": "01_a.ipynb, cell 2 (`# look at it`) failed. Seen: ValueError: no such size.",
    }
    assert '"output_type": "error"' in outcome.kept


def test_a_kernel_that_dies_is_a_failure_of_its_cell(run):
    failure = run("1", "import os; os._exit(3)").failure
    assert (failure["notebook"], failure["cell"]) == ("01_a.ipynb", 2)
    assert "DeadKernelError" in failure["text"]


def test_the_kept_notebook_holds_no_path_of_this_machine(run, tmp_path):
    kept = run(f"print({str(tmp_path)!r} + '/x')", hide={str(tmp_path): "."}).kept
    assert str(tmp_path) not in kept
    assert "./x" in kept


def test_secrets_are_taken_out_wherever_they_stand(run):
    key = "-----BEGIN EC PRIVATE KEY-----\\nMHcCAQEEIB0dy\\nAAAA\\n-----END EC PRIVATE KEY-----"
    kept = run(
        f"print('do {TOKEN} jwt {WEB_TOKEN}')",
        f"print('''{key}''')",
        f"'''{key}'''",
        "print('by value: hush-hush-hush')",
        hide={"hush-hush-hush": "***"},
    ).kept
    for secret in (TOKEN, WEB_TOKEN, "MHcCAQEEIB0dy", "AAAA", "PRIVATE KEY", "hush"):
        assert secret not in kept
    assert "by value: ***" in kept


def test_secrets_are_taken_out_of_a_failed_notebook_too(run):
    outcome = run(f"raise ValueError('token {TOKEN}')")
    assert outcome.failure is not None
    assert TOKEN not in outcome.kept + outcome.failure["text"]


def test_a_kept_notebook_is_valid_and_carries_no_times(run):
    kept = json.loads(run("1 + 1").kept)
    nbformat.validate(nbformat.from_dict(kept))
    assert "papermill" not in kept["metadata"]
    assert all("execution" not in cell["metadata"] for cell in kept["cells"])


def test_tags_and_tracebacks_keep_their_form(tmp_path):
    path = write(tmp_path, parameters="a = 1")
    content = json.loads(path.read_text())
    content["cells"][0]["metadata"]["tags"] = ["parameters", "hide-input"]
    content["cells"][1]["outputs"] = [
        {"output_type": "error", "ename": "E", "evalue": "", "traceback": ["one", "two"]}
    ]
    path.write_text(json.dumps(content))
    clean(path, hide={})
    kept = json.loads(path.read_text())
    assert kept["cells"][0]["metadata"]["tags"] == ["parameters", "hide-input"]
    assert kept["cells"][1]["outputs"][0]["traceback"] == ["one", "two"]


def test_a_notebook_that_a_full_disk_cut_off_is_not_kept(tmp_path):
    path = tmp_path / "01_a.ipynb"
    path.write_text(f'{{"cells": [{{"source": "{TOKEN}')
    clean(path, hide={})
    assert not path.exists()


def test_kernels_listen_on_unix_sockets_that_only_their_user_can_reach(run):
    source = """
import json, os
from ipykernel import get_connection_file
facts = json.load(open(get_connection_file()))
print(facts["transport"], oct(os.stat(os.path.dirname(facts["ip"])).st_mode & 0o777))
"""
    kept = run(source).kept
    assert re.search(r"ipc 0o700\\n", kept)


def test_notebooks_that_break_things_are_left_out_where_they_are_not_wanted():
    folder = Path(__file__).resolve().parents[2] / "notebooks"
    everything = {path.stem for path in find_notebooks(folder)}
    calm = {path.stem for path in find_notebooks(folder, drills=False)}
    assert everything - calm == {"12_break_it", "13_failover"}


def test_notebooks_that_no_measurement_needs_are_left_out_of_a_sweep():
    folder = Path(__file__).resolve().parents[2] / "notebooks"
    whole = {path.stem for path in find_notebooks(folder, drills=False)}
    measuring = {path.stem for path in find_notebooks(folder, drills=False, whole=False)}
    assert whole - measuring == {"08_verify_mtls", "09_dashboards"}
