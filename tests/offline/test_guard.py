"""The guard holds real connections, and the trial's questions can fail."""

import json
import os
import socket
import sys

import pytest

from labkit.clouds.prerequisites import Seen
from labkit.offline import trial
from labkit.offline.examining import examine_offline
from labkit.offline.guard import namespace_works, run_guarded

KINDS = [
    False,
    pytest.param(
        True, marks=pytest.mark.skipif(not namespace_works(), reason="no network namespaces")
    ),
]
"""Without and with a network namespace."""


def guarded(code, *, namespace):
    argv = [sys.executable, "-c", code]
    return run_guarded(argv, namespace=namespace, environ=os.environ, timeout_s=60)


@pytest.mark.parametrize("namespace", KINDS)
def test_connections_to_other_machines_are_refused_and_written_down(namespace):
    done = guarded(
        "import socket, subprocess, sys\n"
        "def attempt(work):\n"
        "    try: work()\n"
        "    except OSError as e: print(e.errno)\n"
        "attempt(lambda: socket.create_connection(('192.0.2.1', 9), 5))\n"
        "attempt(lambda: socket.getaddrinfo('labkit.invalid', 80))\n"
        "attempt(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.2', 9)))\n"
        "code = 'import socket; socket.create_connection((\"192.0.2.3\", 9), 5)'\n"
        "subprocess.run([sys.executable, '-c', code], stderr=subprocess.DEVNULL)\n",
        namespace=namespace,
    )
    assert done.returncode == 0
    assert done.tried == ("192.0.2.1", "labkit.invalid", "192.0.2.2", "192.0.2.3")
    assert len(done.stdout.split()) == 3


@pytest.mark.parametrize("namespace", KINDS)
def test_this_machine_can_be_reached(namespace):
    done = guarded(
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(('localhost', server.getsockname()[1]), 5).sendall(b'here')\n"
        "print(server.accept()[0].recv(4).decode())\n",
        namespace=namespace,
    )
    assert (done.stdout.strip(), done.tried) == ("here", ())


@pytest.mark.skipif(not namespace_works(), reason="no network namespaces")
def test_in_a_namespace_no_program_sees_what_listens_outside():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        assert guarded(code, namespace=True).returncode == 1
        assert guarded(code, namespace=False).returncode == 0


def test_a_trial_that_hangs_is_ended():
    argv = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert run_guarded(argv, namespace=False, environ=os.environ, timeout_s=1).returncode is None


def test_each_question_answers_here():
    quick = [q for q in trial.questions() if q.id not in ("offline.lab", "offline.kernel")]
    answers = {question.id: question.look() for question in quick}
    assert {a.status for a in answers.values()} == {"pass"}, answers


def test_a_missing_package_is_named(monkeypatch):
    real = trial.metadata.distribution

    def without(name):
        if name.lower() == "jsonpatch":
            raise trial.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(trial.metadata, "distribution", without)
    assert trial.packages() == Seen("fail", "jsonpatch is missing")


def test_missing_notebooks_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(trial, "NOTEBOOKS", tmp_path)
    assert trial.files().status == "fail"
    assert "00_start_here.ipynb" in trial.files().reason


def test_a_trial_that_breaks_is_a_failed_report(monkeypatch):
    monkeypatch.setattr("labkit.offline.examining.TRIAL", "labkit.offline.nothing")
    report = examine_offline(namespace=False)
    states = {outcome.id: outcome.status for outcome in report.outcomes}
    assert states["offline.trial"] == "fail"
    assert states["offline.guard"] == "warn"
    assert report.exit_code == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_lab_works_with_the_network_cut_off(home):
    done = home.run("doctor", "--offline", "--json", timeout=550)
    states = {row["id"]: row for row in json.loads(done.stdout)}
    assert states["offline.lab"]["status"] == "pass", (states, done.stderr[-2000:])
    assert states["offline.attempts"]["status"] == "pass", states
    assert done.returncode in (0, 3)
    assert home.processes() == []
