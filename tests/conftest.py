"""Settings for all tests, and the `labkit` command as a user runs it."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, settings

WAIT_S = 60.0


def pytest_configure() -> None:
    """Keep asyncio from making a loop of its own for the main thread.

    pytest-asyncio asks for the current loop before it sets its own; asyncio then makes one that
    nobody closes, and its ResourceWarning fails whichever test happens to run when it is collected.
    """
    asyncio.set_event_loop(None)
    # How long an example takes depends on the machine, and no test asserts timings.
    settings.register_profile("labkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("labkit")


_at_the_end = ExitStack()


@cache
def _commands() -> Any:
    from tests.support.commands import commands

    return _at_the_end.enter_context(commands())


def pytest_sessionfinish() -> None:
    """End what the session shares."""
    _at_the_end.close()


@dataclass(frozen=True)
class Home:
    """A place for labs of its own, and the `labkit` command that sees no other."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user: nothing of LABKIT_* but the home."""
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("LABKIT_", "DIGITALOCEAN_"))
        }
        return {**kept, "LABKIT_HOME": str(self.root), "NO_COLOR": "1", "COLUMNS": "120"}

    def argv(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "labkit.cli", *args]

    def run(
        self,
        *args: str,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run `labkit …` and return what it answered, whatever the exit code.

        It is a process of its own, forked from one that has imported what commands need: most of
        the time of a short command would be that. An interpreter that is to start in another way
        (`PYTHON…` in its environment) starts.
        """
        environment, folder = {**self.environment, **(env or {})}, cwd or self.root
        if not any(name.startswith("PYTHON") for name in env or {}):
            return _commands().run(args, env=environment, cwd=folder, timeout_s=timeout)
        return subprocess.run(
            self.argv(*args),
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *args: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `labkit …`; the caller ends it."""
        return subprocess.Popen(
            self.argv(*args),
            env={**self.environment, **(env or {})},
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def json(self, *args: str, timeout: float = 120) -> Any:
        """Run `labkit … --json`, which must succeed."""
        done = self.run(*args, "--json", timeout=timeout)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def processes(self) -> list[str]:
        """Command lines of every process that knows of this home, by its arguments or environment."""
        mark, found = str(self.root), []
        for process in psutil.process_iter(["pid", "cmdline", "status"]):
            if process.pid == os.getpid() or process.info["status"] == psutil.STATUS_ZOMBIE:
                continue
            line = " ".join(process.info["cmdline"] or [])
            try:
                known = mark in line or any(mark in v for v in process.environ().values())
            except psutil.Error:
                known = mark in line
            if known:
                found.append(f"{process.pid} {line[:160]}")
        return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home for labs, empty."""
    return Home(tmp_path)


@contextmanager
def _shared_home() -> Iterator[Home]:
    """A home for several tests; what they leave running is ended."""
    root = Path(tempfile.mkdtemp(prefix="labkit-home-"))
    home = Home(root)
    try:
        yield home
    finally:
        for state in root.glob("*/cloud"):
            subprocess.run(
                [sys.executable, "-m", "labkit.embedded", "stop", "--state", str(state)],
                capture_output=True,
                timeout=60,
                check=False,
            )
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def module_home() -> Iterator[Home]:
    """A home that the tests of a module share."""
    with _shared_home() as home:
        yield home


@pytest.fixture(scope="session")
def walk() -> Iterator[Any]:
    """The whole walk, and the lab that it left up, for all tests that need one."""
    from tests.support.walked import walked

    with _shared_home() as home, walked(home) as walk:
        yield walk


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let those come last who need the lab of the walk: it is up for no others."""
    items.sort(key=lambda item: "walk" in getattr(item, "fixturenames", ()))


def wait_until(condition: Callable[[], Any], what: str, *, timeout_s: float = WAIT_S) -> Any:
    """Wait for something that must come true, and return it."""
    give_up = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > give_up:
            pytest.fail(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(0.1)


@pytest.fixture(scope="session")
def wait() -> Callable[..., Any]:
    """`wait(condition, what, timeout_s=60)`."""
    return wait_until


@pytest.fixture
def serve_digitalocean(tmp_path):
    """Return the function that runs an emulator; several may run in one test."""
    from tests.support.emulated_digitalocean import serve

    return serve


@pytest.fixture
def digitalocean(tmp_path):
    """An emulator whose clusters become running by themselves."""
    from tests.support.emulated_digitalocean import serve

    with serve(tmp_path, standalone=True) as server:
        yield server


@pytest.fixture
def contract():
    """The functions that check exchanges; skips without the contract."""
    from tests.support import emulated_digitalocean

    emulated_digitalocean.require_contract()
    return emulated_digitalocean


@pytest.fixture(scope="module")
def open_terminal() -> Iterator[Callable[[dict[str, str], Path], Any]]:
    """`open_terminal(environment, folder)`: a bash to type into; all are closed at the end."""
    from tests.support.terminal import Terminal

    opened: list[Terminal] = []

    def open_one(environment: dict[str, str], folder: Path) -> Any:
        opened.append(Terminal(environment, folder))
        return opened[-1]

    yield open_one
    for terminal in opened:
        terminal.close()


@pytest.fixture(scope="session")
def hostile() -> Any:
    """The module of hostile requests and of what must hold after them."""
    from tests.support import hostile

    return hostile
