"""exec: one more process in a running container, its streams on the channels of a WebSocket.

Here that is a process of this machine in the container's folder, with the container's environment.
Which commands exist follows the image: its own programs, and this machine's where the real image
has a shell. The process ends with the connection, and with the container. Deliberately absent: a
terminal (`-t`).
"""

import asyncio
import contextlib
import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from aiohttp import WSMsgType, web

from labkit.embedded.images.catalog import CommandNotFound
from labkit.embedded.node.config import NodeConfig
from labkit.embedded.node.containers import process_environment
from labkit.embedded.node.programs import Container
from labkit.embedded.processes import kill_group, stop

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _ERROR, _CLOSE = 0, 1, 2, 3, 255
_CHUNK = 32 * 1024
_OUTPUT_LIMIT = 10 * 1024
_GRACE_S = 1.0
_LAST_OUTPUT_S = 1.0
_PATH = "/usr/local/bin:/usr/bin:/bin"


def executable(config: NodeConfig, container: Container, argv: Sequence[str]) -> list[str]:
    """The command line on this machine of a command inside a container.

    Raises:
        CommandNotFound: the image has no such command.
    """
    with contextlib.suppress(CommandNotFound):
        if argv[0] and not argv[0].startswith("-") and "://" not in argv[0]:
            program, arguments = config.find_program(container.image, argv)
            if program.kind == "process":
                return [sys.executable, "-m", program.entry, *arguments]
    found = shutil.which(argv[0], path=_PATH) if config.has_shell(container.image) else None
    if found is None:
        why = (
            f"stat {argv[0]}: no such file or directory"
            if "/" in argv[0]
            else "executable file not found in $PATH"
        )
        raise CommandNotFound(f'exec: "{argv[0]}": {why}')
    return [found, *(_inside(container, word) for word in argv[1:])]


def _inside(container: Container, word: str) -> str:
    """A file of the container where it really is; any other word as it is."""
    if not word.startswith("/") or ".." in word.split("/"):
        return word
    place = container.root / word.lstrip("/")
    return str(place) if place != container.root and place.exists() else word


async def run_once(
    config: NodeConfig, container: Container, argv: Sequence[str]
) -> tuple[int, str]:
    """Run a command in a container to its end, as an exec probe does: exit code and output.

    Cancel it to kill the command.

    Raises:
        CommandNotFound: the image has no such command.
        OSError: it could not be started.
    """
    process = await config.processes.spawn(
        executable(config, container, argv),
        name=f"{container.cluster}/{container.namespace}/{container.pod}/probe",
        env={**process_environment(container), "PATH": _PATH},
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
        stream: the prepared WebSocket.
        config: of the node.
        container: where it runs.
        argv: the command.
        stdin: whether the client sends input.
    """

    def __init__(
        self,
        stream: web.WebSocketResponse,
        *,
        config: NodeConfig,
        container: Container,
        argv: Sequence[str],
        stdin: bool,
    ) -> None:
        self._stream = stream
        self._config = config
        self._container = container
        self._argv = argv
        self._stdin = stdin

    async def run(self) -> None:
        """Run the command to its end, or until the client leaves."""
        with contextlib.suppress(ConnectionError):
            await self._send(_STDOUT, b"")
            await self._send(_ERROR, json.dumps(await self._result()).encode())
            await self._stream.close()

    async def _result(self) -> dict[str, Any]:
        container = self._container
        environment = {**process_environment(container), "PATH": _PATH}
        try:
            process = await self._config.processes.spawn(
                executable(self._config, container, self._argv),
                name=f"{container.cluster}/{container.namespace}/{container.pod}/exec",
                env=environment,
                cwd=container.root,
                output=asyncio.subprocess.PIPE,
                stdin=asyncio.subprocess.PIPE if self._stdin else None,
                errors=asyncio.subprocess.PIPE,
            )
        except (CommandNotFound, OSError) as problem:
            return _not_started(problem, container)
        outputs = [
            asyncio.create_task(self._copy_out(_STDOUT, process.stdout)),
            asyncio.create_task(self._copy_out(_STDERR, process.stderr)),
        ]
        ending = asyncio.create_task(process.wait())
        listening = asyncio.create_task(self._listen(process))
        try:
            await asyncio.wait({ending, listening}, return_when=asyncio.FIRST_COMPLETED)
            code = await stop(process, grace_s=_GRACE_S) if not ending.done() else ending.result()
            kill_group(process.pid)  # children that it left behind hold the pipes
            await asyncio.wait(outputs, timeout=_LAST_OUTPUT_S)
        finally:
            kill_group(process.pid)
            for task in (*outputs, ending, listening):
                task.cancel()
        return _status(code if code >= 0 else 128 - code)

    async def _copy_out(self, channel: int, reader: asyncio.StreamReader | None) -> None:
        with contextlib.suppress(ConnectionError):
            while reader and (data := await reader.read(_CHUNK)):
                await self._send(channel, data)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Input for the process; returns when the client has left."""
        async for message in self._stream:
            data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
            if not data or process.stdin is None:
                continue
            with contextlib.suppress(ConnectionError):
                if data[0] == _STDIN:
                    process.stdin.write(data[1:])
                    await process.stdin.drain()
                elif data[0] == _CLOSE and data[1:] == bytes([_STDIN]):
                    process.stdin.close()

    async def _send(self, channel: int, data: bytes) -> None:
        await self._stream.send_bytes(bytes([channel]) + data)


def _status(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": "command terminated with non-zero exit code: command terminated with"
        f" exit code {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _not_started(problem: Exception, container: Container) -> dict[str, Any]:
    text = (
        "error executing command in container: failed to exec in container: failed to start exec"
        f' "{container.pod_uid}": OCI runtime exec failed: exec failed: unable to start container'
        f" process: {str(problem).splitlines()[0]}: unknown"
    )
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: Internal error occurred: {text}",
        "reason": "InternalError",
        "details": {"causes": [{"message": text}]},
        "code": 500,
    }
