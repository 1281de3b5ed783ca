"""kubectl on a terminal: `exec -it`, `attach`, `run -it`."""

import asyncio
import contextlib
import os
import re
import sys
from pathlib import Path

import pytest

from labkit.embedded.node.terminals import Terminal

KUBECTL = Path(sys.executable).with_name("kubectl")
SHELL = {"name": "app", "image": "test/parts:v1"}
WAIT_S = 60


def running(pod):
    states = pod["status"].get("containerStatuses") or [{}]
    return "running" in (states[0].get("state") or {})


class Typist:
    """kubectl on a terminal of its own; what it shows is read, what we type is typed."""

    def __init__(self, kubeconfig, folder):
        self._env = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "HOME": str(folder),
            "TERM": "xterm",
        }
        self.seen = ""

    async def start(self, *args):
        self.terminal = Terminal()
        self.terminal.resize(91, 31)
        self.process = await asyncio.create_subprocess_exec(
            *Terminal.command([str(KUBECTL), *args]),
            env=self._env,
            stdin=self.terminal.device,
            stdout=self.terminal.device,
            stderr=self.terminal.device,
            start_new_session=True,
        )
        self.terminal.started()
        return self

    async def until(self, pattern):
        async with asyncio.timeout(WAIT_S):
            while not (found := re.search(pattern, self.seen)):
                data = await self.terminal.read()
                if not data:
                    pytest.fail(f"it ended before {pattern!r}: {self.seen!r}")
                self.seen += data.decode()
        self.seen = self.seen[found.end() :]
        return found

    async def type(self, text):
        await self.terminal.write(text.encode())

    async def type_until(self, text, pattern):
        """Type it again and again: what it answers may take its time to be true."""

        async def keep_typing():
            while True:
                await self.type(text)
                await asyncio.sleep(0.5)

        typing = asyncio.create_task(keep_typing())
        try:
            return await self.until(pattern)
        finally:
            typing.cancel()

    async def end(self):
        async with asyncio.timeout(WAIT_S):
            while data := await self.terminal.read():
                self.seen += data.decode()
            return await self.process.wait()

    async def close(self):
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        self.terminal.close()


@pytest.fixture
async def typist(apiserver, tmp_path):
    typist = Typist(apiserver.kubeconfig, tmp_path)
    yield typist
    await typist.close()


async def nothing_left(node):
    async with asyncio.timeout(WAIT_S):
        while node.config.processes.records():
            await asyncio.sleep(0.02)


async def test_a_terminal_has_a_size_job_control_and_an_exit_code(node, typist):
    await node.create({"containers": [{**SHELL, "command": ["sleeper"]}]})
    await node.wait(running)
    await typist.start("exec", "-it", "web", "--", "sh")
    await typist.until(r"[#$] ")
    await typist.type_until("stty size\n", r"31 91")
    await typist.type_until("tty && echo on a term''inal\n", r"on a terminal")
    await typist.type("sleep 600\n")
    await typist.until(r"sleep 600")
    await typist.type_until("\x03echo interr''upted\n", r"interrupted")
    await typist.type("exit 7\n")
    assert await typist.end() == 7
    await nothing_left(node)


async def test_jobs_of_a_shell_end_with_its_client(node, typist, tmp_path):
    await node.create({"containers": [{**SHELL, "command": ["sleeper"]}]})
    await node.wait(running)
    await typist.start(
        "exec", "-it", "web", "--", "sh", "-c", "set -m; sleep 600 & echo job $!; cat"
    )
    pid = int((await typist.until(r"job (\d+)"))[1])
    os.kill(pid, 0)
    typist.process.kill()
    async with asyncio.timeout(WAIT_S):
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(pid, 0)
                if (
                    Path(f"/proc/{pid}/stat").exists()
                    and " Z " in Path(f"/proc/{pid}/stat").read_text()
                ):
                    break
                await asyncio.sleep(0.02)
    await nothing_left(node)


async def test_run_it_gives_a_shell_and_removes_the_pod(node, typist):
    overrides = f'{{"spec": {{"nodeName": "{node.agent.name}"}}}}'
    await typist.start(
        "run", "-it", "--rm", "try", "--image=test/parts:v1", "--restart=Never",
        f"--overrides={overrides}", "--override-type=strategic", "--", "sh",
    )  # fmt: skip
    await typist.until("try pressing enter|#|\\$")
    await typist.type("\necho he''llo; exit 0\n")
    await typist.until("hello")
    assert await typist.end() == 0
    assert 'pod "try" deleted' in typist.seen
    await node.wait_gone("try")
    await nothing_left(node)


async def test_attach_shows_what_comes_and_ends_with_the_container(node, typist, programs):
    await node.create(
        {"restartPolicy": "Never", "containers": [{**SHELL, "command": ["sh"], "stdin": True}]}
    )
    await node.wait(running)
    await typist.start("attach", "-i", "web")
    await typist.type("echo one two | tr a-z A-Z\n")
    await typist.until("ONE TWO")
    await typist.type("exit 3\n")
    await typist.end()
    pod = await node.wait(lambda pod: pod["status"]["phase"] == "Failed")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


async def test_attach_without_input_follows_a_component(node, typist, programs):
    await node.create({"containers": [{**SHELL, "command": ["talk"]}]})
    await node.wait(lambda pod: running(pod) and hasattr(programs, "say"))
    await typist.start("attach", "web")
    async with asyncio.timeout(WAIT_S):
        reading = asyncio.create_task(typist.until("tick"))
        while not reading.done():
            programs.say("tick")
            await asyncio.sleep(0.05)
    await reading


async def test_a_terminal_that_nobody_holds_is_at_its_end():
    terminal = Terminal()
    terminal.started()
    assert await terminal.read() == b""
    terminal.close()
    assert await terminal.read() == b""
