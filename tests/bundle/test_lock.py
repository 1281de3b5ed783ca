from pathlib import Path

import pytest

from labkit.bundle.lock import for_target, read_lock
from labkit.bundle.targets import PLATFORMS, choose, here
from labkit.errors import InputError

LOCK = Path(__file__).parents[2] / "requirements.lock"


def names(target):
    groups = for_target(read_lock(LOCK), target)
    return [package.name for _, group in groups for package in group]


@pytest.fixture(scope="module")
def targets():
    return {target.name: target for target in choose(list(PLATFORMS), ["3.11", "3.12"])}


def test_the_lock_is_read_whole():
    packages = read_lock(LOCK)
    starts = [line for line in LOCK.read_text().splitlines() if "==" in line and line[0].isalnum()]
    assert len(packages) == len(starts)
    assert all(package.hashes for package in packages)


def test_markers_are_those_of_the_machine_and_not_of_this_one(targets):
    assert "appnope" in names(targets["macos-arm64-py3.12"])
    assert "appnope" not in names(targets["linux-x86_64-py3.12"])
    assert "secretstorage" in names(targets["linux-aarch64-py3.12"])
    assert "pywinpty" not in names(targets["linux-x86_64-py3.12"])
    assert "importlib-metadata" not in names(targets["linux-x86_64-py3.12"])


def test_a_package_with_a_version_for_each_patch_release_is_taken_twice(targets):
    found = names(targets["linux-x86_64-py3.11"])
    assert found.count("soupsieve") == 2
    assert found.count("numpy") == 1


def test_lines_keep_marker_and_hashes():
    package = next(p for p in read_lock(LOCK) if p.name == "appnope")
    assert 'sys_platform == "darwin"' in package.line(marked=True)
    assert "sys_platform" not in package.line(marked=False)
    assert package.line(marked=False).count("--hash=sha256:") == len(package.hashes)


def test_all_problems_of_a_lock_are_told(tmp_path):
    path = tmp_path / "lock"
    path.write_text("a==1\nb>=2 --hash=sha256:" + "0" * 64 + "\n???\n")
    with pytest.raises(InputError) as caught:
        read_lock(path)
    assert [p.partition(":")[0] for p in caught.value.problems] == [
        "a==1",
        "b>=2 --hash=sha256",
        "???",
    ]


def test_all_problems_of_a_choice_are_told():
    with pytest.raises(InputError) as caught:
        choose(["linux-x86_64", "windows-x86_64"], ["3.10", "four"])
    assert len(caught.value.problems) == 3


def test_this_machine_is_one_of_them():
    assert here().platform in PLATFORMS
