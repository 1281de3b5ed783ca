"""The real kubectl against a real API server and a real node: logs, port-forward, exec."""

import asyncio
import contextlib
import os
import re
import sys
from pathlib import Path

import pytest

from labkit.embedded.node.spdy import DATA, DICTIONARY, SYN_STREAM, Decoder, Encoder, Frame

KUBECTL = Path(sys.executable).with_name("kubectl")
ECHO = {
    "name": "echo",
    "image": "test/parts:v1",
    "command": ["listen"],
    "ports": [{"containerPort": 8080}, {"containerPort": 9090}],
}


def ready(pod):
    conditions = pod["status"].get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


class Kubectl:
    def __init__(self, kubeconfig, folder):
        self._env = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(folder)}

    async def start(self, *args, **kwargs):
        return await asyncio.create_subprocess_exec(
            KUBECTL,
            *args,
            env=self._env,
            stdin=kwargs.get("stdin", asyncio.subprocess.DEVNULL),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *args, given=None):
        stdin = asyncio.subprocess.PIPE if given is not None else asyncio.subprocess.DEVNULL
        process = await self.start(*args, stdin=stdin)
        async with asyncio.timeout(60):
            out, err = await process.communicate(given)
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def kubectl(apiserver, tmp_path):
    return Kubectl(apiserver.kubeconfig, tmp_path)


@contextlib.asynccontextmanager
async def forwarding(kubectl, *args, ports=1):
    """A running port-forward and the local ports that it names."""
    process = await kubectl.start("port-forward", "--address", "127.0.0.1", *args)
    try:
        async with asyncio.timeout(60):
            found = []
            while len(found) < ports:
                line = (await process.stdout.readline()).decode()
                assert line, (await process.stderr.read()).decode()
                found += [int(n) for n in re.findall(r"Forwarding from 127\.0\.0\.1:(\d+)", line)]
        yield process, found
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(60):
            await process.communicate()


async def exchange(port, data):
    """Send everything, end our half, and read until the other side ends its own."""
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer


def test_frames_survive_any_cut():
    assert len(DICTIONARY) == 1423
    frames = [
        Frame(SYN_STREAM, 1, headers={"streamtype": "error", "port": "8080", "requestid": "0"}),
        Frame(SYN_STREAM, 3, headers={"streamtype": "data", "port": "8080", "requestid": "0"}),
        Frame(DATA, 3, 1, b"hello"),
    ]
    encoder = Encoder()
    wire = b"".join(encoder.encode(frame) for frame in frames)
    decoder = Decoder()
    found = [frame for byte in wire for frame in decoder.feed(bytes([byte]))]
    assert found == frames


async def test_port_forward_carries_many_connections_on_several_ports(node, kubectl):
    await node.create({"containers": [ECHO]})
    await node.wait(ready)
    big = os.urandom(300_000)
    async with forwarding(kubectl, "pod/web", ":8080", ":9090", ports=2) as (_, ports):
        answers = await asyncio.gather(
            *(exchange(port, b"%d " % n + big) for n in range(4) for port in ports)
        )
    assert answers == [b"%d " % n + big for n in range(4) for _ in ports]


async def test_port_forward_to_a_port_that_nobody_listens_on_says_so(node, kubectl):
    await node.create({"containers": [ECHO]})
    await node.wait(ready)
    async with forwarding(kubectl, "pod/web", ":9") as (process, ports):
        with contextlib.suppress(ConnectionError):
            assert await exchange(ports[0], b"x") == b""
        async with asyncio.timeout(60):
            _, err = await process.communicate()
    assert "connection refused" in err.decode()
    assert "lost connection to pod" in err.decode()


async def test_logs_of_kubectl(node, kubectl, programs):
    talker = {"name": "talker", "image": "test/parts:v1", "command": ["talk"]}
    await node.create({"containers": [talker]})
    await node.wait(ready)
    programs.say("one")
    programs.say("two")
    assert await kubectl.run("logs", "web", "--tail=1") == (0, "two\n", "")
    process = await kubectl.start("logs", "-f", "web")
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"one\n"
            assert await process.stdout.readline() == b"two\n"
            programs.say("three")
            assert await process.stdout.readline() == b"three\n"
    finally:
        process.terminate()
        await process.communicate()
