import json
import os
import shlex
import time

import pytest

from labkit.board.gathering import Gathered, Sighting, from_folder, gather
from labkit.learner import LearnerRecord


def write(path, record):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record.to_json())


def test_a_folder_of_records_a_lab_and_a_home_of_labs_can_be_read(tmp_path):
    one, two = LearnerRecord.new("demo").named("Ada"), LearnerRecord.new("other")
    write(tmp_path / "shared" / f"{one.id}.json", one)
    write(tmp_path / "home/other/progress.json", two)
    (tmp_path / "home/other/lab.json").write_text("{}")
    for folder, expected in (("shared", one), ("home", two), ("home/other", two)):
        found = from_folder(tmp_path / folder)
        assert [s.record for s in found.sightings] == [expected]
        assert found.unread == ()


def test_what_is_no_record_is_listed_with_its_reason_and_hides_nothing(tmp_path):
    good = LearnerRecord.new("demo")
    write(tmp_path / "good.json", good)
    (tmp_path / "cut.json").write_text(good.to_json()[:40])
    (tmp_path / "deep.json").write_text("[" * 30000)
    (tmp_path / "huge.json").write_text(" " * 70000)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "odd\x1b[2J.json").write_text("{}")
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.json")
    hostile = {**json.loads(good.to_json()), "learner": "\x1b[31m"}
    (tmp_path / "name.json").write_text(json.dumps(hostile))
    found = from_folder(tmp_path)
    assert [s.record for s in found.sightings] == [good]
    reasons = {item.name: item.reason for item in found.unread}
    assert set(reasons) == {
        *("cut.json", "deep.json", "huge.json", "folder.json", "odd?[2J.json"),
        *("gone.json", "pipe.json", "name.json"),
    }
    assert reasons["pipe.json"] == reasons["folder.json"] == "no regular file"
    assert "70000 bytes" in reasons["huge.json"]
    assert reasons["name.json"].startswith("learner: ")
    assert "\x1b" not in "".join(reasons.values())


def test_of_two_copies_the_newer_revision_counts_and_of_equal_ones_the_older_copy():
    old = LearnerRecord.new("demo")
    new = old.named("Ada")
    parts = [Gathered((Sighting(new, 50),)), Gathered((Sighting(old, 1), Sighting(new, 9)))]
    assert Gathered.merged(parts).sightings == (Sighting(new, 50),)


def test_the_age_is_that_of_the_file(tmp_path):
    write(tmp_path / "a.json", LearnerRecord.new("demo"))
    os.utime(tmp_path / "a.json", (time.time() - 7200,) * 2)
    assert 7200 <= from_folder(tmp_path).sightings[0].age_s < 7300


def test_a_board_that_does_not_answer_is_listed(tmp_path):
    found = gather(["http://127.0.0.1:9", str(tmp_path)])
    assert [item.name for item in found.unread] == ["http://127.0.0.1:9"]
    assert "cannot be reached" in found.unread[0].reason


def test_the_command_shows_a_folder_once_without_a_terminal(home):
    record = LearnerRecord.new("demo").named("Ada")
    write(home.root / "shared" / f"{record.id}.json", record)
    (home.root / "shared/bad.json").write_text("{}")
    done = home.run("board", "shared", "--html", "board.html")
    assert done.returncode == 0, done.stderr
    assert "Ada" in done.stdout
    assert "! bad.json: " in done.stdout
    assert "Ada" in (home.root / "board.html").read_text()
    facts = home.json("board", "shared")
    assert facts["learners"][0]["name"] == "Ada"


def test_the_command_tells_all_sources_that_are_none(home):
    done = home.run("board", "nowhere", "ftp://x")
    assert done.returncode == 2
    assert "nowhere is no folder" in done.stderr
    assert "ftp://x is no folder" in done.stderr
    assert home.run("board").returncode == 2


@pytest.mark.parametrize("kind", ["xterm", "dumb"])
def test_on_a_terminal_the_board_goes_on_until_ctrl_c(home, open_terminal, kind):
    record = LearnerRecord.new("demo").named("Ada")
    write(home.root / "shared" / f"{record.id}.json", record)
    terminal = open_terminal(home.environment, home.root)
    command = shlex.join(home.argv("board", "shared", "--every", "1"))
    shown = terminal.watch(f"TERM={kind} {command}", until="1 learner: 0 stuck", times=2)
    assert "Ada" in shown
    terminal.interrupt()
    assert terminal.type("echo ended with $?") == (0, "ended with 0\n")
