"""Runs the command as its users do: as a process, against a real API server where one is needed."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import pods_behind_a_kubelet

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def start(*arguments: str, stdin: str = "", kubeconfig: Path | None = None, wait_s: float = 60):
    env = {key: value for key, value in os.environ.items() if not key.startswith("LINKERD")}
    env["KUBECONFIG"] = str(kubeconfig or "/nonexistent/kubeconfig")
    return subprocess.run(
        [sys.executable, "-m", "labkit.embedded.linkerd", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=wait_s,
        env=env,
    )


@pytest.fixture
def linkerd():
    """The command without a cluster."""
    return start


@pytest.fixture
def linkerd_at(apiserver):
    """The command with a cluster; awaited, because the API server lives in the test's loop."""

    async def run(*arguments: str, stdin: str = ""):
        return await asyncio.to_thread(
            start, *arguments, stdin=stdin, kubeconfig=apiserver.kubeconfig
        )

    return run


@pytest.fixture
async def west(apiserver):
    """The library's client, for applying what was rendered."""
    from labkit.clients.kubernetes import Kubernetes

    client = await asyncio.to_thread(Kubernetes, apiserver.kubeconfig, "west")
    yield client
    client.close()
    await asyncio.sleep(0.05)  # the server's ends of the connections go before its loop does


@pytest.fixture
async def gateway_api(kube) -> None:
    """The Gateway API's routes, as DOKS has them."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    for plural, kind in (("httproutes", "HTTPRoute"), ("grpcroutes", "GRPCRoute")):
        approved = {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs"}
        body = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.gateway.networking.k8s.io", "annotations": approved},
            "spec": {
                "group": "gateway.networking.k8s.io",
                "scope": "Namespaced",
                "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
                "versions": [version],
            },
        }
        await kube.create(CRDS, body)


@pytest.fixture
def install(west, linkerd_at):
    """Render with the command and apply with the client."""

    async def run(*arguments: str) -> tuple[str, ...]:
        result = await linkerd_at(*arguments)
        assert result.returncode == 0, result.stderr
        return await asyncio.to_thread(west.apply, result.stdout)

    return run


@pytest.fixture(scope="session")
def rendered() -> dict[str, str]:
    """The installs with their defaults, rendered once."""
    from labkit.embedded.linkerd.install import render_control_plane, render_crds
    from labkit.embedded.linkerd.multicluster import render_multicluster

    return {
        "control plane": render_crds(None, {}, namespace="linkerd")
        + render_control_plane({}, namespace="linkerd"),
        "multicluster": render_multicluster({}),
    }


@pytest.fixture
async def control_plane(gateway_api, west, rendered) -> None:
    """CRDs and control plane, as objects only: nothing runs here."""
    await asyncio.to_thread(west.apply, rendered["control plane"])


@pytest.fixture
async def multicluster(control_plane, west, rendered) -> None:
    """The extension with a gateway and without links, as objects only."""
    await asyncio.to_thread(west.apply, rendered["multicluster"])


@pytest.fixture
async def kubelet(apiserver, kube, tmp_path):
    running = pods_behind_a_kubelet.Kubelet(apiserver, kube)
    await running.start(tmp_path)
    yield running
    await running.stop()


@pytest.fixture
def answering():
    return pods_behind_a_kubelet.answering


@pytest.fixture
def parse():
    """The objects of a YAML text."""
    return lambda text: [item for item in yaml.safe_load_all(text) if item]


@pytest.fixture
def identity_files(tmp_path) -> list[str]:
    """The three identity flags with files that fit together."""
    from labkit.certs import create_issuer, create_root, write_credential

    root = create_root()
    write_credential(root, tmp_path / "root.crt", tmp_path / "root.key")
    write_credential(create_issuer(root), tmp_path / "issuer.crt", tmp_path / "issuer.key")
    return [
        f"--identity-trust-anchors-file={tmp_path}/root.crt",
        f"--identity-issuer-certificate-file={tmp_path}/issuer.crt",
        f"--identity-issuer-key-file={tmp_path}/issuer.key",
    ]
