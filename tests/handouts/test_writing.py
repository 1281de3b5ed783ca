"""`labkit init`: a folder of notebooks that loses nothing of its owner's work."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from labkit.handouts import cells
from labkit.handouts.materials import NOTEBOOKS

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))


@pytest.fixture
def init(home):
    def init(*args, code=0):
        done = home.run("init", "mine", *args)
        assert done.returncode == code, done.stderr
        return done

    init.folder = home.root / "mine"
    return init


def tags(folder):
    return {
        tag
        for path in (folder / "notebooks").iterdir()
        for cell in cells.read(path)["cells"]
        for tag in cell["metadata"].get("tags", ())
    }


def test_a_learner_gets_every_notebook_without_output_and_the_next_command(init):
    done = init()
    assert sorted(path.name for path in (init.folder / "notebooks").iterdir()) == NAMES
    assert "labkit jupyter mine" in done.stdout
    assert cells.SOLUTION not in tags(init.folder)
    for path in (init.folder / "notebooks").iterdir():
        assert not any(cell.get("outputs") for cell in cells.read(path)["cells"])
    assert (init.folder / "params" / "tutorial.yaml").is_file()
    assert "labkit jupyter ." in (init.folder / "START.md").read_text()


def test_both_editions_at_once_are_refused(init):
    assert "choose one of the two" in init("--learner", "--instructor", code=2).stderr


def test_parameters_become_the_notebooks_own(init, home):
    init("--lab-name", "ada", "-p", "east_region=fra1", "-p", "wan_loss=0.01")
    first = cells.read(init.folder / "notebooks" / "00_start_here.ipynb")
    (source,) = [cells.source_of(c) for c in first["cells"] if cells.tagged(c, cells.PARAMETERS)]
    assert 'lab_name: str = "ada"  # names the lab' in source
    assert 'east_region: str = "fra1"' in source
    shown = json.loads(home.run("config", "--params", "mine/params/lab.yaml", "--json").stdout)
    assert (shown["lab_name"]["value"], shown["wan_loss"]["value"]) == ("ada", 0.01)


def test_consent_to_a_cost_is_not_handed_out(init):
    init("-p", "approve_cost=true")
    assert "approve" not in (init.folder / "params" / "lab.yaml").read_text()


def test_a_second_time_nothing_is_written(init):
    init()
    before = {path: path.stat().st_mtime_ns for path in init.folder.rglob("*.ipynb")}
    assert init("--learner").stdout.startswith("0 files written")
    assert {path: path.stat().st_mtime_ns for path in init.folder.rglob("*.ipynb")} == before


def edit(path, change):
    notebook = cells.read(path)
    change(next(cell for cell in notebook["cells"] if cell["cell_type"] == "code"))
    path.write_text(cells.text_of(notebook))


def test_what_the_learner_changed_is_named_and_kept(init):
    init()
    ran, edited = (init.folder / "notebooks" / name for name in NAMES[3:5])
    edit(ran, lambda cell: cell.update(outputs=[{"output_type": "stream"}], execution_count=1))
    edit(edited, lambda cell: cell.update(source=["mine = 1"]))
    (init.folder / "own.txt").write_text("mine")
    before = {path: path.read_bytes() for path in init.folder.rglob("*") if path.is_file()}
    refused = init("-p", "west_region=nyc3", "--instructor", code=2)
    assert f"{ran.name}: it was run, its outputs would be lost" in refused.stderr
    assert f"{edited.name}: it was edited" in refused.stderr
    assert {path: path.read_bytes() for path in before} == before
    forced = init("--force")
    (backup,) = (init.folder / "backup").iterdir()
    assert f"backup/{backup.name}" in forced.stdout
    kept = [path for path in backup.rglob("*") if path.is_file()]
    assert sorted(path.name for path in kept) == sorted([ran.name, edited.name])
    assert (backup / "notebooks" / edited.name).read_bytes() == before[edited]
    assert "mine = 1" not in edited.read_text()
    assert (init.folder / "own.txt").read_text() == "mine"


def test_a_file_that_init_has_not_written_is_not_overwritten(init):
    (init.folder / "notebooks").mkdir(parents=True)
    own = init.folder / "notebooks" / NAMES[0]
    own.write_text("{}")
    assert f"{NAMES[0]}: it was there before" in init(code=2).stderr
    assert own.read_text() == "{}"
    assert [path.name for path in (init.folder / "notebooks").iterdir()] == [NAMES[0]]


def test_an_init_that_was_cut_off_is_finished_by_the_next_one(init):
    init()
    (init.folder / ".labkit.json").unlink()
    (init.folder / "notebooks" / NAMES[5]).unlink()
    assert init().stdout.startswith("1 files written")


def test_a_file_in_the_place_of_the_folder_is_one_message(init):
    init.folder.write_text("")
    assert "The notebooks cannot be written" in init(code=2).stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_one_message(init):
    init.folder.mkdir(mode=0o500)
    assert "The notebooks cannot be written" in init(code=2).stderr


def test_jupyter_without_notebooks_says_how_to_get_them(home):
    done = home.run("jupyter", "nowhere", "--no-browser")
    assert done.returncode == 2
    assert "`labkit init nowhere` writes them" in done.stderr
    assert home.processes() == []


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and editable wheel, as the build backend makes them."""
    folder = tmp_path_factory.mktemp("wheels")
    code = f"""
import os
from hatchling import build
os.chdir({str(ROOT)!r})
for kind in ("wheel", "editable"):
    os.makedirs(os.path.join({str(folder)!r}, kind))
    getattr(build, "build_" + kind)(os.path.join({str(folder)!r}, kind))
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=100)
    return {kind: next((folder / kind).glob("*.whl")) for kind in ("wheel", "editable")}


def test_a_wheel_brings_notebooks_and_params_and_an_editable_one_reads_the_clones(built):
    with zipfile.ZipFile(built["wheel"]) as wheel:
        names = set(wheel.namelist())
    assert {f"labkit/data/notebooks/{name}" for name in NAMES} <= names
    assert "labkit/data/params/tutorial.yaml" in names
    assert "labkit/data/jupyter/labconfig/page_config.json" in names
    with zipfile.ZipFile(built["editable"]) as wheel:
        assert not [name for name in wheel.namelist() if name.startswith("labkit/")]


def test_an_installed_wheel_hands_out_what_the_clone_does(init, home, built):
    installed = home.root / "site"
    with zipfile.ZipFile(built["wheel"]) as wheel:
        wheel.extractall(installed)
    init()
    done = home.run("init", "other", env={"PYTHONPATH": str(installed)})
    assert done.returncode == 0, done.stderr
    found = home.run(
        *("init", "--help"), env={"PYTHONPATH": str(installed), "PYTHONVERBOSE": "1"}
    ).stderr
    assert str(installed / "labkit") in found
    for path in init.folder.rglob("*"):
        if path.is_file():
            other = home.root / "other" / path.relative_to(init.folder)
            assert other.read_bytes() == path.read_bytes(), path.name


def name_of(home, lab="demo"):
    return home.json("progress", "--lab-name", lab)["learner"]


def test_a_name_that_is_given_is_the_learners(init, home):
    init("--name", "  Ada  Lovelace ", "--lab-name", "ada")
    assert name_of(home, "ada") == "Ada Lovelace"


def test_a_name_that_cannot_be_shown_is_refused_before_anything_is_written(init):
    assert "at most 60" in init("--name", "x" * 61, code=2).stderr
    assert not init.folder.exists()


def test_a_terminal_asks_for_the_name_once(home, open_terminal):
    terminal = open_terminal(home.environment, home.root)
    labkit = " ".join(home.argv("init", "mine"))
    code, text = terminal.type(f"{labkit}\n{'x' * 61}\nZoë")
    assert (code, text.count("by the lab's name)"), text.count("at most 60")) == (0, 2, 1), text
    assert name_of(home) == "Zoë"
    code, text = terminal.type(labkit)
    assert (code, "board" in text) == (0, False)
