import asyncio

from labkit.embedded.node import logs
from labkit.embedded.node.logs import ContainerLog, LogQuery


async def test_unfinished_lines_wait_for_their_rest(tmp_path):
    log = ContainerLog(tmp_path / "0.log")
    log.write(b"hel")
    assert logs.read(log.path, LogQuery()) == []
    log.write(b"lo\nrest")
    assert logs.read(log.path, LogQuery()) == [b"hello\n"]
    log.close()
    assert logs.read(log.path, LogQuery()) == [b"hello\n", b"rest\n"]


async def test_a_rotated_log_keeps_its_newest_part(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_FILE_BYTES", 2000)
    log = ContainerLog(tmp_path / "0.log")
    for number in range(300):
        log.line(f"line {number}")
    lines = logs.read(log.path, LogQuery())
    assert lines[-1] == b"line 299\n"
    assert len(lines) < 150
    assert {path.name for path in tmp_path.iterdir()} == {"0.log", "0.log.1"}
    log.close()


async def test_a_follower_sees_every_line_across_a_rotation(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_FILE_BYTES", 2000)
    log = ContainerLog(tmp_path / "0.log")
    seen = []

    async def follow():
        seen.extend([line async for line in logs.follow(log, LogQuery())])

    following = asyncio.create_task(follow())
    for number in range(200):
        log.line(f"line {number}")
        await asyncio.sleep(0)
    log.close()
    await asyncio.wait_for(following, 5)
    assert seen == [b"line %d\n" % number for number in range(200)]


async def test_a_line_without_end_is_cut(tmp_path):
    log = ContainerLog(tmp_path / "0.log")
    log.write(b"x" * (logs.MAX_LINE_BYTES + 1))
    assert len(logs.read(log.path, LogQuery())) == 1
    log.close()


async def test_the_last_words_of_a_container_are_limited(tmp_path):
    log = ContainerLog(tmp_path / "0.log")
    for number in range(500):
        log.line(f"line {number}")
    log.close()
    words = logs.tail_text(log.path)
    assert words.endswith("line 499\n")
    assert len(words.splitlines()) == 80
