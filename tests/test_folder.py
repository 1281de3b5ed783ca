import json
import stat

import pytest

from labkit.errors import StateError
from labkit.folder import LabFolder, home, known_labs
from labkit.params import Params


@pytest.fixture
def lab_home(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_labs_live_in_the_users_home_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home({}) == tmp_path / ".labkit"
    assert home({"LABKIT_HOME": ""}) == tmp_path / ".labkit"
    assert home({"LABKIT_HOME": "~/labs"}) == tmp_path / "labs"


def test_a_prepared_folder_is_its_owners_only(lab_home):
    folder = LabFolder.of("demo")
    folder.prepare()
    folder.prepare()
    for path in (folder.root, folder.certificates, folder.commands):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_parameters_are_kept_and_read_back(lab_home):
    folder = LabFolder.of("demo")
    assert folder.read_params() is None
    params = Params(west_region="ams3", east_region="fra1", wan_rtt_ms=3.5)
    folder.write_params(params)
    assert folder.read_params() == params
    assert stat.S_IMODE(folder.params_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", '{"nonsense": 1}', "[]"])
def test_damaged_parameters_are_named_with_a_way_out(lab_home, text):
    folder = LabFolder.of("demo")
    folder.prepare()
    folder.params_file.write_text(text)
    with pytest.raises(StateError, match="cannot be read") as caught:
        folder.read_params()
    assert str(folder.params_file) in caught.value.what
    assert "remove that file" in caught.value.fix


def test_a_home_that_cannot_be_written_is_a_clear_message(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(StateError, match="cannot be written") as caught:
        LabFolder.of("demo").write_params(Params())
    assert "LABKIT_HOME" in caught.value.fix
    assert caught.value.seen == "Not a directory"


def test_facts_of_chapters_are_merged_and_a_damaged_file_counts_as_none(lab_home):
    folder = LabFolder.of("demo")
    folder.prepare()
    assert folder.recall() == {}
    folder.remember(tap={"n": 3})
    folder.remember(intruders=[])
    assert folder.recall() == {"tap": {"n": 3}, "intruders": []}
    folder.chapters_file.write_text("{")
    assert folder.recall() == {}
    folder.chapters_file.write_text(json.dumps([1]))
    assert folder.recall() == {}


def test_known_labs_are_those_with_parameters(lab_home):
    assert known_labs() == []
    for name in ("b", "a"):
        LabFolder.of(name).write_params(Params(lab_name=name))
    (lab_home / "no-lab").mkdir()
    assert known_labs() == ["a", "b"]
