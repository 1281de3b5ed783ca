"""The real kubectl types a recorded session at the embedded cloud, and is answered as recorded.

The recording is no part of this repository: LABKIT_CONTRACTS names its folder. It was made with
kubectl 1.37.1 at a genuine control plane v1.36.2 with one node that runs pods.
"""

import base64
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from labkit.certs import create_leaf, read_credential
from tests.support import kubectl_transcripts as transcripts

HERE = Path(__file__).parent
CONTRACTS = Path(
    os.environ.get("LABKIT_CONTRACTS") or Path(__file__).parents[4] / "shared" / "contracts"
)
RECORDED = CONTRACTS / "kubectl.md"
TOOLS = ("bash", "curl", "sed", "timeout", "diff")
LAB = "transcript"
NODE = "localhost"  # of the recording
COMMAND_TIMEOUT_S = 120

UNRECORDED = {
    12: "kubectl config rename-context blue west && kubectl config use-context west",
    49: "kubectl patch deploy voting -n emojivoto --type=json -p '["
    '{"op":"replace","path":"/spec/template/spec/containers/0/imagePullPolicy","value":"Never"}]'
    "' && kubectl rollout status deploy/voting -n emojivoto --timeout=60s"
    " && kubectl wait -n emojivoto svc/voting-lb --timeout=60s"
    " --for=jsonpath='{.status.loadBalancer.ingress}'"
    " && kubectl get -n emojivoto svc/voting-lb -o jsonpath='{.status.loadBalancer.ingress[0].ip}'"
    " > address",
    115: "kubectl wait -n emojivoto svc/voting-lb --timeout=60s"
    " --for=jsonpath='{.status.loadBalancer.ingress[0].ip}'=$(cat address)",
}
"""What must happen after a command for the next one to make sense.

Of the recording: the context has its old name again, and `voting` a second ReplicaSet, without a
command that did it. Of this cloud: a load balancer's address comes, and comes back, after a moment.
"""

PATIENCE = {
    70: {"sleep 1": "sleep 4", "timeout 6": "timeout 14"},
    71: {"timeout 2": "timeout 6"},
    87: {"sleep 2": "sleep 5"},
}
"""Waits of the recording that are too short for a busy machine; longer ones answer the same."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not RECORDED.exists(),
        reason=f"no transcript in {CONTRACTS}; set LABKIT_CONTRACTS to its folder",
    ),
    pytest.mark.skipif(
        not all(map(shutil.which, TOOLS)), reason=f"the session needs {', '.join(TOOLS)}"
    ),
]


@pytest.fixture(scope="module")
def lab(module_home) -> Iterator[Path]:
    """The folder of a lab with two empty clusters of one node each, and the session's images."""
    packages = module_home.root / "packages"
    packages.mkdir()
    for name in ("lab_images.py", "lab_server.py"):
        shutil.copy(HERE / name, packages)
    facts = packages / "lab_images-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-images\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[labkit.images]\n"
        + "".join(f"lab.local/{name} = lab_images:SERVER\n" for name in ("web", "voting"))
    )
    environment = {"PYTHONPATH": str(packages)}
    arguments = ("up", "--bare", "--nodes", "1", "--lab-name", LAB)
    done = module_home.run(*arguments, env=environment)
    assert done.returncode == 0, done.stderr
    yield module_home.root / LAB
    done = module_home.run("down", "--lab-name", LAB)
    assert done.returncode == 0, done.stderr


class Session:
    """A shell in a folder with the session's files and its two kubeconfigs."""

    def __init__(self, lab: Path, folder: Path, files: dict[str, str]) -> None:
        self._folder = folder
        for name, content in files.items():
            (folder / name).write_text(content)
        given = yaml.safe_load((lab / "kubeconfig").read_text())
        servers = {c["name"]: c["cluster"] for c in given["clusters"]}
        self._clusters = {
            c["name"]: servers[c["context"]["cluster"]]
            for c in given["contexts"]
            if c["name"] in ("west", "east")
        }
        self._authorities = {
            base64.b64encode(path.read_bytes()).decode(): path.parent
            for path in (lab / "cloud" / "clusters").glob("*/ca.crt")
        }
        admins = {name: f"{name}-admin" for name in self._clusters}
        self._write("config", admins, group="system:masters")
        self._write("alice.config", {"west": "alice"}, group="developers")
        self._ports = {str(port): str(_free_port()) for port in range(18080, 18083)}
        self.node = self.run("kubectl get nodes -o jsonpath={.items[0].metadata.name}")[1]

    def _write(self, file: str, users: dict[str, str], *, group: str) -> None:
        """A kubeconfig with certificates of the clusters' own authorities, as recorded."""
        value = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": n, "cluster": self._clusters[n]} for n in users],
            "contexts": [
                {"name": n, "context": {"cluster": n, "user": user}} for n, user in users.items()
            ],
            "users": [
                {"name": user, "user": self._certificate(name, user, group)}
                for name, user in users.items()
            ],
            "current-context": "west",
        }
        path = self._folder / file
        path.write_text(yaml.safe_dump(value))
        path.chmod(0o600)

    def _certificate(self, cluster: str, user: str, group: str) -> dict[str, str]:
        folder = self._authorities[self._clusters[cluster]["certificate-authority-data"]]
        leaf = create_leaf(
            read_credential(folder / "ca.crt", folder / "ca.key"),
            common_name=user,
            organizations=(group,),
            valid_for=timedelta(hours=1),
            server=False,
        )
        return {
            "client-certificate-data": base64.b64encode(leaf.certificate).decode(),
            "client-key-data": base64.b64encode(leaf.key).decode(),
        }

    def run(self, line: str) -> tuple[int, str, str]:
        """Type a line: exit code, stdout, stderr, with the ports of the recording."""
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self._folder),
            "KUBECONFIG": str(self._folder / "config"),
        }
        for recorded, port in self._ports.items():
            line = line.replace(recorded, port)
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        out, err = done.stdout, done.stderr
        for recorded, port in self._ports.items():
            out, err = out.replace(port, recorded), err.replace(port, recorded)
        return done.returncode, out, err


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_session_is_answered_as_recorded(lab: Path, tmp_path: Path):
    transcript = transcripts.read(RECORDED)
    assert len(transcript.commands) == 159
    declared = transcripts.read_differences(HERE / "differences.yaml")
    typed = {command.number: command.line for command in transcript.commands}
    for row in declared:
        assert row.commands.items() <= typed.items(), row.what
    session = Session(lab, tmp_path, transcript.files)
    problems: list[str] = []
    for command in transcript.commands:
        line = re.sub(rf"\b{NODE}\b", session.node, command.line)
        for short, patient in PATIENCE.get(command.number, {}).items():
            assert short in line
            line = line.replace(short, patient)
        code, out, err = session.run(line)
        mine = replace(command, stdout=out, stderr=err, code=code)
        found = transcripts.undeclared(
            command.number,
            transcripts.comparable(command, node=NODE),
            transcripts.comparable(mine, node=session.node),
            declared,
        )
        if found:
            problems += ["", f"{command.number}. {command.title}: {command.line}", *found]
        if command.number in UNRECORDED:
            code, out, err = session.run(UNRECORDED[command.number])
            assert code == 0, out + err
    problems += [line for row in declared for line in row.missing()]
    assert not problems, "\n".join(problems)
