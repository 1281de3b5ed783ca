import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from labkit import learner
from labkit.errors import StateError
from labkit.folder import LabFolder
from labkit.lab import Lab
from labkit.params import Params

WRITER = """
import sys
from pathlib import Path
from labkit import learner
from labkit.folder import LabFolder
folder = LabFolder(Path(sys.argv[1]))
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    learner.note_step(folder, "03")
"""


@pytest.fixture
def folder(tmp_path):
    made = LabFolder(tmp_path / "demo")
    made.prepare()
    return made


def writer(folder, count):
    argv = [sys.executable, "-c", WRITER, str(folder.root), str(count)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def test_checks_of_a_chapter_leave_their_mark(folder, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(folder.root.parent))
    lab = Lab.create(Params())
    report = lab.run_checks(["01"])  # there are no clusters
    record = learner.read_record(lab.folder)
    assert record.chapter("01").failing == tuple(seen.id for seen in report.failures)
    assert (record.chapter("01").state, record.at) == ("failed", "01")


def test_a_lab_without_a_folder_gets_none(tmp_path):
    folder = LabFolder(tmp_path / "none")
    learner.note_step(folder, "03")
    assert not folder.root.exists()


def test_a_step_marks_its_chapter(folder, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(folder.root.parent))
    Lab.create(Params()).create_trust_anchor()
    assert learner.read_record(folder).chapter("02").state == "running"


def test_a_damaged_record_is_told_kept_aside_and_begun_anew(folder, caplog):
    folder.progress_file.write_text('{"schema": "labkit.progress/1", "id"')
    with pytest.raises(StateError, match="cannot be read"):
        learner.read_record(folder)
    with caplog.at_level(logging.WARNING):
        learner.note_step(folder, "03")
    assert "begins anew" in caplog.text
    assert learner.read_record(folder).at == "03"
    aside = list(folder.root.glob("progress.json.broken-*"))
    assert [path.read_text()[:10] for path in aside] == ['{"schema":']


def test_a_folder_that_cannot_be_written_is_told_and_fails_nothing(folder, caplog):
    folder.progress_file.mkdir()  # what even root cannot write over
    with caplog.at_level(logging.WARNING):
        learner.note_step(folder, "03")
    assert "begins anew" in caplog.text or "cannot be written" in caplog.text


def test_notes_of_two_processes_are_all_kept(folder):
    two = [writer(folder, 20), writer(folder, 20)]
    assert [process.communicate()[0] and process.returncode for process in two] == [0, 0]
    assert learner.read_record(folder).revision == 40


@pytest.mark.slow
def test_a_kill_at_any_time_leaves_a_whole_record(folder):
    for pause in (0.0, 0.01, 0.02, 0.05):
        process = writer(folder, 100_000)
        assert process.stdout.readline() == "ready\n"
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        learner.read_record(folder)
        learner.note_checks(folder, {"03.ready": False})  # the lock was let go
        assert learner.read_record(folder).chapter("03").state == "passed"
    assert not list(folder.root.glob("*.broken-*"))


def test_the_record_holds_no_secret_no_path_and_no_machine(folder):
    learner.set_name(folder, "Ada")
    learner.note_checks(folder, {"03.ready": True})
    text = folder.progress_file.read_text()
    assert str(folder.root.parent) not in text
    assert os.uname().nodename not in text


def test_progress_is_shown_and_named_from_the_command_line(home):
    done = home.run("progress", "--name", " Ada  Lovelace")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Ada Lovelace: 0 of ")
    assert "Shared with nobody" in done.stdout
    facts = home.json("progress")
    assert (facts["learner"], facts["shared"]["url"]) == ("Ada Lovelace", None)
    assert home.run("check", "--list").returncode == 0


def test_a_name_that_cannot_be_shown_is_refused(home):
    done = home.run("progress", "--name", "Ada\x1b[2J")
    assert done.returncode == 2
    assert "U+001B" in done.stderr
    assert "\x1b" not in done.stderr
