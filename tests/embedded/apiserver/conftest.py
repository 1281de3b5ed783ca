"""A running API server that many small tests share, and a client that shows all of an answer."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from labkit.certs import Credential
from labkit.embedded.apiserver.server import ApiServer, ApiServerConfig, User

TOKEN = "administrator-of-the-shared-server"


@dataclass(frozen=True)
class Answer:
    """Status, body (parsed when it is JSON), warnings and media type of one answer."""

    status: int
    body: Any
    warnings: list[str]
    media_type: str

    @property
    def message(self) -> str:
        """What a Status says."""
        return str(self.body["message"])

    @property
    def causes(self) -> list[tuple[str, str]]:
        """The causes of a 422: field and message."""
        return [(cause["field"], cause["message"]) for cause in self.body["details"]["causes"]]

    @property
    def names(self) -> list[str]:
        """The names of the objects in a list."""
        return [item["metadata"]["name"] for item in self.body["items"]]


Ask = Callable[..., Answer]


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, cluster_ca: Credential, account_key: bytes
) -> Iterator[tuple[str, Path]]:
    """URL and CA file of a server that all tests of the session share.

    Tests that ask it make objects in namespaces of their own (`space`) or with names of their own.
    """
    folder = tmp_path_factory.mktemp("shared-server")
    config = ApiServerConfig(
        name="shared",
        database=folder / "shared.sqlite",
        ca=cluster_ca,
        service_account_key=account_key,
        tokens={TOKEN: User("administrator", ("system:masters",))},
        kubelet_token="kubelet-of-the-shared-server",
    )
    (folder / "ca.pem").write_bytes(cluster_ca.certificate)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="shared API server")
    thread.start()
    served = ApiServer(config)
    try:
        asyncio.run_coroutine_threadsafe(served.start(), loop).result(30)
        yield served.url, folder / "ca.pem"
    finally:
        asyncio.run_coroutine_threadsafe(_stop(served), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def _stop(served: ApiServer) -> None:
    await served.stop()
    for _ in range(20):  # TLS connections end in several steps of the loop
        await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def ask(server: tuple[str, Path]) -> Iterator[Ask]:
    """`ask(method, path, json=…, data=…, headers=…)` as the administrator; returns an Answer."""
    url, ca_file = server
    with requests.Session() as session:
        session.verify = str(ca_file)
        session.trust_env = False
        session.headers.update({"Authorization": f"Bearer {TOKEN}", "User-Agent": "tests/1"})
        yield partial(_ask, session, url)


def _ask(session: requests.Session, url: str, method: str, path: str, **options: Any) -> Answer:
    answer = session.request(method, url + path, timeout=30, **options)
    media_type = answer.headers.get("Content-Type", "")
    try:
        body = answer.json() if media_type.startswith("application/json") else answer.text
    except requests.JSONDecodeError:
        body = answer.text  # the lines of a watch
    found = answer.raw.headers.getlist("Warning")
    texts = [text.removeprefix('299 - "').removesuffix('"').replace('\\"', '"') for text in found]
    return Answer(answer.status_code, body, texts, media_type)


@pytest.fixture(scope="module")
def space(ask: Ask, request: pytest.FixtureRequest) -> str:
    """A namespace of the tests of a module, with the account that pods need."""
    name = request.module.__name__.rpartition(".")[2].replace("_", "-")
    assert ask("POST", "/api/v1/namespaces", json={"metadata": {"name": name}}).status == 201
    account = {"metadata": {"name": "default"}}
    ask("POST", f"/api/v1/namespaces/{name}/serviceaccounts", json=account)
    return name
