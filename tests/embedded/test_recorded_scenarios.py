"""Exchanges recorded from a genuine API server, replayed against both clusters of a real lab.

The recordings are no part of this repository: LABKIT_CONTRACTS names their folder. They were made
without any node and without a cloud, which explains the scenarios that differ here.
"""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from labkit.certs import create_leaf, read_credential

CONTRACTS = Path(
    os.environ.get("LABKIT_CONTRACTS") or Path(__file__).parents[3] / "shared" / "contracts"
)
DIFFERENT = {
    row["scenario"]
    for row in yaml.safe_load(Path(__file__).with_name("scenario_differences.yaml").read_text())
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CONTRACTS / "replay.py").exists(),
        reason=f"no recordings in {CONTRACTS}; set LABKIT_CONTRACTS to their folder",
    ),
]


@pytest.fixture(scope="module")
def lab(module_home) -> Iterator[Path]:
    """The folder of a lab with two empty clusters and no nodes."""
    done = module_home.run("up", "--bare", "--nodes", "0", "--lab-name", "recorded")
    assert done.returncode == 0, done.stderr
    yield module_home.root / "recorded"
    done = module_home.run("down", "--lab-name", "recorded")
    assert done.returncode == 0, done.stderr


def alice_kubeconfig(lab: Path, context: str, folder: Path) -> Path:
    """A kubeconfig of somebody whom the cluster's CA knows and no role mentions."""
    kubeconfig = yaml.safe_load((lab / "kubeconfig").read_text())
    chosen = next(c["context"] for c in kubeconfig["contexts"] if c["name"] == context)
    server = next(c["cluster"] for c in kubeconfig["clusters"] if c["name"] == chosen["cluster"])
    authority = next(
        path.parent
        for path in (lab / "cloud" / "clusters").glob("*/ca.crt")
        if base64.b64encode(path.read_bytes()).decode() == server["certificate-authority-data"]
    )
    leaf = create_leaf(
        read_credential(authority / "ca.crt", authority / "ca.key"),
        common_name="alice",
        organizations=("developers",),
        valid_for=timedelta(hours=1),
        server=False,
    )
    user = {
        "client-certificate-data": base64.b64encode(leaf.certificate).decode(),
        "client-key-data": base64.b64encode(leaf.key).decode(),
    }
    value = {
        "clusters": [{"name": context, "cluster": server}],
        "users": [{"name": "alice", "user": user}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": "alice"}}],
        "current-context": context,
    }
    path = folder / "alice.config"
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize("context", ["west", "east"])
def test_every_scenario_but_the_listed_ones_is_answered_as_recorded(
    lab: Path, context: str, tmp_path: Path
):
    command = [sys.executable, str(CONTRACTS / "replay.py"), str(CONTRACTS / "kube-http.json")]
    command += ["--kubeconfig", str(lab / "kubeconfig"), "--context", context]
    command += ["--alice-kubeconfig", str(alice_kubeconfig(lab, context, tmp_path))]
    command += ["--jobs", "4", "--timeout-scale", "4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    found = {name: verdict for verdict, name in _verdicts(done.stdout)}
    assert len(found) >= 90, done.stdout + done.stderr
    different = {name for name, verdict in found.items() if verdict != "pass"}
    assert different <= DIFFERENT, done.stdout
    assert set(found) >= DIFFERENT, done.stdout


def _verdicts(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^(pass|FAIL|skip)  (\S+)", text, re.MULTILINE)


def test_a_lab_without_nodes_must_be_bare(module_home):
    done = module_home.run("up", "--nodes", "0", "--lab-name", "nothing")
    assert done.returncode == 2
    assert "node_count is 0" in done.stderr
