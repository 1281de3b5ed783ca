"""JupyterLab as `labkit jupyter` starts it: on notebook 00, quiet, with the lab's commands."""

import contextlib
import json
import os
import re
import signal
import socket
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from labkit.handouts import jupyter


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.slow
def test_jupyterlab_opens_notebook_00_and_asks_for_no_news(home, wait):
    assert home.run("init", "mine").returncode == 0
    port = free_port()
    runtime = home.root / "runtime"
    process = home.start(
        *("jupyter", "mine", "--no-up", "--no-browser", "--port", str(port)),
        env={"JUPYTER_RUNTIME_DIR": str(runtime)},
    )

    def page(path="", data=None):
        (known,) = runtime.glob("jpserver-*.json")
        token = json.loads(known.read_text())["token"]
        with urlopen(f"http://127.0.0.1:{port}/{path}?token={token}", data) as answer:
            return answer.url, answer.read().decode()

    def opened():
        with contextlib.suppress(ValueError, OSError):  # not listening, or half written
            return page()

    try:
        url, text = wait(opened, "JupyterLab to listen")
        assert urlsplit(url).path == "/lab/tree/notebooks/00_start_here.ipynb"
        config = json.loads(
            re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script', text, re.DOTALL)[1]
        )
        assert config["news"] == {"disabled": True}
        assert "@jupyterlab/apputils-extension:announcements" in config["disabledExtensions"]
        kernel = json.loads(page("api/kernels", b"{}")[1])["id"]
        known = runtime / f"kernel-{kernel}.json"
        wait(lambda: known.exists() and known.stat().st_size, "the kernel's connection file")
        assert json.loads(known.read_text())["curve_publickey"]
        assert len(json.loads(page("api/contents/notebooks")[1])["content"]) >= 13
    finally:
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
    assert "without encryption" not in told
    assert home.processes() == []


def test_the_users_own_configuration_stays_in_force():
    found = jupyter.environment({"A": "1"}, {"JUPYTER_CONFIG_PATH": "/own", "B": "2"})
    assert found["A"] == "1"
    assert found["B"] == "2"
    assert found["JUPYTER_CONFIG_PATH"].endswith(f"{os.pathsep}/own")
