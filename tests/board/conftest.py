"""A collector as an instructor runs it: a process of its own, on a free port."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from labkit.board.gathering import INSTRUCTOR
from labkit.learner.delivering import KEY_HEADER, LEARNERS


@dataclass
class Collector:
    """A running `labkit board --serve`."""

    process: subprocess.Popen[str]
    url: str
    code: str
    password: str
    told: str

    def put(self, record, *, key="k" * 32, code=None, path=None, data=None, **options):
        """One PUT as a learner's lab makes it, or as an attacker would."""
        return requests.put(
            f"{self.url}{LEARNERS}/{path if path is not None else record.id}",
            data=record.to_json().encode() if data is None else data,
            headers={"Authorization": f"Bearer {code or self.code}", KEY_HEADER: key},
            timeout=30,
            **options,
        )

    def page(self, path="/", password=None):
        auth = (INSTRUCTOR, self.password if password is None else password)
        return requests.get(f"{self.url}{path}", auth=auth, timeout=30)

    def learners(self) -> list[Any]:
        return self.page(LEARNERS).json()["learners"]

    def kill(self):
        self.process.kill()
        self.process.communicate()


@contextmanager
def _collector(home, port=0, *options) -> Iterator[Collector]:
    process = home.start("board", "--serve", "--port", str(port), *options)
    try:
        lines = [process.stdout.readline() for _ in range(4)]
        if not lines[0].startswith("join:"):
            pytest.fail("".join(lines) + process.stderr.read())
        url = re.search(r"http://\S+", lines[0]).group()
        code = lines[1].partition(":")[2].strip()
        kept = json.loads((home.root / ".board/board.json").read_text())
        assert kept["join_code"] == code
        yield Collector(process, url, code, kept["password"], "".join(lines))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=30)
            finally:
                process.kill()


@pytest.fixture(scope="session")
def run_collector():
    """`with run_collector(home, port=0) as collector`."""
    return _collector


@pytest.fixture(scope="module")
def collector(module_home):
    """One that the tests of a module share; each uses learners of its own."""
    with _collector(module_home) as running:
        yield running
        assert running.process.poll() is None
