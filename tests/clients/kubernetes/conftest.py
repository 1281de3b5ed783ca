"""A real API server with pods behind a kubelet, for the clients of Kubernetes and Prometheus."""

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

TESTS = next(p for p in Path(__file__).resolve().parents if p.name == "tests")


def _load(name: str, path: Path):
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


_embedded = _load("embedded_fixtures", TESTS / "embedded" / "conftest.py")
_pods = _load("pods_behind_a_kubelet", TESTS / "pods_behind_a_kubelet.py")
cluster_ca = _embedded.cluster_ca
account_key = _embedded.account_key
apiserver = _embedded.apiserver
kube = _embedded.kube


@pytest.fixture
async def kubelet(apiserver, kube, tmp_path):
    running = _pods.Kubelet(apiserver, kube)
    await running.start(tmp_path)
    yield running
    await running.stop()


@pytest.fixture
def answering():
    return _pods.answering


@pytest.fixture
async def west(apiserver, kube, tmp_path):
    """The adapter; called in a thread, because the API server lives in the test's loop."""
    from labkit.clients.kubernetes import Kubernetes

    cache = tmp_path / "cache"
    cache.mkdir()
    adapter = await asyncio.to_thread(Kubernetes, apiserver.kubeconfig, "west", cache_dir=cache)
    yield adapter
    adapter.close()
    await asyncio.sleep(0.05)  # the server's ends of the connections go before its loop does
