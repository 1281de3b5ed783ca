"""The record of drills: written first, private, and read back after any kill."""

import stat

import pytest

from labkit.drill_log import DrillLog
from labkit.errors import StateError
from labkit.folder import LabFolder


@pytest.fixture
def log(tmp_path):
    return DrillLog(LabFolder(tmp_path / "lab"))


def test_what_is_recorded_is_read_back(log):
    record = log.begin("one", {"app": "x"})
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    record = log.update(record, hints=2)
    assert log.open() == [record]
    healed = log.update(record, healed=1.0)
    assert log.open() == []
    assert log.records() == [healed]
    log.clear()
    assert log.records() == []


def test_a_damaged_record_is_no_traceback(log):
    log.begin("one", {})
    log.path.write_text("[{]")
    with pytest.raises(StateError, match=r"drills\.json cannot be read"):
        log.open()
