"""The control plane's validating webhooks allow what they are asked."""

import asyncio
import ssl
from types import SimpleNamespace

import aiohttp
import pytest

from labkit import certs
from labkit.embedded.mesh import validator


@pytest.mark.parametrize(
    ("name", "hook", "admin"), [("sp-validator", 8443, 9997), ("policy", 9443, 9990)]
)
async def test_a_review_is_allowed_over_tls_and_the_container_is_ready(  # noqa: PLR0917
    tmp_path, mesh, trust, name, hook, admin
) -> None:
    folder = tmp_path / "var/run/linkerd/tls"
    folder.mkdir(parents=True)
    leaf = certs.create_leaf(trust.issuer, dns_names=["validator"], client=False)
    (folder / "tls.crt").write_bytes(leaf.certificate)
    (folder / "tls.key").write_bytes(leaf.key)
    sockets = {port: mesh.free_socket() for port in (8443, 9443, 9990, 9997, 8090)}
    node = mesh.NodeStandIn()
    container = SimpleNamespace(argv=(name, "-x"), root=tmp_path, app_sockets=sockets)
    task = asyncio.create_task(validator.run(container, node))

    async def listening() -> bool:
        return bool(node.lines)

    await mesh.until(listening)
    context = ssl.create_default_context(cadata=trust.anchors)
    async with aiohttp.ClientSession() as http:
        async with http.post(
            f"https://{sockets[hook]}/",
            json={"apiVersion": "admission.k8s.io/v1", "request": {"uid": "7"}},
            ssl=context,
            server_hostname="validator",
        ) as response:
            assert (await response.json())["response"] == {"uid": "7", "allowed": True}
        async with http.get(f"http://{sockets[admin]}/ready") as response:
            assert response.status == 200
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_without_a_certificate_it_ends_with_the_reason(tmp_path, mesh) -> None:
    node = mesh.NodeStandIn()
    container = SimpleNamespace(argv=("policy",), root=tmp_path, app_sockets={})
    assert await validator.run(container, node) == 1
    assert "no certificate" in node.lines[0]
