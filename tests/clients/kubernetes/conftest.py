"""A real API server with pods behind a kubelet, for the clients of Kubernetes and Prometheus."""

import asyncio

import pytest

from tests.embedded.conftest import account_key, apiserver, cluster_ca, kube
from tests.support import pods_behind_a_kubelet

__all__ = ["account_key", "apiserver", "cluster_ca", "kube"]


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
async def west(apiserver, kube, tmp_path):
    """The adapter; called in a thread, because the API server lives in the test's loop."""
    from labkit.clients.kubernetes import Kubernetes

    cache = tmp_path / "cache"
    cache.mkdir()
    adapter = await asyncio.to_thread(Kubernetes, apiserver.kubeconfig, "west", cache_dir=cache)
    yield adapter
    adapter.close()
    await asyncio.sleep(0.05)  # the server's ends of the connections go before its loop does
