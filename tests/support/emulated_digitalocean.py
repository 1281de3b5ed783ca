"""The embedded DigitalOcean API over TLS in a thread, every exchange checked by its contract.

Loaded by the conftest files of the emulator's and of the client's tests. The contract is
DigitalOcean's own OpenAPI description; `LABKIT_CONTRACTS` names the folder it is in.
"""

import asyncio
import json
import os
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from aiohttp import web

from labkit import certs
from labkit.embedded.digitalocean.app import create_app
from labkit.embedded.digitalocean.state import DigitalOceanState

TOKEN = "dop_v1_" + "5ec2e7" * 10
_ROOT = Path(__file__).resolve().parents[2]
_NAME = "digitalocean-openapi.json"


@dataclass(frozen=True)
class Exchange:
    method: str
    path: str
    query: dict[str, str]
    request_headers: dict[str, str]
    request_body: bytes
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """A running emulator: where it is, and everything that went over its wire."""

    state: DigitalOceanState
    endpoint: str = ""
    ca_file: Path = Path()
    token: str = TOKEN
    exchanges: list[Exchange] = field(default_factory=list)
    transports: set[asyncio.BaseTransport] = field(default_factory=set)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    fail_next: list = field(default_factory=list)
    """Handlers `async (request, handler) -> response` that take over one request each."""
    state_class: type[DigitalOceanState] = DigitalOceanState
    around: object = None

    def faults(self, *faults):
        """Switch these faults on and all others off; `(name, field=value…)` as dicts or names."""
        items = [{"name": item} if isinstance(item, str) else item for item in faults]
        self.on_loop(self.state.faults.set, items)

    def on_loop(self, function, *args, **kwargs):
        """Call a function in the server's thread, where its SQLite connection lives."""

        async def call():
            return function(*args, **kwargs)

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(10)


def contract_path() -> Path:
    folder = os.environ.get("LABKIT_CONTRACTS")
    return Path(folder or _ROOT.parent / "shared" / "contracts") / _NAME


def require_contract() -> None:
    if not contract_path().is_file():
        pytest.skip(f"DigitalOcean's OpenAPI description {_NAME} is missing: set LABKIT_CONTRACTS")


SUPPLEMENT = Path(__file__).with_name("snapshots-openapi.json")
"""Snapshots of volumes: DigitalOcean's API has them, the extract of its description does not."""


@cache
def contract():
    from openapi_core import OpenAPI

    description = json.loads(contract_path().read_text())
    description["paths"] |= json.loads(SUPPLEMENT.read_text())["paths"]
    return OpenAPI.from_dict(description)


@cache
def operations() -> list[tuple[str, str]]:
    """(method, path template) of every operation that is described."""
    described = json.loads(contract_path().read_text())["paths"]
    described |= json.loads(SUPPLEMENT.read_text())["paths"]
    verbs = {"get", "put", "post", "delete", "patch"}
    return [(verb.upper(), path) for path in described for verb in described[path] if verb in verbs]


def operation_of(exchange: Exchange) -> str:
    """The operation that an exchange was, as `GET /v2/kubernetes/clusters/{cluster_id}`."""
    for method, path in sorted(operations(), key=lambda item: item[1].count("{")):
        if method == exchange.method and re.fullmatch(
            re.sub(r"\{\w+\}", "[^/]+", path), exchange.path
        ):
            return f"{method} {path}"
    raise LookupError(f"{exchange.method} {exchange.path} is in no description")


_VARYING = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:]+Z|\d{9}")


def distinct(exchanges: list[Exchange]) -> list[Exchange]:
    """The exchanges with DigitalOcean's API that differ in more than ids and times."""
    found = {}
    for item in exchanges:
        if item.path.startswith("/v2/"):
            texts = (item.path.encode(), item.request_body, item.body)
            varying = tuple(_VARYING.sub(b"", text) for text in texts)
            found[item.method, item.status, *item.query.items(), *varying] = item
    return list(found.values())


def check(exchange: Exchange) -> None:
    """Raise if the answer, or the request that got a good answer, is against the contract."""
    from openapi_core.templating.paths.exceptions import PathNotFound
    from openapi_core.testing import MockRequest, MockResponse

    request = MockRequest(
        "https://api.digitalocean.com",
        exchange.method.lower(),
        exchange.path,
        args=exchange.query,
        headers=exchange.request_headers,
        data=exchange.request_body or None,
        content_type=exchange.request_headers.get("Content-Type", "application/json"),
    )
    response = MockResponse(
        exchange.body,
        status_code=exchange.status,
        headers=exchange.headers,
        content_type=exchange.headers.get("Content-Type", "application/json").partition(";")[0],
    )
    if exchange.status < 400:
        contract().validate_request(request)
    try:
        contract().validate_response(request, response)
    except PathNotFound:
        if exchange.status != 404:  # a path outside the contract must not be emulated
            raise


@contextmanager
def serve(
    folder: Path,
    *,
    rate_limit: int = 5000,
    enforce: bool = False,
    state_class: type[DigitalOceanState] = DigitalOceanState,
    around=None,
    **options,
) -> Iterator[Server]:
    """Run the emulator; afterwards check all its exchanges when the contract is at hand.

    `around` is a middleware, `async (request, handler) -> response`, outside of everything else.
    """
    server = Server(state=None, state_class=state_class, around=around)
    thread = threading.Thread(target=_run, args=(server.loop,), name="emulated-digitalocean")
    thread.start()
    try:
        app_options = {"rate_limit": rate_limit, "enforce_rate_limit": enforce}
        start = _start(server, folder, app_options, options)
        runner = asyncio.run_coroutine_threadsafe(start, server.loop).result(20)
        yield server
        asyncio.run_coroutine_threadsafe(runner.cleanup(), server.loop).result(20)
        server.on_loop(server.state.close)
    finally:
        asyncio.run_coroutine_threadsafe(_abort(server.transports), server.loop).result(5)
        server.loop.call_soon_threadsafe(server.loop.stop)
        thread.join(20)
        server.loop.close()
    if contract_path().is_file():
        for exchange in distinct(server.exchanges):
            check(exchange)


async def _abort(transports: set) -> None:
    """End connections whose client left without TLS's goodbye; asyncio would wait 30 s for it."""
    for transport in transports:
        transport.abort()
    await asyncio.sleep(0.05)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


async def _start(server: Server, folder: Path, app_options: dict, options: dict):
    server.state = server.state_class(folder / "cloud.db", **options)
    root = certs.create_root("DigitalOcean test root")
    leaf = certs.create_leaf(root, dns_names=["localhost"], ip_addresses=["127.0.0.1"])
    server.ca_file = folder / "ca.pem"
    server.ca_file.write_bytes(root.certificate)
    certs.write_credential(leaf, folder / "api.crt", folder / "api.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "api.crt", folder / "api.key")
    app = create_app(server.state, TOKEN, **app_options)
    app.middlewares.insert(0, _recorder(server))
    if server.around is not None:
        app.middlewares.insert(0, web.middleware(server.around))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    server.endpoint = f"https://127.0.0.1:{runner.addresses[0][1]}"
    return runner


def _recorder(server: Server):
    @web.middleware
    async def record(request: web.Request, handler):
        server.transports.add(request.transport)
        body = await request.read()
        if server.fail_next:
            return await server.fail_next.pop(0)(request, handler)
        response = await handler(request)
        if request.transport is None or request.transport.is_closing():
            return response  # an answer that was dropped on purpose: nobody gets it
        server.exchanges.append(
            Exchange(
                request.method,
                request.path,
                dict(request.query),
                dict(request.headers),
                body,
                response.status,
                dict(response.headers),
                response.body or b"",
            )
        )
        return response

    return record
