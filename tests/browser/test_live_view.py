"""The live view while its lab goes and comes back, and its own end."""

import signal
import socket

import psutil
import pytest

from labkit.params import Params
from tests.support.addresses import started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EMPTY = ("up", "--bare", "--nodes", "0")
SHOWN_MS = 60_000


def a_lab_that_is_down(home):
    folder = home.root / "demo"
    folder.mkdir()
    (folder / "lab.json").write_text(Params().model_dump_json())


def test_the_live_view_survives_the_lab_and_says_so(home, open_page):
    assert home.run(*EMPTY).returncode == 0
    try:
        with started(home, "dashboard", "--no-browser", "--port", "0") as address:
            view = open_page(address)
            view.page.locator("#topology", has_text="API server").wait_for(timeout=SHOWN_MS)
            assert home.run("down").returncode == 0
            view.page.get_by_text("The lab demo is down.").first.wait_for(timeout=SHOWN_MS)
            assert "✘ down" in view.page.locator("#status").inner_text()
            assert home.run(*EMPTY).returncode == 0
            view.page.locator("#topology", has_text="API server").wait_for(timeout=SHOWN_MS)
            assert "✔ up" in view.page.locator("#status").inner_text()
            assert view.errors == []
        view.page.get_by_text("own server does not answer").wait_for(timeout=SHOWN_MS)
    finally:
        assert home.run("down").returncode == 0
    assert home.processes() == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_live_view_ends_and_leaves_no_process(home, how, wait):
    a_lab_that_is_down(home)
    process = home.start("dashboard", "--no-browser", "--port", "0")
    line = process.stdout.readline()
    assert "token=" in line
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in out + err
    wait(lambda: home.processes() == [], "every process to end")
    assert not psutil.pid_exists(process.pid)


def test_a_port_that_is_taken_is_said(home):
    a_lab_that_is_down(home)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = home.run("dashboard", "--no-browser", "--port", str(port))
    assert done.returncode == 1
    assert f"The live view cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_lab_it_says_what_to_do(home):
    done = home.run("dashboard", "--no-browser")
    assert done.returncode == 1
    assert "`labkit up` makes one" in done.stderr
