"""Logs, port-forward and service proxy: bytes pass unchanged between client and pod."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, TCPConnector, WSMsgType, web

from labkit.certs import create_leaf, write_credential
from labkit.embedded.kube import KubeClient, path_of

TOKEN = "kubelet-token-of-the-tests"


async def read_log(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return web.Response(status=401)
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(f"{request.path} {request.query_string}\n".encode())
    if request.query.get("follow"):
        await asyncio.sleep(0.05)
        await response.write(b"tick\n")
    return response


async def forward(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
    await socket.prepare(request)
    await socket.send_bytes(b"\x00\x90\x1f")
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(b"\x00" + message.data[1:].upper())
    return socket


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"{request.method} {request.path_qs}", headers={"X-From": "app"})


async def moved(request: web.Request) -> web.Response:
    goals = {
        "path": "/new?b=1",
        "self": f"http://{request.host}/new",
        "away": "http://example.org/",
    }
    return web.Response(status=302, headers={"Location": goals[request.query["to"]]})


async def shout(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=("shout",))
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data.upper() + request.headers["X-Forwarded-Uri"])
    return socket


@pytest.fixture
async def node(tmp_path, apiserver, kube: KubeClient) -> AsyncIterator[None]:
    """A kubelet API and an application, and a pod on that node that says where they are."""
    leaf = create_leaf(apiserver.ca, ip_addresses=["127.0.0.1"])
    write_credential(leaf, tmp_path / "n.crt", tmp_path / "n.key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "n.crt", tmp_path / "n.key")
    app = web.Application()
    app.router.add_get("/containerLogs/{rest:.*}", read_log)
    app.router.add_get("/portForward/default/web", forward)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    program = web.Application()
    program.router.add_get("/moved", moved)
    program.router.add_get("/shout", shout)
    program.router.add_route("*", "/{rest:.*}", hello)
    other = web.AppRunner(program)
    await other.setup()
    await web.TCPSite(other, "127.0.0.1", 0).start()
    await populate(kube, runner.addresses[0][1], other.addresses[0][1])
    yield
    await runner.cleanup()
    await other.cleanup()


async def populate(kube: KubeClient, kubelet: int, app: int) -> None:
    sockets = {"network.labkit.dev/sockets": json.dumps({"10250": f"127.0.0.1:{kubelet}"})}
    await kube.create("/api/v1/nodes", {"metadata": {"name": "n1", "annotations": sockets}})
    where = {"network.labkit.dev/app-sockets": json.dumps({"8080": f"127.0.0.1:{app}"})}
    container = {"name": "web", "image": "x", "ports": [{"name": "http", "containerPort": 8080}]}
    pods = path_of("v1", "pods", "default")
    await kube.create(
        pods,
        {
            "metadata": {"name": "web", "labels": {"app": "web"}, "annotations": where},
            "spec": {"nodeName": "n1", "containers": [container]},
        },
    )
    ready = {"podIP": "10.244.0.5", "conditions": [{"type": "Ready", "status": "True"}]}
    await kube.patch(f"{pods}/web/status", {"status": ready})
    await kube.create(
        path_of("v1", "services", "default"),
        {
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
        },
    )


@pytest.fixture
async def session(apiserver) -> AsyncIterator[ClientSession]:
    trust = ssl.create_default_context(cadata=apiserver.ca.certificate.decode())
    headers = {"Authorization": f"Bearer {apiserver.token}"}
    async with ClientSession(
        apiserver.url, connector=TCPConnector(ssl=trust), headers=headers
    ) as found:
        yield found


async def test_logs_come_from_the_node_with_the_options(node, session):
    path = "/api/v1/namespaces/default/pods/web/log?tailLines=3&follow=true"
    async with session.get(path, headers={"Accept": "application/json"}) as answer:
        assert answer.content_type == "text/plain"
        text = await answer.text()
    assert text.startswith("/containerLogs/default/web/web ")
    assert "tailLines=3" in text
    assert text.endswith("tick\n")


async def test_port_forward_frames_pass_both_ways(node, session):
    path = "/api/v1/namespaces/default/pods/web/portforward?ports=8080"
    protocols = ("v5.channel.k8s.io", "v4.channel.k8s.io")
    async with session.ws_connect(path, protocols=protocols) as socket:
        assert socket.protocol == "v4.channel.k8s.io"
        assert (await socket.receive()).data == b"\x00\x90\x1f"
        await socket.send_bytes(b"\x00hello")
        assert (await socket.receive()).data == b"\x00HELLO"


@pytest.mark.parametrize("target", ["services/web", "services/web:80", "pods/web:8080", "pods/web"])
async def test_the_proxy_reaches_the_application(node, session, target):
    path = f"/api/v1/namespaces/default/{target}/proxy/api/x?a=1&a=2"
    async with session.get(path) as answer:
        assert answer.status == 200
        assert answer.headers["X-From"] == "app"
        assert await answer.text() == "GET /api/x?a=1&a=2"


PROXY = "/api/v1/namespaces/default/services/web/proxy"


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("path", f"{PROXY}/new?b=1"),
        ("self", f"{PROXY}/new"),
        ("away", "http://example.org/"),
    ],
)
async def test_a_redirect_leads_back_through_the_proxy(node, session, to, expected):
    async with session.get(f"{PROXY}/moved?to={to}", allow_redirects=False) as answer:
        assert answer.status == 302
        assert answer.headers["Location"] == expected


async def test_the_root_of_the_proxy_ends_with_a_slash(node, session):
    async with session.get(f"{PROXY}?a=1", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (301, f"{PROXY}/?a=1")


async def test_bodies_pass_the_proxy(node, session):
    async with session.post(f"{PROXY}/x", data=b"y" * 100_000) as answer:
        assert await answer.text() == "POST /x"


async def test_websockets_pass_the_proxy(node, session):
    async with session.ws_connect(f"{PROXY}/shout", protocols=("shout",)) as socket:
        assert socket.protocol == "shout"
        await socket.send_str("hello ")
        assert (await socket.receive()).data == f"HELLO {PROXY}/shout"
