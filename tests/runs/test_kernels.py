"""Kernels that are started ahead: each notebook has a fresh one, and none is left."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest

from labkit.runs.kernels import Kernels, remove_leftovers

KERNELSPEC = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}

DRIVER = """
import json, sys
from pathlib import Path
from labkit.runs.kernels import Kernels
from labkit.runs.notebooks import execute
import psutil

def kernels():
    # forks of the template, or kernels that were started by themselves
    started = psutil.Process().children(recursive=True)
    templates = [p for p in psutil.Process().children() if "template_process" in str(p.cmdline())]
    return [p.pid for p in started if p not in templates and p.status() != psutil.STATUS_ZOMBIE]

folder = Path(sys.argv[1])
seen = {}
with Kernels(folder) as waiting:
    waiting.prepare(1)
    first = kernels()
    execute(folder / "01_a.ipynb", folder / "a.out", parameters={}, hide=dict, kernels=waiting, ahead=1)
    second = kernels()
    if sys.argv[2] == "kill":
        killed = psutil.Process(second[0])
        killed.kill()
        killed.wait(20)
    if sys.argv[2] == "orphan":
        waiting._template._process.kill()
        waiting._template._process.wait()
        psutil.Process(second[0]).wait(20)
    execute(folder / "02_b.ipynb", folder / "b.out", parameters={}, hide=dict, kernels=waiting, ahead=2)
    third = kernels()
print(json.dumps({"first": first, "second": second, "third": third, "after": kernels()}))
"""


def output(path):
    cells = json.loads(path.read_text())["cells"]
    return "".join("".join(item["text"]) for cell in cells for item in cell.get("outputs", []))


FORKED = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")


@pytest.mark.parametrize("fate", ["live", "kill", pytest.param("orphan", marks=FORKED)])
def test_every_notebook_has_a_fresh_kernel_in_its_folder_and_none_is_left(tmp_path, fate):
    source = (
        "import os, sys\n"
        "print(os.getpid(), os.getcwd(), 'labkit.opening' in sys.modules, 'secret' in globals(),"
        " 'labkit' in globals())\nsecret = 1"
    )
    for name in ("01_a", "02_b"):
        cell = nbformat.v4.new_code_cell(source)
        notebook = nbformat.v4.new_notebook(cells=[cell], metadata=KERNELSPEC)
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DRIVER, tmp_path.name, fate],
        cwd=tmp_path.parent,  # people type relative folders
        env={**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pids = json.loads(done.stdout.splitlines()[-1])
    a, b = (output(tmp_path / name).split() for name in ("a.out", "b.out"))
    assert a[1:] == [str(tmp_path.resolve()), "True", "False", "False"]
    assert int(a[0]) == pids["first"][0]
    assert b[3:] == ["False", "False"], "nothing of the first notebook, nothing bound beforehand"
    assert (int(b[0]) == pids["second"][0]) == (fate == "live")
    assert (len(pids["second"]), len(pids["third"])) == (1, 2), "as many as are asked for"
    assert pids["after"] == []
    assert not any(psutil.pid_exists(pid) for pid in pids["third"])


def test_folders_of_killed_runs_are_removed_and_no_others(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    of_ended = tmp_path / f"labkit-kernel-{ended.pid}-abc"
    of_this = tmp_path / f"labkit-kernel-{os.getpid()}-abc"
    others = tmp_path / "labkit-kernel-abc"
    for folder in (of_ended, of_this, others):
        folder.mkdir()
    (of_ended / "k-1").touch()
    assert remove_leftovers(tmp_path) == [of_ended]
    assert sorted(tmp_path.iterdir()) == sorted([of_this, others])


def test_a_run_that_is_killed_leaves_nothing_behind_for_the_next_one(tmp_path):
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom labkit.runs.kernels import Kernels\n"
        "with Kernels(Path(sys.argv[1])) as waiting:\n    waiting.prepare(1)\n"
        "    print(waiting._waiting[0].folder, flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)],
        env={**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,
        check=False,
    )
    folder = Path(done.stdout.strip())
    assert folder.is_dir(), "killed"
    with Kernels(tmp_path):
        assert not folder.exists()
