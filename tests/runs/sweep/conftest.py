"""A sweep of tiny notebooks through the real path: papermill, a real embedded cloud, a teardown."""

import json
import os
import signal

import nbformat
import psutil
import pytest

KERNELSPEC = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
PARAMETERS = 'lab_name = "x"\nwest_region = "sfo3"\neast_region = "syd1"'
PAIRS = ("ams3-fra1", "nyc1-lon1")
FILE = """\
pairs: [[ams3, fra1], [nyc1, lon1]]
seed: 1
params: {measure_seconds: 5, warmup_seconds: 0, load_rate: 0}
"""


class Sweep:
    """A sweep file, its notebook, and what the notebook has written down."""

    def __init__(self, home):
        self.home = home
        self.file = home.root / "two.yaml"
        self.file.write_text(FILE)
        self.notebooks = home.root / "notebooks"
        self.notebooks.mkdir()
        self.root = home.root / "runs" / "two"

    def notebook(self, *sources, name="00_start"):
        """One notebook that starts the cloud, writes its pair down and does what is given."""
        log = str(self.home.root / "begun")
        start = (
            "from labkit import open_lab\n"
            "lab = open_lab(lab_name=lab_name, west_region=west_region, east_region=east_region)\n"
            "lab.cloud.start()\n"
            f"with open({log!r}, 'a') as log: print(f'{{west_region}}-{{east_region}}', file=log)"
        )
        cells = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
        cells += [nbformat.v4.new_code_cell(source) for source in (start, *sources)]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=KERNELSPEC)
        nbformat.write(notebook, self.notebooks / f"{name}.ipynb")

    def blocks_at(self, west):
        """The notebook of a point sleeps until `go` is there."""
        self.notebook(
            f"import os, time\nwest, go = {west!r}, {str(self.go)!r}\n"
            "while west_region == west and not os.path.exists(go): time.sleep(0.1)"
        )

    @property
    def go(self):
        return self.home.root / "go"

    @property
    def begun(self):
        """Pairs in the order in which their notebook began, once for each attempt."""
        path = self.home.root / "begun"
        return path.read_text().split() if path.exists() else []

    def arguments(self, *more):
        return ("sweep", "-f", "two.yaml", "--notebooks", "notebooks", *more)

    def run(self, *more):
        return self.home.run(*self.arguments(*more), timeout=170)

    def start(self, *more):
        return self.home.start(*self.arguments(*more))

    @property
    def done(self):
        """Points with a finished run folder, each as often as there is one."""
        marks = self.root.glob("runs/*/sweep.json")
        return sorted(json.loads(mark.read_text())["point"] for mark in marks)

    def children(self):
        """Processes that run a point."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            line = " ".join(process.info["cmdline"] or [])
            alive = process.info["status"] != psutil.STATUS_ZOMBIE
            if "labkit.runs.sweep.child" in line and str(self.home.root) in line and alive:
                found.append(process)
        return found

    def kill_everything(self, process):
        """SIGKILL for the sweep and every process of its labs."""
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        for line in self.home.processes():
            with_pid = int(line.split()[0])
            if psutil.pid_exists(with_pid):
                os.kill(with_pid, signal.SIGKILL)

    def assert_every_point_once_and_nothing_left(self):
        assert self.done == [f"{pair}-r1" for pair in PAIRS]
        assert len(list((self.root / "runs").iterdir())) == len(PAIRS)
        rows = json.loads((self.root / "summary.json").read_text())["rows"]
        assert [f"{row['west']}-{row['east']}" for row in rows] == list(PAIRS)
        assert self.home.processes() == []
        assert list(self.home.root.glob("sweeps/*/sweep-*")) == [], "labs with their keys are gone"


@pytest.fixture
def sweep(home):
    found = Sweep(home)
    yield found
    for line in home.processes():  # only after a failed test
        os.kill(int(line.split()[0]), signal.SIGKILL)
