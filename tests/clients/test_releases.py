"""`labkit tools install`: against a real HTTP server, a folder, and everything that can be wrong."""

import hashlib
import json
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from labkit.clients import releases
from labkit.clouds import open_cloud
from labkit.errors import InputError
from labkit.folder import LabFolder
from labkit.params import Params

VERSION = "edge-26.6.3"
STUB = b"#!/bin/sh\necho edge-26.6.3\n"
HASH = hashlib.sha256(STUB).hexdigest()
NAME = f"linkerd2-cli-{VERSION}-{releases.this_platform()}"


@pytest.fixture
def mirror():
    """A server with one release; `answers` are statuses that come first, `asked` the paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            known = self.path == f"/linkerd/{VERSION}/{NAME}"
            status = self.server.answers.pop(0) if self.server.answers else 200 if known else 404
            self.send_response(status)
            self.send_header("Content-Length", str(len(STUB)))
            self.end_headers()
            self.wfile.write(self.server.content)

        def log_message(self, *_):
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.answers, server.content = [], [], STUB
        server.url = f"http://127.0.0.1:{server.server_port}/linkerd"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def install(home, *more):
    return home.run("tools", "install", "linkerd", *more)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def tool(home):
    return home.root / ".tools" / "bin" / "linkerd"


def test_a_release_from_a_mirror_is_put_in_place_and_found_by_every_command(home, mirror):
    done = install(home, "--mirror", mirror.url, "--sha256", HASH, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["version"], facts["sha256"]) == (VERSION, HASH)
    assert mirror.asked == [f"/linkerd/{VERSION}/{NAME}"]
    assert tool(home).read_bytes() == STUB
    assert stat.S_IMODE(tool(home).stat().st_mode) == 0o755
    assert names(tool(home).resolve().parent) == ["linkerd"]  # nothing half done
    arguments = ("-p", "cloud=existing", "-p", "west_context=a", "-p", "east_context=b")
    rows = {row["id"]: row for row in json.loads(home.run("doctor", *arguments, "--json").stdout)}
    assert (rows["tools.linkerd"]["status"], rows["tools.linkerd"]["reason"]) == ("pass", VERSION)


def test_it_is_the_linkerd_of_real_clouds_and_not_of_the_embedded_one(home, mirror, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(home.root))
    folder = LabFolder.of("demo")
    assert open_cloud(Params(cloud="digitalocean"), folder).linkerd_command == ("linkerd",)
    install(home, "--mirror", mirror.url, "--sha256", HASH)
    found = open_cloud(Params(cloud="digitalocean"), folder).linkerd_command
    assert found == (str(tool(home)),)
    assert open_cloud(Params(), folder).linkerd_command == (str(folder.commands / "linkerd"),)


def test_a_second_time_nothing_is_downloaded(home, mirror):
    for _ in range(2):
        assert install(home, "--mirror", mirror.url, "--sha256", HASH).returncode == 0
    assert len(mirror.asked) == 1


def test_another_hash_is_told_with_both_and_nothing_is_installed(home, mirror):
    mirror.content = STUB[:-1] + b"!"
    seen = hashlib.sha256(mirror.content).hexdigest()
    done = install(home, "--mirror", mirror.url, "--sha256", HASH)
    assert done.returncode == 1
    assert f"SHA-256 {seen}, expected {HASH}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not tool(home).exists()
    assert names(home.root / ".tools" / "linkerd" / VERSION) == []


def test_a_wrong_file_does_not_replace_a_right_one(home, mirror):
    assert install(home, "--mirror", mirror.url, "--sha256", HASH).returncode == 0
    other = hashlib.sha256(b"other").hexdigest()
    assert install(home, "--mirror", mirror.url, "--sha256", other).returncode == 1
    assert tool(home).read_bytes() == STUB


def test_a_server_that_stumbles_is_asked_again_and_one_that_fails_is_told(home, mirror):
    mirror.answers = [503, 503]
    assert install(home, "--mirror", mirror.url, "--sha256", HASH).returncode == 0
    assert len(mirror.asked) == 3
    done = install(
        home, "--mirror", f"{mirror.url}/nothing", "--sha256", HASH, "--version", "edge-1.2.3"
    )
    assert done.returncode == 1
    assert "could not be downloaded (3 tries)" in done.stderr
    assert "--from FOLDER" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_serves_without_a_network(home):
    (home.root / "usb").mkdir()
    done = install(home, "--from", "usb", "--sha256", HASH)
    assert done.returncode == 2
    assert f"no file {NAME}" in done.stderr
    (home.root / "usb" / NAME).write_bytes(STUB)
    done = install(home, "--from", "usb", "--sha256", HASH)
    assert done.returncode == 0, done.stderr
    assert tool(home).read_bytes() == STUB


def test_a_version_without_a_known_hash_asks_for_it_and_says_where_it_is(home):
    done = install(home)
    assert done.returncode == 2
    assert f"releases/download/{VERSION}/{NAME}.sha256 and give it by --sha256" in done.stderr
    assert "versions with a known hash: stable-2.14.10, stable-2.13.4" in done.stderr
    assert not (home.root / ".tools").exists()


def test_everything_that_does_not_fit_is_told_at_once(home):
    done = install(home, "--version", "latest", "--mirror", "usb", "--sha256", "abc")
    assert done.returncode == 2
    for text in ("--version latest", "--mirror usb", "64 hexadecimal digits"):
        assert text in done.stderr


def test_a_typed_hash_must_agree_with_the_known_one():
    with pytest.raises(InputError, match="labkit knows"):
        releases.release("stable-2.13.4", sha256="0" * 64)
    assert len(releases.release("stable-2.13.4").sha256) == 64


def test_every_hash_of_the_table_is_one():
    for hashes in releases._table()["versions"].values():
        for text in hashes.values():
            assert releases._HEX.fullmatch(text)


def test_the_command_is_on_the_path_of_labkit_env(home):
    LabFolder(home.root / "demo").write_params(Params())
    line = next(line for line in home.run("env").stdout.splitlines() if "PATH=" in line)
    assert f"{home.root}/demo/bin:{home.root}/.tools/bin:" in line
