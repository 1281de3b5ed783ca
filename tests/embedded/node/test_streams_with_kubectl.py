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


async def test_exec_keeps_streams_apart_and_hands_on_the_exit_code(node, kubectl):
    await node.create({"containers": [{**ECHO, "env": [{"name": "WORD", "value": "lab"}]}]})
    await node.wait(ready)
    script = "echo $WORD; echo err >&2; exit 3"
    code, out, err = await kubectl.run("exec", "web", "--", "sh", "-c", script)
    assert (code, out) == (3, "lab\n")
    assert err == "err\ncommand terminated with exit code 3\n"
    assert await kubectl.run("exec", "-i", "web", "--", "cat", given=b"piped\n") == (
        0,
        "piped\n",
        "",
    )
    code, _, err = await kubectl.run("exec", "web", "--", "/nosuch")
    assert code == 1
    assert 'exec: "/nosuch": stat /nosuch: no such file or directory' in err
    assert node.config.processes.records() == []


async def test_exec_in_an_image_without_a_shell_says_so(node, kubectl):
    await node.create({"containers": [{**ECHO, "image": "test/parts:distroless"}]})
    await node.wait(ready)
    code, _, err = await kubectl.run("exec", "web", "--", "sh")
    assert code == 1
    assert 'exec: "sh": executable file not found in $PATH' in err


async def test_exec_ends_with_its_client(node, kubectl):
    await node.create({"containers": [ECHO]})
    await node.wait(ready)
    process = await kubectl.start("exec", "web", "--", "sh", "-c", "echo up; sleep 600")
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"up\n"
        process.kill()
        await process.communicate()
        while node.config.processes.records():
            await asyncio.sleep(0.02)


async def test_exec_and_port_forward_ask_for_rights_of_their_own(node, apiserver, tmp_path, caplog):
    await node.create({"containers": [ECHO]})
    await node.wait(ready)
    await allow_alice_to_read_pods(node.kube)
    path = write_kubeconfig(apiserver, tmp_path / "alice.config")
    alice = Kubectl(path, tmp_path)
    caplog.set_level("INFO")
    for args, resource in (
        (("exec", "web", "--", "true"), "pods/exec"),
        (("port-forward", "pod/web", ":8080"), "pods/portforward"),
        (("logs", "web"), "pods/log"),
    ):
        code, _, err = await alice.run(*args)
        assert code == 1
        assert (
            f'cannot {"get" if resource == "pods/log" else "create"} resource "{resource}"' in err
        )
        assert any(resource in m for m in caplog.messages if m.startswith("audit: forbidden"))


async def allow_alice_to_read_pods(kube):
    rbac = "rbac.authorization.k8s.io/v1"
    reading = ["pods", "pods/exec", "pods/portforward"]  # a GET of the last two is not enough
    rule = {"apiGroups": [""], "resources": reading, "verbs": ["get", "list"]}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "readers"}
    subjects = [{"kind": "User", "name": "alice"}]
    roles = f"/apis/{rbac}/namespaces/default"
    await kube.create(f"{roles}/roles", {"metadata": {"name": "readers"}, "rules": [rule]})
    binding = {"metadata": {"name": "readers"}, "subjects": subjects, "roleRef": role}
    await kube.create(f"{roles}/rolebindings", binding)


def write_kubeconfig(apiserver, path):
    path.write_text(
        apiserver.kubeconfig.read_text().replace(apiserver.token, apiserver.alice_token)
    )
    path.chmod(0o600)
    return path
