"""A bundle is made, unpacked and installed for real: a small one here, the whole one on demand."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from labkit.bundle import archive, wheels
from labkit.bundle.lock import read_lock
from labkit.bundle.targets import choose, here
from labkit.errors import InputError, LabkitError, StateError

CLONE = Path(__file__).parents[2]
ALOUD = sys.stderr.write
LONG = os.environ.get("LABKIT_LONG_TESTS") == "1"


def closure(name):
    """What a package needs on this machine."""
    found, wanted = {name}, [name]
    while wanted:
        for text in metadata.requires(wanted.pop()) or ():
            needs = Requirement(text)
            if needs.marker and not needs.marker.evaluate({"extra": ""}):
                continue
            if needs.name.lower() not in found:
                found.add(needs.name.lower())
                wanted.append(needs.name)
    return found


@pytest.fixture(scope="module")
def small_lock(tmp_path_factory):
    """The part of the lock that the command line itself needs."""
    wanted = closure("typer")
    chosen = [p for p in read_lock(CLONE / archive.LOCK) if p.name.lower() in wanted]
    path = tmp_path_factory.mktemp("lock") / "small.lock"
    path.write_text("".join(package.line(marked=True) for package in chosen))
    return path


@pytest.fixture(scope="module")
def made(small_lock, tmp_path_factory):
    """A small bundle: everything but most of the wheels."""
    folder = tmp_path_factory.mktemp("bundle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_HOME", str(folder / "home"))
        return archive.make([here()], output=folder / "small.zip", clone=CLONE, lock=small_lock)


@pytest.fixture
def unpacked(made, tmp_path):
    with zipfile.ZipFile(made.path) as packed:
        packed.extractall(tmp_path)
    return next(tmp_path.glob("labkit-*-offline"))


def install(folder, venv, **environment):
    """As on a machine without a network: no index, whatever this machine's pip is told."""
    return subprocess.run(
        [sys.executable, str(folder / "install.py"), str(venv)],
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_bundle_installs_without_an_index_and_labkit_starts(unpacked, tmp_path):
    done = install(unpacked, tmp_path / "venv")
    assert done.returncode == 0, done.stderr
    assert "doctor --offline" in done.stdout
    for words, expected in (
        (["version"], metadata.version("labkit")),
        (["--help"], "A two-cluster"),
    ):
        ran = subprocess.run(
            [str(tmp_path / "venv/bin/labkit"), *words],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=120,
        )
        assert expected in ran.stdout, ran.stderr


@pytest.mark.slow
def test_a_bundle_holds_what_its_manifest_says(made, unpacked):
    manifest = json.loads((unpacked / "manifest.json").read_text())
    there = {str(p.relative_to(unpacked)) for p in unpacked.rglob("*") if p.is_file()}
    assert there == {*manifest["files"], "manifest.json"}
    assert made.files == len(there)
    assert {"install.py", "README-OFFLINE.txt", "docs/cli.md", "params/schema.json"} <= there
    assert {f"notebooks/{path.name}" for path in (CLONE / "notebooks").glob("*.ipynb")} <= there
    own = next((unpacked / "wheels").glob("labkit-*.whl"))
    assert "labkit/data/notebooks/00_start_here.ipynb" in zipfile.ZipFile(own).namelist()
    assert not list(made.path.parent.glob(".*partial"))


@pytest.mark.slow
def test_a_damaged_or_incomplete_bundle_is_not_installed(unpacked, tmp_path):
    wheel = next((unpacked / "wheels").glob("rich-*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:-1] + b"x")
    (unpacked / "docs/cli.md").unlink()
    done = install(unpacked, tmp_path / "venv")
    assert done.returncode == 1
    assert "docs/cli.md is missing" in done.stderr
    assert f"wheels/{wheel.name} is damaged" in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.slow
def test_another_machine_is_told_which_bundle_it_needs(unpacked, tmp_path):
    path = unpacked / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["targets"][0]["platform"] = "macos-arm64"
    path.write_text(json.dumps(manifest))
    done = install(unpacked, tmp_path / "venv")
    assert done.returncode == 1
    assert f"labkit bundle --platform {here().platform} --python {here().python}" in done.stderr


@pytest.mark.slow
def test_a_wheel_with_another_hash_than_the_locks_is_refused(small_lock, tmp_path):
    lines = small_lock.read_text().splitlines(keepends=True)
    start = next(n for n, line in enumerate(lines) if line.startswith("rich=="))
    end = next((n for n in range(start + 1, len(lines)) if lines[n][0].isalnum()), len(lines))
    wrong = tmp_path / "wrong.lock"
    digest = f"    --hash=sha256:{'0' * 64}\n"
    wrong.write_text("".join([*lines[:start], lines[start], digest, *lines[end:]]))
    with pytest.raises(LabkitError, match="does not have the hash"):
        wheels.download(read_lock(wrong), here(), tmp_path / "wheels", ALOUD)


def test_packages_without_a_wheel_are_all_named(tmp_path, monkeypatch):
    """pip is told of no index at all, so no package has one."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    lock = tmp_path / "lock"
    digest = f"--hash=sha256:{'0' * 64}"
    lock.write_text(f"one==1 {digest}\ntwo==2 {digest}\n")
    target = choose(["linux-aarch64"], ["3.12"])[0]
    with pytest.raises(InputError, match="linux-aarch64-py3") as caught:
        wheels.download(read_lock(lock), target, tmp_path / "wheels", ALOUD)
    assert caught.value.problems == ("one 1", "two 2")


def test_a_place_that_cannot_be_written_is_told_before_anything_is_downloaded(tmp_path):
    with pytest.raises(StateError, match="cannot be written"):
        archive.make([here()], output=tmp_path / "none/x.zip", clone=CLONE)


def test_the_command_tells_all_that_does_not_fit(home):
    done = home.run("bundle", "--platform", "amiga", "--python", "2.7")
    assert done.returncode == 2
    assert "--platform amiga" in done.stderr
    assert "--python 2.7" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="LABKIT_LONG_TESTS=1: 300 MB of wheels, 900 MB on disk")
@pytest.mark.timeout(1800)
def test_the_whole_bundle_runs_a_lab_where_there_is_no_network(tmp_path, home):
    made = home.run("bundle", "-o", "whole.zip", timeout=900)
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(home.root / "whole.zip") as packed:
        packed.extractall(tmp_path)
    folder = next(tmp_path.glob("labkit-*-offline"))
    done = install(folder, tmp_path / "venv")
    assert done.returncode == 0, done.stderr
    shutil.rmtree(folder / "wheels")
    ran = subprocess.run(
        [str(tmp_path / "venv/bin/labkit"), "doctor", "--offline"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LABKIT_HOME": str(tmp_path / "h")},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=900,
    )
    assert ran.returncode in (0, 3), ran.stdout + ran.stderr[-2000:]
    assert "✔ offline.lab" in ran.stdout
