"""Starting and stopping one container: a process, or a component inside the daemon.

Both look the same to the pod: something that writes a log, ends with an exit code and can be
stopped. When to start it again is deliberately not decided here.
"""

import asyncio
import contextlib
import importlib
import inspect
import json
import logging
import os
import signal
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from labkit.embedded.images.catalog import Program
from labkit.embedded.node.commands import process_command, search_path
from labkit.embedded.node.logs import ContainerLog
from labkit.embedded.node.programs import Component, Container
from labkit.embedded.node.terminals import Terminal
from labkit.embedded.processes import ProcessTable, kill_group, kill_session, stop

logger = logging.getLogger(__name__)

SIGTERM_EXIT = 128 + signal.SIGTERM
SIGKILL_EXIT = 128 + signal.SIGKILL
_CHILD_GRACE_S = 2.0
_INHERITED = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "TZ", "TMPDIR")


class StartProblem(Exception):  # noqa: N818 - the kubelet calls it StartError
    """A container could not be started at all."""


class Running(Protocol):
    """A started container."""

    async def wait(self) -> int:
        """Wait for its end; the exit code as Kubernetes shows it (128 + signal)."""

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, then SIGKILL after the grace. Returns when it has ended."""

    async def type(self, data: bytes) -> None:
        """Write to its stdin, if the spec gives it one."""

    async def end_input(self) -> None:
        """Close its stdin."""

    def resize(self, width: int, height: int) -> None:
        """Set the size of its terminal, if it has one."""


class NodeRuntime:
    """What a component may ask of the node; see `programs.Runtime`."""

    def __init__(self, container: Container, log: ContainerLog, processes: ProcessTable) -> None:
        self._log = log
        self._prefix = f"{container.cluster}/{container.namespace}/{container.pod}"
        self._processes = processes
        self._children: list[asyncio.subprocess.Process] = []

    @property
    def log(self) -> Callable[[str], None]:
        """Write one line into the container's log."""
        return self._log.line

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> asyncio.subprocess.Process:
        """Start a child whose output is discarded; it ends with the component at the latest."""
        process = await self._processes.spawn(argv, name=f"{self._prefix}/{name}", env=env, cwd=cwd)
        self._children = [child for child in self._children if child.returncode is None]
        self._children.append(process)
        return process

    async def end_children(self) -> None:
        """Stop what the component left running."""
        await asyncio.gather(*(stop(child, grace_s=_CHILD_GRACE_S) for child in self._children))


class RunningComponent:
    """A component: a task of the daemon."""

    def __init__(self, entry: Component, container: Container, runtime: NodeRuntime) -> None:
        self._runtime = runtime
        self._stopping = False
        self._task = asyncio.create_task(
            self._run(entry, container), name=f"{container.pod}/{container.name}"
        )

    async def _run(self, entry: Component, container: Container) -> int:
        try:
            return int(await entry(container, self._runtime) or 0)
        except asyncio.CancelledError:
            return SIGTERM_EXIT
        except Exception as error:  # noqa: BLE001 - any fault of a program is its exit code
            for line in "".join(traceback.format_exception(error)).rstrip().splitlines():
                self._runtime.log(line)
            return 1
        finally:
            await self._runtime.end_children()

    async def wait(self) -> int:
        """Wait for its end."""
        await asyncio.wait([self._task])
        if self._task.cancelled():
            return SIGTERM_EXIT
        return self._task.result()

    async def stop(self, grace_s: float) -> None:
        """Cancel it, once more after the grace, then leave it alone."""
        self._task.cancel()
        _, pending = await asyncio.wait([self._task], timeout=grace_s)
        if pending:
            self._task.cancel()
            _, pending = await asyncio.wait([self._task], timeout=1)
        if pending:
            logger.error("the component %s ignores its cancellation", self._task.get_name())

    async def type(self, data: bytes) -> None:
        """A component reads no input."""

    async def end_input(self) -> None:
        """There is none."""

    def resize(self, width: int, height: int) -> None:
        """It has no terminal."""


class RunningProcess:
    """A process program, its output read line by line into the log."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        log: ContainerLog,
        terminal: Terminal | None = None,
    ) -> None:
        self._process = process
        self._terminal = terminal
        self._reader = asyncio.create_task(self._copy(log), name=f"log of {process.pid}")

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def _copy(self, log: ContainerLog) -> None:
        stream = self._process.stdout
        if self._terminal is not None:
            while data := await self._terminal.read():
                log.write(data)
        while stream and (data := await stream.read(65536)):
            log.write(data)

    async def wait(self) -> int:
        """Wait for its end and for its last line."""
        code = await self._process.wait()
        kill_group(self._process.pid)  # children it left behind hold the pipe
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.shield(self._reader)
        self._reader.cancel()
        if self._terminal is not None:
            await asyncio.wait({self._reader})
            kill_session(self._process.pid)
            self._terminal.close()
        return code if code >= 0 else 128 - code

    async def stop(self, grace_s: float) -> None:
        """SIGTERM to the group, SIGKILL after the grace."""
        await stop(self._process, grace_s=grace_s)

    async def type(self, data: bytes) -> None:
        """Write to its stdin, if the spec gives it one."""
        if self._terminal is not None:
            await self._terminal.write(data)
        elif (stdin := self._process.stdin) is not None:
            with contextlib.suppress(ConnectionError):
                stdin.write(data)
                await stdin.drain()

    async def end_input(self) -> None:
        """Close its stdin."""
        if self._terminal is not None:
            await self._terminal.end_input()
        elif self._process.stdin is not None:
            self._process.stdin.close()

    def resize(self, width: int, height: int) -> None:
        """Set the size of its terminal, if it has one."""
        if self._terminal is not None:
            self._terminal.resize(width, height)


def load_component(entry: str) -> Component:
    """Import an entry point ``package.module:function``.

    Raises:
        StartProblem: there is no such function, or it is not a coroutine function.
    """
    module_name, _, name = entry.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise StartProblem(f"the program {entry} cannot be loaded: {error}") from error
    if not inspect.iscoroutinefunction(found):
        raise StartProblem(f"the program {entry} is not a coroutine function")
    return cast("Component", found)


def process_environment(container: Container) -> dict[str, str]:
    """The whole environment of a process program: little of the daemon's, all of the spec's."""
    proxy = f"http://{container.egress}" if container.egress else ""
    listen = {str(port): address for port, address in container.app_sockets.items()}
    return {
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MALLOC_ARENA_MAX": "2",
        **container.env,
        "HOSTNAME": container.pod,
        "LABKIT_LISTEN": json.dumps(listen),
        "LABKIT_ROOT": str(container.root),
        **({"http_proxy": proxy, "HTTP_PROXY": proxy, "no_proxy": ""} if proxy else {}),
    }


async def start(
    program: Program,
    arguments: Sequence[str],
    container: Container,
    *,
    log: ContainerLog,
    processes: ProcessTable,
) -> Running:
    """Start a container.

    Args:
        program: from the image catalog.
        arguments: what remains of the command line for a process program.
        container: what the program is told.
        log: where its output goes.
        processes: the lab's table of child processes.

    Raises:
        StartProblem: it could not be started.
    """
    if program.kind == "component":
        return RunningComponent(
            load_component(program.entry), container, NodeRuntime(container, log, processes)
        )
    argv = process_command(program, arguments, container)
    environment = process_environment(container)
    if program.kind == "command":
        environment["PATH"] = search_path(container)
    terminal = Terminal() if container.tty else None
    pipe = asyncio.subprocess.PIPE
    try:
        process = await processes.spawn(
            Terminal.command(argv) if terminal else argv,
            name=f"{container.cluster}/{container.namespace}/{container.pod}/{container.name}",
            env={"TERM": "xterm", **environment} if terminal else environment,
            cwd=container.root,
            output=terminal.device if terminal else pipe,
            stdin=terminal.device if terminal else pipe if container.stdin else None,
        )
    except OSError as error:
        if terminal:
            terminal.close()
        raise StartProblem(f"the process {program.entry} cannot be started: {error}") from error
    finally:
        if terminal:
            terminal.started()
    return RunningProcess(process, log, terminal)
