"""A real API server and a client for it, for every test of a component.

`apiserver` is a running server on a random port with an administrator's token, an unprivileged
user's token and a kubeconfig; `kube` is the components' client for it, and with it the
namespace `default` has its default service account (no controller runs here).
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from labkit.certs import Credential, create_root
from labkit.embedded.apiserver.server import ApiServer, ApiServerConfig, User
from labkit.embedded.kube import KubeClient, path_of

# Otherwise pytest-asyncio asks for "the current loop" before its first test, which creates one
# that nobody closes, and the collector's warning fails some later test.
asyncio.set_event_loop(None)

ADMIN_TOKEN = "admin-token-of-the-tests"
ALICE_TOKEN = "alice-token-of-the-tests"
KUBELET_TOKEN = "kubelet-token-of-the-tests"
KUBECTL = Path(sys.executable).with_name("kubectl")


@dataclass(frozen=True)
class RunningApiServer:
    """Where the server is and how to get in."""

    server: ApiServer
    url: str
    token: str
    alice_token: str
    ca: Credential
    ca_file: Path
    kubeconfig: Path
    config: ApiServerConfig


@pytest.fixture(scope="session")
def cluster_ca() -> Credential:
    return create_root("test-ca")


@pytest.fixture(scope="session")
def account_key() -> bytes:
    """Signs service-account tokens."""
    return create_root("service-accounts").key


def api_server_config(folder: Path, ca: Credential, account_key: bytes) -> ApiServerConfig:
    return ApiServerConfig(
        name="west",
        database=folder / "west.sqlite",
        ca=ca,
        service_account_key=account_key,
        tokens={
            ADMIN_TOKEN: User("west-admin", ("system:masters",)),
            ALICE_TOKEN: User("alice", ("developers",)),
        },
        kubelet_token=KUBELET_TOKEN,
    )


def write_kubeconfig(path: Path, *, url: str, ca_file: Path, token: str) -> Path:
    """JSON is YAML, so kubectl and the Python client read it."""
    value = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "west", "cluster": {"server": url, "certificate-authority": str(ca_file)}}
        ],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "west", "context": {"cluster": "west", "user": "user"}}],
        "current-context": "west",
    }
    path.write_text(json.dumps(value))
    path.chmod(0o600)
    return path


@pytest.fixture
async def apiserver(
    tmp_path: Path, cluster_ca: Credential, account_key: bytes
) -> AsyncIterator[RunningApiServer]:
    config = api_server_config(tmp_path / "cloud", cluster_ca, account_key)
    server = ApiServer(config)
    await server.start()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(cluster_ca.certificate)
    kubeconfig = write_kubeconfig(
        tmp_path / "kubeconfig", url=server.url, ca_file=ca_file, token=ADMIN_TOKEN
    )
    yield RunningApiServer(
        server=server,
        url=server.url,
        token=ADMIN_TOKEN,
        alice_token=ALICE_TOKEN,
        ca=cluster_ca,
        ca_file=ca_file,
        kubeconfig=kubeconfig,
        config=config,
    )
    await server.stop()


@pytest.fixture
async def kube(apiserver: RunningApiServer) -> AsyncIterator[KubeClient]:
    async with KubeClient(
        apiserver.url, token=apiserver.token, ca_file=apiserver.ca_file, user_agent="tests"
    ) as client:
        await create_default_account(client, "default")
        yield client


async def create_default_account(client: KubeClient, namespace: str) -> None:
    """What the service-account controller does; pods cannot be created without it."""
    path = path_of("v1", "serviceaccounts", namespace)
    await client.create(path, {"metadata": {"name": "default"}})
