"""The collector against learners, attackers and kills, over real HTTP."""

import json
import socket
import stat
import time

import pytest
import requests

from labkit.board.collector import CollectorApp, Limits, collecting
from labkit.board.keeping import MOST_LEARNERS, Kept, Refused
from labkit.board.limits import Limit
from labkit.board.standing import stand
from labkit.errors import StateError
from labkit.learner import LearnerRecord
from labkit.learner.delivering import LEARNERS


def learner(name="Ada"):
    return LearnerRecord.new("demo").named(name)


def names(collector):
    return [json.loads(row["progress"])["learner"] for row in collector.learners()]


def test_a_learner_is_taken_and_shown(collector):
    record = learner("Grace")
    answer = collector.put(record)
    assert (answer.status_code, answer.json()) == (200, {"revision": 1, "kept": True})
    assert "Grace" in names(collector)
    assert "Grace" in collector.page().text


def test_the_code_may_be_typed_without_hyphen_and_in_capitals(collector):
    assert collector.put(learner(), code=collector.code.replace("-", "").upper()).status_code == 200


def test_an_older_record_changes_nothing(collector):
    old = learner("Old")
    collector.put(old.named("New"))
    assert collector.put(old).json() == {"revision": 1, "kept": False}
    assert "Old" not in names(collector)


@pytest.mark.parametrize("code", ["wrong", "x", "a" * 5000])
def test_a_wrong_code_is_refused(collector, code):
    answer = collector.put(learner("Eve"), code=code)
    assert answer.status_code == 401
    assert "Eve" not in names(collector)


def test_a_learner_cannot_be_overwritten_by_another(collector):
    record = learner("Ada")
    collector.put(record, key="a" * 32)
    answer = collector.put(record.named("Eve"), key="b" * 32)
    assert (answer.status_code, answer.text) == (403, "another learner has this id\n")
    assert "Eve" not in names(collector)


@pytest.mark.parametrize(
    "path", ["../../../etc/passwd", "..%2f..%2fkeys", "%2e%2e", "0" * 16, "A" * 16, "a" * 5000, ""]
)
def test_ids_cannot_leave_their_folder(collector, path, module_home):
    before = sorted(str(p) for p in module_home.root.rglob("*"))
    answer = collector.put(learner("Eve"), path=path)
    assert answer.status_code in (400, 404, 405)
    assert sorted(str(p) for p in module_home.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 60000, 400),
        (b'{"a":' * 12000, 400),
        (b'{"revision": 1e999}', 400),
        (b" " * 70000, 413),
        (b"x" * 5_000_000, 413),
        (b'{"schema":"labkit.progress/1","id":"0123456789abcdef","lab":"x","token":"s"}', 400),
    ],
    ids=["empty", "cut", "no text", "deep", "deep too", "infinite", "large", "huge", "field"],
)
def test_hostile_bodies_are_refused_in_words(collector, body, status):
    try:
        answer = collector.put(learner(), data=body)
    except requests.ConnectionError:  # it was cut off while it still sent
        assert status == 413
    else:
        assert answer.status_code == status
        assert "Traceback" not in answer.text
        assert len(answer.text) < 400
    assert collector.put(learner()).status_code == 200


def test_names_with_markup_are_text_and_with_control_characters_refused(collector):
    collector.put(learner("<script>alert(1)</script>"))
    page = collector.page().text
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    sly = json.loads(learner().to_json()) | {"learner": "a\u001b[2Jb"}
    answer = collector.put(learner(), path=sly["id"], data=json.dumps(sly))
    assert answer.status_code == 400
    assert "\x1b" not in answer.text


@pytest.mark.parametrize("path", ["/", LEARNERS])
def test_the_page_needs_the_password_and_the_code_does_not_open_it(collector, path):
    for answer in (
        requests.get(f"{collector.url}{path}", timeout=30),
        collector.page(path, password="wrong"),
        collector.page(path, password=collector.code),
        requests.get(
            f"{collector.url}{path}",
            headers={"Authorization": f"Bearer {collector.code}"},
            timeout=30,
        ),
        requests.get(f"{collector.url}{path}", headers={"Authorization": "Basic \xff"}, timeout=30),
    ):
        assert answer.status_code == 401
        assert "Basic" in answer.headers["WWW-Authenticate"]
        assert collector.code not in answer.text
        assert collector.password not in answer.text


def test_the_page_is_not_kept_and_may_load_nothing(collector):
    answer = collector.page()
    assert answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert 'http-equiv="refresh"' in answer.text
    assert 'http-equiv="refresh"' not in collector.page("/?refresh=0").text


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH"])
def test_other_methods_are_refused(collector, method):
    for path in ("/", LEARNERS, f"{LEARNERS}/0123456789abcdef", "/etc/passwd"):
        answer = requests.request(method, f"{collector.url}{path}", timeout=30)
        assert answer.status_code in (404, 405)


def test_half_sent_requests_hold_nobody_up(collector):
    host, _, port = collector.url.removeprefix("http://").partition(":")
    hung = []
    for text in (
        b"PUT ",
        b"PUT /v1/learners/0123456789abcdef HTTP/1.1\r\nContent-Length: 99\r\n\r\n{",
    ):
        hung.append(socket.create_connection((host, int(port))))
        hung[-1].sendall(text)
    assert collector.put(learner()).status_code == 200
    for connection in hung:
        connection.close()


def test_credentials_are_private_and_the_password_is_not_shown_to_the_room(collector, module_home):
    collector.put(learner("Lamarr"))  # it may be the first one
    folder = module_home.root / ".board"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.rglob("*.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert collector.password not in collector.told
    assert "this machine only" in collector.told
    kept = (folder / "keys.json").read_text()
    assert "k" * 32 not in kept


def test_a_board_reads_a_collector_with_the_password_only(collector, module_home):
    collector.put(learner("Hopper"))
    good = module_home.run(
        "board", collector.url, env={"LABKIT_BOARD_PASSWORD": collector.password}
    )
    assert "Hopper" in good.stdout, good.stderr
    bad = module_home.run("board", collector.url, env={"LABKIT_BOARD_PASSWORD": "wrong"})
    assert "the board's password is wrong" in bad.stdout
    none = module_home.run("board", collector.url)
    assert none.returncode == 2
    assert "LABKIT_BOARD_PASSWORD is not set" in none.stderr


def test_a_second_collector_of_the_same_folder_or_port_says_so(collector, module_home):
    same = module_home.run("board", "--serve", "--port", "0")
    assert same.returncode == 1
    assert "Another board keeps its state" in same.stderr
    port = collector.url.rpartition(":")[2]
    taken = module_home.run("board", "--serve", "--port", port, "--state", "other")
    assert taken.returncode == 1
    assert "cannot listen" in taken.stderr


def test_a_board_is_full_at_some_point(tmp_path):
    kept = Kept(tmp_path)
    try:
        kept._keys = {f"{n:016x}": "" for n in range(MOST_LEARNERS)}
        with pytest.raises(Refused, match="full"):
            kept.put(learner(), "k")
    finally:
        kept.close()


def test_damaged_state_is_told_or_survived(tmp_path):
    kept = Kept(tmp_path)
    record = learner()
    kept.put(record, "k")
    kept.close()
    (tmp_path / "learners/bad.json").write_text("{")
    (tmp_path / "keys.json").write_text("[")
    again = Kept(tmp_path)
    assert [s.record for s in again.gathered().sightings] == [record]
    assert [item.name for item in again.unread] == ["bad.json"]
    again.close()
    (tmp_path / "board.json").write_text("{")
    with pytest.raises(StateError, match="credentials"):
        Kept(tmp_path)


@pytest.fixture
async def limited(tmp_path):
    """A collector with small limits, and the time it takes: none."""
    limits = Limits(address=Limit(6, 0.5), learner=Limit(2, 0.5), total=Limit(50, 10))
    kept = Kept(tmp_path)

    def show(gathered):
        return stand(gathered, plan={}, checks={}, now=None)

    app = CollectorApp(kept, show=show, limits=limits).application()
    async with collecting(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}", kept
    kept.close()


async def test_too_many_requests_are_put_off_by_learner_and_by_address(limited):
    import aiohttp

    url, kept = limited
    record = learner()
    headers = {"Authorization": f"Bearer {kept.credentials.join_code}", "Labkit-Learner-Key": "k"}
    statuses, pauses = [], []
    async with aiohttp.ClientSession(headers=headers) as session:
        for _ in range(9):
            record = record.named("x")
            target = f"{url}{LEARNERS}/{record.id}"
            async with session.put(target, data=record.to_json()) as answer:
                statuses.append(answer.status)
                pauses.append(answer.headers.get("Retry-After"))
    assert statuses[:2] == [200, 200]
    assert statuses[2:] == [429] * 7
    assert all(int(pause) >= 1 for pause in pauses[2:])


@pytest.mark.slow
def test_a_killed_collector_goes_on_with_the_same_learners_and_code(home, run_collector):
    record = learner("Ada")
    with run_collector(home) as first:
        assert first.put(record).json()["kept"]
        time.sleep(0.1)
        first.kill()
    port = int(first.url.rpartition(":")[2])
    with run_collector(home, port) as second:
        assert (second.code, second.password, second.url) == (first.code, first.password, first.url)
        assert names(second) == ["Ada"]
        assert second.put(record.named("Eve"), key="e" * 32).status_code == 403
        assert second.put(record.named("Ada L")).json()["kept"]
    assert second.process.returncode == 0
