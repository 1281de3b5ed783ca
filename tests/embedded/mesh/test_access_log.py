"""The reading end of a proxy's access log."""

import asyncio
import json
import os

from labkit.embedded.mesh.access_log import AccessLogPipe, Entry

TOLD_S = 10


def lines(first: int, count: int) -> bytes:
    return b"".join(
        json.dumps({"dir": "out", "n": n, "path": "/" * 200}).encode() + b"\n"
        for n in range(first, first + count)
    )


class Book:
    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._more = asyncio.Event()

    def take(self, entry: Entry) -> None:
        self.numbers.append(entry.number("n"))
        self._more.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(TOLD_S):
            while len(self.numbers) < count:
                self._more.clear()
                await self._more.wait()


async def test_lines_arrive_in_order_whether_one_by_one_or_in_bursts(tmp_path) -> None:
    book = Book()
    pipe = AccessLogPipe(tmp_path / "log", book.take)
    pipe.open()
    writer = os.open(tmp_path / "log", os.O_WRONLY)
    try:
        for n in range(5):
            os.write(writer, lines(n, 1))
            await book.until(n + 1)
        text = lines(5, 2000)
        await asyncio.to_thread(
            lambda: [os.write(writer, text[i : i + 1000]) for i in range(0, len(text), 1000)]
        )
        await book.until(2005)
    finally:
        os.close(writer)
        pipe.close()
    assert book.numbers == list(range(2005))


async def test_what_is_in_the_pipe_when_it_is_closed_is_read(tmp_path) -> None:
    book = Book()
    pipe = AccessLogPipe(tmp_path / "log", book.take)
    pipe.open()
    writer = os.open(tmp_path / "log", os.O_WRONLY)
    os.write(writer, lines(0, 250))  # nearly all that a pipe holds
    os.close(writer)
    pipe.close()
    assert book.numbers == list(range(250))
    assert not (tmp_path / "log").exists()


async def test_a_line_that_is_not_json_is_left_out(tmp_path, caplog) -> None:
    book = Book()
    pipe = AccessLogPipe(tmp_path / "log", book.take)
    pipe.open()
    writer = os.open(tmp_path / "log", os.O_WRONLY)
    os.write(writer, b"what?\n" + lines(1, 1))
    await book.until(1)
    os.close(writer)
    pipe.close()
    assert book.numbers == [1]
    assert "not JSON" in caplog.text
