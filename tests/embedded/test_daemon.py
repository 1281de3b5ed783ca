"""The daemon as a process: started, stopped, killed, and started again.

The faults are real ones: SIGKILL for a process, a foreign program on a port, a missing binary.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from labkit.embedded.state import StateFolder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class Cloud:
    """An embedded cloud, driven by its command line."""

    def __init__(self, root: Path):
        self.state = StateFolder(root)

    def run(self, command, *options, env=None):
        argv = [sys.executable, "-m", "labkit.embedded", command, "--state", str(self.state.root)]
        return subprocess.run(
            [*argv, *options],
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def ok(self, command, *options):
        done = self.run(command, *options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, command, **kwargs):
        done = self.run(command, **kwargs)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert "Traceback" not in done.stderr
        return json.loads(done.stderr)

    def processes(self):
        return {item["name"]: item["pid"] for item in self.ok("status")["processes"]}

    def leftovers(self):
        mark, found = str(self.state.root), []
        for process in psutil.process_iter(["cmdline", "status"]):
            line = " ".join(process.info["cmdline"] or [])
            if mark in line and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(line[:160])
        return found


@pytest.fixture
def cloud(tmp_path):
    found = Cloud(tmp_path / "cloud")
    yield found
    found.run("stop")


def test_a_second_start_finds_the_first_and_changes_nothing(cloud):
    first = cloud.ok("start")
    second = cloud.ok("start")
    assert (first["already"], second["already"]) == (False, True)
    assert {**first, "already": True} == second
    assert list(cloud.processes()) == ["daemon", "wan-relay"]


def test_two_starts_at_the_same_time_make_one_daemon(cloud):
    argv = [sys.executable, "-m", "labkit.embedded", "start", "--state", str(cloud.state.root)]
    both = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    facts = [json.loads(process.communicate(timeout=90)[0]) for process in both]
    assert sorted(fact["already"] for fact in facts) == [False, True]
    assert facts[0]["pid"] == facts[1]["pid"]


def test_after_stop_neither_process_nor_socket_nor_announcement_is_left(cloud):
    cloud.ok("start")
    assert cloud.state.run_dir.is_dir()
    assert cloud.ok("stop") == {"was_running": True, "ended": [], "processes_left": []}
    assert cloud.leftovers() == []
    assert not cloud.state.run_dir.exists()
    assert not cloud.state.daemon_file.exists()
    assert list((cloud.state.root / "processes").iterdir()) == []
    assert cloud.ok("status") == {"running": False, "processes": []}


def test_stopping_what_does_not_run_is_no_error(cloud):
    assert cloud.ok("stop") == {"was_running": False, "ended": [], "processes_left": []}
    assert not cloud.state.root.exists()


def test_a_daemon_whose_folder_was_removed_is_found_and_ended(cloud):
    cloud.ok("start")
    daemon = psutil.Process(cloud.processes()["daemon"])
    shutil.rmtree(cloud.state.root)
    assert cloud.ok("stop")["was_running"]
    assert not daemon.is_running()
    assert not cloud.leftovers()
    assert not cloud.state.run_dir.exists()
    assert not cloud.state.root.exists()


def test_a_start_ends_a_daemon_whose_folder_was_removed(cloud):
    cloud.ok("start")
    daemon = psutil.Process(cloud.processes()["daemon"])
    shutil.rmtree(cloud.state.root)
    assert not cloud.ok("start")["already"]
    assert not daemon.is_running()
    assert list(cloud.processes()) == ["daemon", "wan-relay"]


def test_stop_with_forget_keeps_the_log_and_no_secret(cloud):
    cloud.ok("start")
    cloud.ok("stop", "--forget")
    names = {path.name for path in cloud.state.root.iterdir()}
    assert names == {"daemon.log", "daemon.lock", "turn.lock"}


def test_the_endpoint_and_the_token_outlive_the_daemon(cloud):
    first = cloud.ok("start")
    token = cloud.state.token()
    cloud.ok("stop")
    assert cloud.ok("start")["endpoint"] == first["endpoint"]
    assert cloud.state.token() == token


def test_secrets_of_the_state_folder_are_its_owners_only(cloud):
    cloud.ok("start")
    assert cloud.state.root.stat().st_mode & 0o777 == 0o700
    assert cloud.state.run_dir.stat().st_mode & 0o777 == 0o700
    for name in ("token", "ca.key", "api.key", "daemon.json", "settings.json"):
        assert (cloud.state.root / name).stat().st_mode & 0o777 == 0o600, name


def test_a_second_daemon_on_the_same_folder_is_refused(cloud):
    pid = cloud.ok("start")["pid"]
    problem = cloud.refused("serve")
    assert "Another daemon holds the lab folder" in problem["what"]
    assert problem["seen"] == f"pid {pid}"
    assert "labkit down" in problem["fix"]
    assert cloud.ok("start")["pid"] == pid


def test_a_killed_daemon_takes_its_children_along_and_the_next_start_is_a_new_one(cloud, wait):
    first = cloud.ok("start")
    relay = cloud.processes()["wan-relay"]
    os.kill(first["pid"], signal.SIGKILL)
    wait(lambda: not psutil.pid_exists(first["pid"]) or _zombie(first["pid"]), "its end")
    assert cloud.ok("status")["running"] is False
    second = cloud.ok("start")
    assert second["already"] is False
    assert second["pid"] != first["pid"]
    assert second["endpoint"] == first["endpoint"]
    assert cloud.processes()["wan-relay"] != relay
    assert not psutil.pid_exists(relay) or _zombie(relay)


def test_a_killed_relay_comes_back_by_itself(cloud, wait):
    cloud.ok("start")
    first = wait(lambda: cloud.processes().get("wan-relay"), "the relay")
    os.kill(first, signal.SIGKILL)
    wait(lambda: cloud.processes().get("wan-relay", first) != first, "another relay")
    assert cloud.ok("start")["already"] is True


def test_a_port_that_is_taken_is_named_with_the_way_out(cloud):
    port = int(cloud.ok("start")["endpoint"].rpartition(":")[2])
    cloud.ok("stop")
    with socket.create_server(("127.0.0.1", port)):
        problem = cloud.refused("start")
        assert problem["what"] == f"The cloud's API cannot listen on 127.0.0.1:{port}"
        assert "address already in use" in problem["seen"].lower()
        assert f"end the program that uses port {port}" in problem["fix"]
        assert cloud.leftovers() == []
    assert cloud.ok("start")["endpoint"].endswith(f":{port}")


def test_a_missing_envoy_is_named_with_the_platforms_that_have_one(cloud, tmp_path):
    broken = tmp_path / "broken"
    (broken / "envoy").mkdir(parents=True)
    (broken / "envoy/__init__.py").write_text("raise ImportError('no wheel for this platform')")
    problem = cloud.refused("start", env={"PYTHONPATH": str(broken)})
    assert "Envoy" in problem["what"]
    assert "no wheel for this platform" in problem["seen"]
    assert "macOS 15 or newer on arm64" in problem["fix"]
    assert cloud.leftovers() == []


def test_a_state_folder_that_cannot_be_made_is_a_message(tmp_path):
    (tmp_path / "file").write_text("in the way")
    problem = Cloud(tmp_path / "file" / "cloud").refused("start")
    assert "cannot be written" in problem["what"]
    assert problem["seen"] == "Not a directory"


def test_a_pid_that_now_belongs_to_somebody_else_is_left_alone(cloud):
    """A folder of a killed lab after a reboot: its pids are other programs' now."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        cloud.state.prepare()
        cloud.state.write_daemon({"pid": stranger.pid, "create_time": 1.0, "endpoint": "x"})
        cloud.state.lock_file.write_text(json.dumps({"pid": stranger.pid, "create_time": 1.0}))
        table = cloud.state.root / "processes"
        table.mkdir()
        record = {"pid": stranger.pid, "create_time": 1.0, "name": "old"}
        (table / f"{stranger.pid}.json").write_text(json.dumps(record))
        assert cloud.ok("status") == {"running": False, "processes": []}
        assert cloud.ok("start")["already"] is False
        cloud.ok("stop")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("name", ["daemon.json", "settings.json", "daemon.lock"])
def test_a_damaged_file_of_the_state_folder_does_not_stop_a_start(cloud, name):
    cloud.state.prepare()
    (cloud.state.root / name).write_text('{"pid": ')
    assert cloud.ok("start")["already"] is False


def _zombie(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# --- with clusters: two of them, bare, shared by the tests below ----------------------------

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "voting", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "voting"}},
        "template": {
            "metadata": {"labels": {"app": "voting"}},
            "spec": {
                "containers": [
                    {
                        "name": "voting-svc",
                        "image": "ghcr.io/buoyantio/emojivoto-voting-svc:v11",
                        "env": [
                            {"name": "GRPC_PORT", "value": "8080"},
                            {"name": "PROM_PORT", "value": "8801"},
                        ],
                        "ports": [{"containerPort": 8080}, {"containerPort": 8801}],
                    }
                ]
            },
        },
    },
}


class Lab:
    """Two bare clusters with an application in west."""

    def __init__(self, home, wait):
        self.home, self.wait = home, wait
        self.folder = home.root / "faults"
        self.cloud = Cloud(self.folder / "cloud")

    def up(self):
        done = self.home.run("up", "--bare", "-p", "lab_name=faults", timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kubectl(self, *args, stdin=None, context="west"):
        argv = [str(self.folder / "bin/kubectl"), "--context", context, *args]
        return subprocess.run(
            argv,
            env={**self.home.environment, "KUBECONFIG": str(self.folder / "kubeconfig")},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def get(self, *args, context="west"):
        done = self.kubectl("get", *args, "-o", "json", context=context)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def pods(self):
        return self.get("pod", "-n", "default", "-l", "app=voting")["items"]

    def settled(self):
        """The two pods when all is well, None before."""
        done = self.kubectl("get", "pod", "-n", "default", "-l", "app=voting", "-o", "json")
        if done.returncode != 0:
            return None
        pods = json.loads(done.stdout)["items"]
        names = sorted(name for name in self.cloud.processes() if "voting" in name)
        ready = [pod for pod in pods if _ready(pod)]
        return pods if len(pods) == len(ready) == len(names) == 2 else None


def _ready(pod):
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


@pytest.fixture(scope="module")
def lab(module_home, wait):
    found = Lab(module_home, wait)
    found.up()
    applied = found.kubectl("apply", "-f", "-", stdin=json.dumps(DEPLOYMENT))
    assert applied.returncode == 0, applied.stderr
    wait(found.settled, "the application to run")
    sockets = found.cloud.state.run_dir
    yield found
    down = module_home.run("down", "--lab-name", "faults")
    assert down.returncode == 0, down.stderr
    assert "processes left: 0" in down.stdout
    assert module_home.processes() == []
    assert not sockets.exists()


def test_a_killed_daemon_comes_back_with_the_same_clusters_ports_and_objects(lab):
    lab.wait(lab.settled, "the application to run")
    kubeconfig = (lab.folder / "kubeconfig").read_bytes()
    clusters = lab.home.json("status", "--lab-name", "faults")["clusters"]
    before = {pod["metadata"]["uid"] for pod in lab.pods()}
    nodes = [n["metadata"]["uid"] for n in lab.get("node", context="east")["items"]]
    os.kill(lab.cloud.processes()["daemon"], signal.SIGKILL)
    lab.wait(lambda: not lab.cloud.ok("status")["running"], "the daemon's end")

    lab.up()

    assert lab.home.json("status", "--lab-name", "faults")["clusters"] == clusters
    assert (lab.folder / "kubeconfig").read_bytes() == kubeconfig
    pods = lab.wait(lab.settled, "the application to run again")
    assert {pod["metadata"]["uid"] for pod in pods} == before
    assert [n["metadata"]["uid"] for n in lab.get("node", context="east")["items"]] == nodes
    assert "unchanged" in lab.kubectl("apply", "-f", "-", stdin=json.dumps(DEPLOYMENT)).stdout


def test_a_killed_application_process_comes_back_in_its_pod(lab):
    pods = lab.wait(lab.settled, "the application to run")
    victim = pods[0]["metadata"]
    name, pid = next(
        (name, pid) for name, pid in lab.cloud.processes().items() if victim["name"] in name
    )
    restarts = _restarts(pods[0])
    os.kill(pid, signal.SIGKILL)

    def back():
        again = lab.get("pod", "-n", "default", victim["name"])
        return _restarts(again) > restarts and _ready(again)

    lab.wait(back, f"{name} to be restarted")
    assert {p["metadata"]["name"] for p in lab.pods()} == {p["metadata"]["name"] for p in pods}


def _restarts(pod):
    return sum(status["restartCount"] for status in pod["status"]["containerStatuses"])


def test_a_killed_envoy_of_a_cluster_comes_back_by_itself(lab):
    lab.wait(lab.settled, "the application to run")
    envoys = {n: p for n, p in lab.cloud.processes().items() if "proxy" in n or "envoy" in n}
    name, pid = next(iter(envoys.items()))
    os.kill(pid, signal.SIGKILL)
    lab.wait(lambda: lab.cloud.processes().get(name, pid) != pid, f"another {name}")


def test_a_cluster_whose_port_is_taken_is_named_with_the_way_out(lab):
    lab.wait(lab.settled, "the application to run")
    server = next(
        c["endpoint"] for c in lab.home.json("status", "--lab-name", "faults")["clusters"]
    )
    port = int(server.rpartition(":")[2])
    lab.cloud.ok("stop")
    with socket.create_server(("127.0.0.1", port)):
        done = lab.home.run("up", "--bare", "-p", "lab_name=faults")
        assert done.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
        assert f"end the program that uses port {port}" in done.stderr
    lab.up()
    lab.wait(lab.settled, "the application to run again")


def test_stale_sockets_of_a_killed_lab_are_no_obstacle(lab):
    lab.wait(lab.settled, "the application to run")
    lab.cloud.ok("stop")
    folder = lab.cloud.state.run_dir
    folder.mkdir(mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder) as inner, socket.socket(socket.AF_UNIX) as stale:
        stale.bind(f"{inner}/s")
        lab.up()
        lab.wait(lab.settled, "the application to run again")
