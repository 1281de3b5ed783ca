"""exec: one more process in a running container, its streams on the channels of a WebSocket.

Here that is a process of this machine in the container's folder, with the container's environment
(`commands.py` says which). It ends with the connection, and with the container.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from labkit.embedded.images.catalog import CommandNotFound
from labkit.embedded.node.channels import (
    STDERR,
    STDOUT,
    SUCCESS,
    Channels,
    Input,
    InputEnd,
    Resize,
)
from labkit.embedded.node.commands import executable, search_path
from labkit.embedded.node.config import NodeConfig
from labkit.embedded.node.containers import process_environment
from labkit.embedded.node.programs import Container
from labkit.embedded.node.terminals import Terminal
from labkit.embedded.processes import kill_group, kill_session, stop

_CHUNK = 32 * 1024
_OUTPUT_LIMIT = 10 * 1024
_GRACE_S = 1.0
_LAST_OUTPUT_S = 1.0


def _environment(container: Container) -> dict[str, str]:
    return {**process_environment(container), "PATH": search_path(container)}


def _name(container: Container, what: str) -> str:
    return f"{container.cluster}/{container.namespace}/{container.pod}/{what}"


async def run_once(
    config: NodeConfig, container: Container, argv: Sequence[str]
) -> tuple[int, str]:
    """Run a command in a container to its end, as probes and hooks do: exit code and output.

    Cancel it to kill the command.

    Raises:
        CommandNotFound: the image has no such command.
        OSError: it could not be started.
    """
    process = await config.processes.spawn(
        executable(config, container, argv),
        name=_name(container, "probe"),
        env=_environment(container),
        cwd=container.root,
        output=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    finally:
        kill_group(process.pid)
    code = process.returncode or 0
    return code if code >= 0 else 128 - code, output[:_OUTPUT_LIMIT].decode(errors="replace")


class Exec:
    """One exec.

    Args:
        channels: of the prepared WebSocket.
        config: of the node.
        container: where it runs.
        argv: the command.
        stdin: whether the client sends input.
        tty: whether the command runs on a terminal.
    """

    def __init__(
        self,
        channels: Channels,
        *,
        config: NodeConfig,
        container: Container,
        argv: Sequence[str],
        stdin: bool,
        tty: bool,
    ) -> None:
        self._channels = channels
        self._config = config
        self._container = container
        self._argv = argv
        self._stdin = stdin
        self._tty = tty

    async def run(self) -> None:
        """Run the command to its end, or until the client leaves."""
        with contextlib.suppress(ConnectionError):
            await self._channels.begin()
            await self._channels.end(await self._result())

    async def _result(self) -> dict[str, Any]:
        try:
            code = await (self._on_terminal() if self._tty else self._on_pipes())
        except (CommandNotFound, OSError) as problem:
            return _not_started(problem)
        return exit_status(code)

    async def _on_pipes(self) -> int:
        process = await self._config.processes.spawn(
            executable(self._config, self._container, self._argv),
            name=_name(self._container, "exec"),
            env=_environment(self._container),
            cwd=self._container.root,
            output=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.PIPE if self._stdin else None,
            errors=asyncio.subprocess.PIPE,
        )
        outputs = [
            self._copy(STDOUT, lambda: _read(process.stdout)),
            self._copy(STDERR, lambda: _read(process.stderr)),
        ]
        return await self._follow(process, outputs, self._type_into(process))

    async def _on_terminal(self) -> int:
        terminal = Terminal()
        try:
            try:
                process = await self._config.processes.spawn(
                    Terminal.command(executable(self._config, self._container, self._argv)),
                    name=_name(self._container, "exec"),
                    env={"TERM": "xterm", **_environment(self._container)},
                    cwd=self._container.root,
                    output=terminal.device,
                    stdin=terminal.device,
                )
            finally:
                terminal.started()
            outputs = [self._copy(STDOUT, terminal.read)]
            try:
                return await self._follow(process, outputs, self._type_on(terminal))
            finally:
                kill_session(process.pid)  # a shell gives each of its jobs a group of its own
        finally:
            terminal.close()

    async def _follow(
        self,
        process: asyncio.subprocess.Process,
        outputs: Sequence[Coroutine[Any, Any, None]],
        listening: Coroutine[Any, Any, None],
    ) -> int:
        """Until the process ends or the client leaves; then nothing of it is left."""
        copying = [asyncio.create_task(output) for output in outputs]
        ending = asyncio.create_task(process.wait())
        listener = asyncio.create_task(listening)
        try:
            await asyncio.wait({ending, listener}, return_when=asyncio.FIRST_COMPLETED)
            code = await stop(process, grace_s=_GRACE_S) if not ending.done() else ending.result()
            kill_group(process.pid)  # children that it left behind hold the pipes
            await asyncio.wait(copying, timeout=_LAST_OUTPUT_S)
        finally:
            kill_group(process.pid)
            tasks = (*copying, ending, listener)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return code if code >= 0 else 128 - code

    async def _copy(self, channel: int, read: Callable[[], Coroutine[Any, Any, bytes]]) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await read():
                await self._channels.send(channel, data)

    async def _type_into(self, process: asyncio.subprocess.Process) -> None:
        """Input for a process with pipes; returns when the client has left."""
        async for message in self._channels.messages():
            if process.stdin is None:
                continue
            with contextlib.suppress(ConnectionError):
                if isinstance(message, Input):
                    process.stdin.write(message.data)
                    await process.stdin.drain()
                elif isinstance(message, InputEnd):
                    process.stdin.close()

    async def _type_on(self, terminal: Terminal) -> None:
        """Input for a process on a terminal; returns when the client has left."""
        async for message in self._channels.messages():
            if isinstance(message, Resize):
                terminal.resize(message.width, message.height)
            elif not self._stdin:
                continue
            elif isinstance(message, Input):
                await terminal.write(message.data)
            else:
                await terminal.end_input()


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    return await stream.read(_CHUNK) if stream else b""


def exit_status(code: int) -> dict[str, Any]:
    """The Status that tells a client the exit code of a command."""
    if code == 0:
        return SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "message": "command terminated with non-zero exit code: command terminated with"
        f" exit code {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _not_started(problem: CommandNotFound | OSError) -> dict[str, Any]:
    why = problem.what if isinstance(problem, CommandNotFound) else str(problem)
    text = (
        "error executing command in container: failed to exec in container: failed to start exec"
        f' "{secrets.token_hex(32)}": OCI runtime exec failed: exec failed: unable to start'
        f" container process: {why}: unknown"
    )
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: Internal error occurred: {text}",
        "reason": "InternalError",
        "details": {"causes": [{"message": text}]},
        "code": 500,
    }
