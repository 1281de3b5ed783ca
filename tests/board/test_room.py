"""A room of forty: real HTTP, a shared folder, two real labs, and a collector that is killed."""

import json
import subprocess
import sys
import threading
import time

import pytest

from labkit import learner
from labkit.folder import LabFolder
from labkit.learner.sending import Sender
from labkit.learner.sharing import Sharing, read_sharing, write_sharing
from labkit.params import Params

BY_HTTP, BY_FOLDER = 30, 8
CHAPTERS = ("01", "02", "03", "04")


def folder_of(root, number):
    folder = LabFolder(root / f"l{number:02}" / "demo")
    folder.prepare()
    learner.set_name(folder, f"Learner {number:02}")
    return folder


class Simulated(threading.Thread):
    """A learner who works through some chapters, fails now and then, and shares all of it."""

    def __init__(self, folder, number, said):
        super().__init__(daemon=True)
        self.folder, self.number, self.said = folder, number, said
        self.sender = Sender(folder, pauses_s=(0.2, 0.5, 1.0), say=said.append)

    def run(self):
        for chapter in CHAPTERS[: 1 + self.number % len(CHAPTERS)]:
            learner.note_step(self.folder, chapter)
            failed = self.number % 3 == 0
            learner.note_checks(self.folder, {f"{chapter}.nodes-west": failed})
            self.sender.send(learner.read_record(self.folder))
            time.sleep(0.3)


def start(root, collector, shared, said):
    people = []
    for number in range(BY_HTTP + BY_FOLDER):
        folder = folder_of(root, number)
        if number < BY_HTTP:
            sharing = Sharing(url=collector.url, code=collector.code, key=f"{number:032x}")
        else:
            sharing = Sharing(folder=str(shared))
        write_sharing(folder, sharing)
        people.append(Simulated(folder, number, said))
    for person in people:
        person.start()
    return people


@pytest.mark.slow
def test_forty_learners_reach_the_board_though_the_collector_is_killed(
    home, tmp_path_factory, run_collector, wait
):
    shared = tmp_path_factory.mktemp("shared")
    root = tmp_path_factory.mktemp("labs")
    said: list[str] = []
    with run_collector(home) as first:
        people = start(root, first, shared, said)
        time.sleep(0.7)  # in the middle of it
        first.kill()
    port = int(first.url.rpartition(":")[2])
    with run_collector(home, port) as collector:
        real = real_labs(home, collector, shared)
        for person in people:
            person.join(60)
        wait(
            lambda: all(
                read_sharing(p.folder).sent == learner.read_record(p.folder).revision
                for p in people
            ),
            "every learner to be delivered",
        )
        facts = home.run(
            *("board", collector.url, str(shared), "--json"),
            env={"LABKIT_BOARD_PASSWORD": collector.password},
        )
        page = collector.page().text
    board = json.loads(facts.stdout)
    rows = {row["name"]: row for row in board["learners"]}
    assert len(rows) == BY_HTTP + BY_FOLDER + len(real) == 40
    assert board["unread"] == []
    for person in people:
        record = learner.read_record(person.folder)
        assert rows[record.learner]["at"] == record.at
        assert rows[record.learner]["failing"] == [
            check for chapter in record.chapters.values() for check in chapter.failing
        ]
    assert (rows["Real One"]["at"], rows["Real One"]["passed"]) == ("02", 1)
    assert (rows["Real Two"]["at"], rows["Real Two"]["state"]) == ("01", "failed")
    failing = {item["id"]: item["learners"] for item in board["failing"]}
    assert failing["01.nodes-west"] == 13 + 1
    assert page.count('<th scope="row">Learner ') == BY_HTTP
    assert said, "nobody noticed that the collector was away"
    assert len(said) <= BY_HTTP, "a learner was told more than once"


def real_labs(home, collector, shared):
    """Two labs by the command line: one passes chapter 02, one fails 01; one joins, one shares."""
    for name in ("one", "two"):
        folder = LabFolder(home.root / name)
        folder.write_params(Params(lab_name=name))
    script = "from labkit import open_lab; open_lab(lab_name='one').create_trust_anchor()"
    subprocess.run([sys.executable, "-c", script], env=home.environment, check=True, timeout=120)
    assert home.run("check", "02", "--lab-name", "one").returncode == 0
    assert home.run("check", "01", "--lab-name", "two").returncode == 1
    for name in ("one", "two"):
        named = home.run("progress", "--lab-name", name, "--name", f"Real {name.title()}")
        assert named.returncode == 0, named.stderr
    joined = home.run(
        *("progress", "--lab-name", "one", "--join", collector.url),
        env={"LABKIT_JOIN_CODE": collector.code},
    )
    assert f"Shared with {collector.url}." in joined.stdout, joined.stderr
    assert collector.code not in joined.stdout + joined.stderr
    assert home.run("check", "02", "--lab-name", "one").returncode == 0  # sends as it ends
    record = learner.read_record(LabFolder(home.root / "one"))
    sent = [json.loads(row["progress"]) for row in collector.learners()]
    assert record.revision in [row["revision"] for row in sent if row["id"] == record.id]
    done = home.run("progress", "--lab-name", "two", "--share", str(shared))
    assert done.returncode == 0, done.stderr
    return ("one", "two")
